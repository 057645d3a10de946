/** What is known of a gateway's fleet of proxies, and what the plan wants it to be. */
import type {GatewayConfig} from '../../proxy/config/schema.ts';
import type {Condition, ModelGateway, ModelGatewayStatus, ModelRoute, ModelRouteStatus} from '../api/generated.ts';
import type {Reason} from '../api/conditions.ts';
import type {EndpointSlice} from '../../proxy/config/endpoint.ts';
import type {Problem} from './world.ts';

/** An object that a gateway becomes, as it is applied: with apiVersion, kind, name, namespace, labels and owner. */
export type Child = {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace: string;
    labels: Record<string, string>;
    annotations?: Record<string, string>;
    /** To be applied to this version only. */
    resourceVersion?: string;
    ownerReferences?: {
      apiVersion: string;
      kind: string;
      name: string;
      uid: string;
      controller: true;
      blockOwnerDeletion: true;
    }[];
  };
  [member: string]: unknown;
};

/** What a proxy says on /loaded. */
export type LoadedReport = {
  /** IP address of the proxy's pod. */
  address: string;
  /** SHA-256, in hex, of the text of the config in use; '' if none. */
  hash: string;
  /** The config that it refused last, until it takes one. */
  rejected?: {hash: string; reason: string};
  /** Routes, as `namespace/name`, with a backend whose credentials have not arrived. */
  missingCredentials: readonly string[];
};

/** The fleet as it was found. */
export type FleetState = {
  /** Of the Deployment's status. */
  replicas: number;
  /** Of the slices of its Service, which say it sooner. */
  readyReplicas: number;
  /** Of all proxies that answer; those of a ready proxy count for Programmed. */
  reports: readonly LoadedReport[];
  /** Addresses of ready proxies. */
  readyAddresses: readonly string[];
  /** The config of each hash that was published lately. */
  published: ReadonlyMap<string, GatewayConfig>;
  /** Of the config that is wanted now. */
  wantedHash: string;
  /** Namespaces in which the proxies may not look, because what allows them to could not be made there. */
  elsewhere?: readonly {namespace: string; reason: Reason; message: string}[];
  /** What kept the operator from making the fleet, if anything did. */
  blocked?: {reason: Reason; message: string; type: 'Accepted' | 'Programmed'};
};

export type StatusInput = {
  /** Unset: nobody wrote one and none is made on demand. */
  gateway: ModelGateway | undefined;
  /** All that name this gateway. */
  routes: readonly ModelRoute[];
  problems: readonly Problem[];
  /** The wanted one. */
  config: GatewayConfig;
  /** Of the Services that the routes name. */
  slices: readonly EndpointSlice[];
  fleet: FleetState;
  /** RFC 3339, for lastTransitionTime. */
  now: string;
};

export type StatusPlan = {
  gateway: ModelGatewayStatus | undefined;
  /** By `namespace/name`. */
  routes: ReadonlyMap<string, ModelRouteStatus>;
};

export type {Condition};
