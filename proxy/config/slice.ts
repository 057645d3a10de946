/** An EndpointSlice as the API server sends it (discovery.k8s.io/v1), to the parts of it that matter: on both sides of the contract. */
import {z} from 'zod';
import type {EndpointSlice} from './endpoint.ts';

export const serviceLabel = 'kubernetes.io/service-name';

const condition = z.boolean().nullish();

const sliceSchema = z.object({
  metadata: z.object({namespace: z.string(), labels: z.object({[serviceLabel]: z.string().min(1)})}),
  addressType: z.enum(['IPv4', 'IPv6', 'FQDN']),
  // Lists are null where there is nothing in them; a port without a number stands for all of them.
  ports: z
    .array(z.object({name: z.string().nullish(), port: z.int().nullish(), protocol: z.string().nullish()}))
    .nullish(),
  endpoints: z
    .array(
      z.object({
        addresses: z.array(z.string()),
        conditions: z.object({ready: condition, serving: condition, terminating: condition}).nullish(),
        zone: z.string().nullish(),
        hints: z.object({forZones: z.array(z.object({name: z.string()})).nullish()}).nullish(),
      }),
    )
    .nullish(),
});

type SliceObject = z.infer<typeof sliceSchema>;
type EndpointObject = NonNullable<SliceObject['endpoints']>[number];

const portsOf = ({ports}: SliceObject): EndpointSlice['ports'] =>
  (ports ?? []).flatMap(({name, port, protocol}) =>
    typeof port === 'number' && (protocol ?? 'TCP') === 'TCP' ? [{name: name ?? '', port}] : [],
  );

/** `key` with a value that is there. */
const given = <Key extends string, Value>(key: Key, value: Value | null | undefined): Partial<Record<Key, Value>> =>
  value === null || value === undefined ? {} : ({[key]: value} as Record<Key, Value>); // TypeScript widens computed keys

export const readEndpoint = ({
  addresses,
  conditions,
  zone,
  hints,
}: EndpointObject): EndpointSlice['endpoints'][number] => ({
  addresses,
  ...given('zone', zone),
  ...given(
    'hintZones',
    hints?.forZones?.map(({name}) => name),
  ),
  ...given('ready', conditions?.ready),
  ...given('serving', conditions?.serving),
  ...given('terminating', conditions?.terminating),
});

/** `problem`: the fields that cannot be read, and why. */
export function readSlice(object: unknown): {slice: EndpointSlice} | {problem: string} {
  const {data, error} = sliceSchema.safeParse(object);
  if (data === undefined)
    return {problem: error.issues.map(({path, message}) => `${path.join('.')}: ${message}`).join('; ')};
  const {metadata, addressType} = data;
  return {
    slice: {
      namespace: metadata.namespace,
      serviceName: metadata.labels[serviceLabel],
      addressType,
      ports: portsOf(data),
      endpoints: (data.endpoints ?? []).map(readEndpoint),
    },
  };
}
