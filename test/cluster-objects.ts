/** What a proxy finds in a cluster, as the operator, the kubelet and the API server write it. */
import {createHash} from 'node:crypto';
import {gzipSync} from 'node:zlib';
import {serviceLabel} from '../proxy/config/slice.ts';
import type {Credentials, GatewayConfig} from '../proxy/config/schema.ts';

export const configMapsIn = (namespace: string): string => `/api/v1/namespaces/${namespace}/configmaps`;
export const secretsIn = (namespace: string): string => `/api/v1/namespaces/${namespace}/secrets`;
export const slicesIn = (namespace: string): string =>
  `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`;

export const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');

export const configMap = (text: string, name = 'models-config') => ({
  metadata: {name},
  binaryData: {'config.json.gz': gzipSync(text).toString('base64')},
});

export const credentialsText = (credentials: Credentials): string => JSON.stringify(Object.fromEntries(credentials));

export const credentialsSecret = (text: string, name = 'models-credentials') => ({
  metadata: {name},
  data: {'credentials.json': Buffer.from(text).toString('base64')},
});

/** `models` in team-a unless given. */
export const gatewayConfig = (config: Partial<GatewayConfig> = {}): GatewayConfig => ({
  formatVersion: 1,
  gateway: {name: 'models', namespace: 'team-a', generation: 1},
  limits: {maxBodyBytes: 1_000_000, maxHeaderBytes: 16_384, maxBufferedBytes: 10_000_000, drainPeriodMs: 60_000},
  logging: {level: 'info'},
  routes: [],
  ...config,
});

export type SliceOptions = {
  namespace?: string;
  name?: string;
  service?: string;
  port?: number;
  portName?: string | null;
  endpoints?: {address: string; zone?: string; conditions?: object; hints?: string[]}[];
  addressType?: string;
};

/**
 * As a slice of addresses without a family unless given: the API server refuses loopback addresses of one, and does not look so closely at
 * what may be a name.
 */
export const endpointSlice = ({
  namespace = 'team-a',
  service = 'vllm',
  name = `${service}-1`,
  port = 8_000,
  portName = 'http',
  endpoints = [{address: '127.0.0.1'}],
  addressType = 'FQDN',
}: SliceOptions = {}) => ({
  metadata: {name, namespace, labels: {[serviceLabel]: service}},
  addressType,
  ports: [{name: portName, port, protocol: 'TCP'}],
  endpoints: endpoints.map(({address, zone, conditions, hints}) => ({
    addresses: [address],
    ...(conditions === undefined ? {} : {conditions}),
    ...(zone === undefined ? {} : {zone}),
    ...(hints === undefined ? {} : {hints: {forZones: hints.map((name) => ({name}))}}),
  })),
});
