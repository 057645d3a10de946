/** Objects of Kubernetes' own kinds, as the API server sends them, to the parts that the plan knows. */
import {isIPv4} from 'node:net';
import {z} from 'zod';
import type {EndpointSlice} from '../../proxy/config/endpoint.ts';
import type {KubeObject} from '../../kube/objects.ts';
import type {SecretValue, ServiceValue} from '../plan/world.ts';

export const serviceNameLabel = 'kubernetes.io/service-name';

const serviceSpec = z.object({
  type: z.enum(['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName']).default('ClusterIP'),
  ports: z.array(z.object({name: z.string().default(''), port: z.number()})).default([]),
  ipFamilies: z.array(z.enum(['IPv4', 'IPv6'])).default([]),
});

const nameOf = ({metadata: {namespace = '', name}}: KubeObject): {namespace: string; name: string} => ({
  namespace,
  name,
});

/** What a newer Kubernetes may have changed counts as a Service without ports. */
export function readService(object: KubeObject): ServiceValue {
  const parsed = serviceSpec.safeParse(object['spec'] ?? {});
  if (!parsed.success) return {...nameOf(object), type: 'ClusterIP', ports: []};
  const {type, ports, ipFamilies} = parsed.data;
  const [ipFamily] = ipFamilies;
  return {...nameOf(object), type, ports, ...(ipFamily !== undefined && {ipFamily})};
}

const secretData = z.record(z.string(), z.string()).catch({});

/** What is no UTF-8 comes with U+FFFD in its place, which no header can hold. */
export function readSecretObject(object: KubeObject): SecretValue {
  const {uid = '', resourceVersion = ''} = object.metadata;
  const entries = Object.entries(secretData.parse(object['data'] ?? {}));
  const values = Object.fromEntries(entries.map(([key, text]) => [key, Buffer.from(text, 'base64').toString('utf8')]));
  return {...nameOf(object), uid, resourceVersion, values};
}

const flag = z.boolean().nullish();
const sliceObject = z.object({
  addressType: z.enum(['IPv4', 'IPv6', 'FQDN']),
  ports: z.array(z.object({name: z.string().nullish(), port: z.number().nullish()})).nullish(),
  endpoints: z
    .array(
      z.object({
        addresses: z.array(z.string()),
        conditions: z.object({ready: flag, serving: flag, terminating: flag}).nullish(),
      }),
    )
    .nullish(),
});

/** Undefined: it cannot be read, or belongs to no Service. */
export function readSlice(object: KubeObject): EndpointSlice | undefined {
  const serviceName = object.metadata.labels?.[serviceNameLabel];
  const parsed = sliceObject.safeParse(object);
  if (serviceName === undefined || !parsed.success) return undefined;
  const {addressType, ports, endpoints} = parsed.data;
  return {
    namespace: object.metadata.namespace ?? '',
    serviceName,
    addressType,
    ports: (ports ?? []).flatMap(({name, port}) => (typeof port === 'number' ? [{name: name ?? '', port}] : [])),
    endpoints: (endpoints ?? []).map(({addresses, conditions}) => ({
      addresses,
      ...(typeof conditions?.ready === 'boolean' && {ready: conditions.ready}),
      ...(typeof conditions?.serving === 'boolean' && {serving: conditions.serving}),
      ...(typeof conditions?.terminating === 'boolean' && {terminating: conditions.terminating}),
    })),
  };
}

export type ProxyAddresses = {ready: string[]; all: string[]};

/** Where a gateway's proxies are, from the slices of its Service: one family, what is going left out. */
export function proxyAddresses(slices: readonly EndpointSlice[]): ProxyAddresses {
  const families = new Set(slices.map(({addressType}) => addressType));
  const family = families.has('IPv4') ? 'IPv4' : 'IPv6';
  const endpoints = slices
    .filter(({addressType}) => addressType === family)
    .flatMap((slice) => slice.endpoints)
    .filter(({terminating}) => terminating !== true);
  const addressesOf = (list: typeof endpoints): string[] => [
    ...new Set(
      list.flatMap(({addresses}) => addresses.slice(0, 1)).filter((address) => isIPv4(address) === (family === 'IPv4')),
    ),
  ];
  return {ready: addressesOf(endpoints.filter(({ready}) => ready !== false)), all: addressesOf(endpoints)};
}
