/** What the plan is made from, and what it comes to. */
import type {EndpointSlice} from '../../proxy/config/endpoint.ts';
import type {BackendConfig, Credentials, GatewayConfig, TlsMaterial} from '../../proxy/config/schema.ts';
import type {Reason} from '../api/conditions.ts';
import type {ModelGateway, ModelRoute, Resource} from '../api/generated.ts';

export type ObjectName = {namespace: string; name: string};

/** A Secret with its values decoded; `uid` and `resourceVersion` together name one version of them. */
export type SecretValue = ObjectName & {uid: string; resourceVersion: string; values: Readonly<Record<string, string>>};

/** The parts of a Service that matter here. `name` of a port: '' if it has none. */
export type ServiceValue = ObjectName & {
  type: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
  ports: readonly {name: string; port: number}[];
  /** The first family of the Service. */
  ipFamily?: 'IPv4' | 'IPv6';
};

/** Objects as the schema let them pass, each with its metadata.name and metadata.namespace. */
export type World = {
  /** The gateway to plan for; of the routes only those that name it count. */
  gateway: ObjectName;
  gateways: readonly ModelGateway[];
  routes: readonly ModelRoute[];
  secrets: readonly SecretValue[];
  slices: readonly EndpointSlice[];
  /** In a cluster: where the ports of a serviceRef are looked up. Unset: there are only `slices`. */
  services?: readonly ServiceValue[];
  /** Labels of namespaces by name, for selectors. A namespace that is not here has no labels but its name. */
  namespaceLabels?: ReadonlyMap<string, Readonly<Record<string, string>>>;
  /** Of routes without gatewayRef; unset: `models` in their own namespace. */
  defaultGateway?: ObjectName;
  /** Of the cluster, if not all: a gateway elsewhere is not seen. */
  watchedNamespaces?: readonly string[];
  /** Reads certificates and keys, which the plan, being pure, cannot. Without it they are taken as they are; a proxy looks again. */
  faultsInTls?: (material: TlsMaterial) => {part: keyof TlsMaterial; problem: string}[];
};

export type Problem = {
  object: ObjectName & {kind: Resource['kind']};
  path: readonly (string | number)[];
  reason: Reason;
  /** What is wrong and what would be right; never a value of a Secret. */
  message: string;
  /** What takes no traffic because of it. */
  excludes: 'Route' | 'Backend' | 'Nothing';
};

/** A problem of one backend; `path` is relative to it. */
export type BackendFault = Pick<Problem, 'reason' | 'message'> & {path: readonly string[]};

/** What a backend is called with: its part of the config, the values that this names by key, and what is wrong with it. */
export type ResolvedAccess = {
  config: Pick<BackendConfig, 'auth' | 'tls'>;
  credentials: [key: string, value: string][];
  faults: BackendFault[];
};

export type Plan = {config: GatewayConfig; credentials: Credentials; problems: Problem[]};
