/** Objects of Kubernetes' own kinds, as the API server sends them, to the parts that the plan knows. */
import {isIPv4} from 'node:net';
import {z} from 'zod';
import type {EndpointSlice} from '../../proxy/config/endpoint.ts';
import type {KubeObject} from '../../kube/objects.ts';
import type {SecretValue, ServiceValue} from '../plan/world.ts';

const serviceSpec = z.object({
  type: z.enum(['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName']).default('ClusterIP'),
  ports: z
    .array(z.object({name: z.string().default(''), port: z.number(), protocol: z.string().default('TCP')}))
    .default([]),
  ipFamilies: z.array(z.enum(['IPv4', 'IPv6'])).default([]),
});

const nameOf = ({metadata: {namespace = '', name}}: KubeObject): {namespace: string; name: string} => ({
  namespace,
  name,
});

/** With its TCP ports: UDP may use the same numbers. What a newer Kubernetes may have changed counts as a Service without ports. */
export function readService(object: KubeObject): ServiceValue {
  const parsed = serviceSpec.safeParse(object['spec'] ?? {});
  if (!parsed.success) return {...nameOf(object), type: 'ClusterIP', ports: []};
  const {type, ipFamilies} = parsed.data;
  const ports = parsed.data.ports.flatMap(({name, port, protocol}) => (protocol === 'TCP' ? [{name, port}] : []));
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
