/** An EndpointSlice document (discovery.k8s.io/v1) to the parts of it that matter. */
import {isIPv4, isIPv6} from 'node:net';
import {z} from 'zod';
import type {EndpointSlice} from '../../proxy/config/endpoint.ts';
import {readEndpoint, serviceLabel} from '../../proxy/config/slice.ts';
import type {SourceObject} from './identity.ts';
import {type FileProblem, problemAt} from './problem.ts';
import {schemaProblems} from './schema-problems.ts';

const condition = z.boolean('must be true or false').nullish();

const sliceSchema = z.strictObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.object({
    labels: z.object(
      {
        [serviceLabel]: z
          .string(`missing: it names the Service that the endpoints belong to`)
          .min(1, 'must name a Service'),
      },
      `missing: add the label ${serviceLabel}, which names the Service`,
    ),
  }),
  addressType: z.enum(['IPv4', 'IPv6', 'FQDN'], 'must be IPv4, IPv6 or FQDN'),
  ports: z
    .array(
      z.object({
        name: z.string('must be text').nullish(),
        port: z
          .int('must be a port number from 1 to 65535')
          .min(1, 'must be at least 1')
          .max(65_535, 'must be at most 65535'),
      }),
      'missing: list at least one port, such as {port: 8000}',
    )
    .min(1, 'list at least one port, such as {port: 8000}'),
  endpoints: z.array(
    z.object({
      addresses: z
        .array(z.string('must be text'), 'missing: give the address, such as [127.0.0.1]')
        .min(1, 'give the address, such as [127.0.0.1]'),
      conditions: z.object({ready: condition, serving: condition, terminating: condition}).nullish(),
      zone: z.string('must be text').nullish(),
      hints: z
        .object({forZones: z.array(z.object({name: z.string('must be text')}), 'must be a list of zones').nullish()})
        .nullish(),
    }),
    'missing: list the addresses, such as [{addresses: [127.0.0.1]}] (an empty list if there are none)',
  ),
});

type SliceDocument = z.infer<typeof sliceSchema>;

export type ReadEndpointSlice = {slice?: EndpointSlice; problems: FileProblem[]};

const addressIsWrong: Record<SliceDocument['addressType'], (address: string) => boolean> = {
  IPv4: (address) => !isIPv4(address),
  IPv6: (address) => !isIPv6(address),
  FQDN: (address) => !/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(address),
};

const addressProblems = (object: SourceObject, {addressType, endpoints}: SliceDocument): FileProblem[] =>
  endpoints.flatMap(({addresses}, endpoint) =>
    addresses.flatMap((address, index) =>
      addressIsWrong[addressType](address)
        ? [problemAt(object, ['endpoints', endpoint, 'addresses', index], `"${address}" is no ${addressType} address`)]
        : [],
    ),
  );

export const readEndpointSlice = (object: SourceObject): ReadEndpointSlice => {
  const parsed = sliceSchema.safeParse(object.value);
  if (!parsed.success) return {problems: schemaProblems(object, parsed.error)};
  const {metadata, addressType, ports, endpoints} = parsed.data;
  const slice: EndpointSlice = {
    namespace: object.namespace,
    serviceName: metadata.labels[serviceLabel],
    addressType,
    ports: ports.map(({name, port}) => ({name: name ?? '', port})),
    endpoints: endpoints.map(readEndpoint),
  };
  return {slice, problems: addressProblems(object, parsed.data)};
};
