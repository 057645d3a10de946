/** EndpointSlices → the endpoints of each Service port, by the rules of the EndpointSlice API. */
import {
  isReadyEndpoint,
  serviceKey,
  type Endpoint,
  type EndpointSlice,
  type EndpointTable,
} from '../config/endpoint.ts';

type Conditions = EndpointSlice['endpoints'][number];
type Family = EndpointSlice['addressType'];

/** The address family of a Service; undefined: that of its first slice. */
export type FamilyOf = (service: Pick<EndpointSlice, 'namespace' | 'serviceName'>) => Family | undefined;

type Tier = Map<string, Endpoint>;

/** Of these, in this order, the first that is not empty is what a Service has. */
type Tiers = {ready: Tier; draining: Tier; unready: Tier};

/** Undefined: it terminates and serves no longer. */
function tierOf(endpoint: Conditions): keyof Tiers | undefined {
  if (isReadyEndpoint(endpoint)) return 'ready';
  if (endpoint.terminating !== true) return 'unready';
  return endpoint.serving === true ? 'draining' : undefined;
}

const toEndpoint = (address: string, port: number, {zone, hintZones}: Conditions): Endpoint => ({
  address,
  port,
  ...(zone === undefined ? {} : {zone}),
  ...(hintZones === undefined ? {} : {zones: hintZones}),
});

function addSlice(slice: EndpointSlice, port: number, tiers: Tiers): void {
  for (const endpoint of slice.endpoints) {
    const tier = tierOf(endpoint);
    const address = endpoint.addresses[0]; // all addresses of an endpoint are the same one; the API says to use the first
    if (tier !== undefined && address !== undefined)
      tiers[tier].set(`${address} ${port}`, toEndpoint(address, port, endpoint));
  }
}

function firstTier({ready, draining, unready}: Tiers): Endpoint[] {
  if (ready.size > 0) return [...ready.values()];
  if (draining.size > 0) return [...draining.values()];
  return Array.from(unready.values(), (endpoint) => ({...endpoint, lastResort: true as const}));
}

/**
 * All slices of a Service joined, each address and port once, one address family. If none is ready, those that still serve while they
 * terminate; if there are none of these either, those that are not ready, marked as last resort.
 */
export function joinSlices(slices: readonly EndpointSlice[], familyOf: FamilyOf = () => undefined): EndpointTable {
  const found = new Map<string, Tiers>();
  const families = new Map<string, Family>();
  for (const slice of slices) {
    const service = `${slice.namespace}/${slice.serviceName}`;
    const family = families.get(service) ?? familyOf(slice) ?? slice.addressType;
    families.set(service, family);
    if (slice.addressType !== family) continue;
    for (const {name, port} of slice.ports) {
      const key = serviceKey({namespace: slice.namespace, name: slice.serviceName, portName: name});
      const entry = found.get(key) ?? {ready: new Map(), draining: new Map(), unready: new Map()};
      found.set(key, entry);
      addSlice(slice, port, entry);
    }
  }
  return new Map(Array.from(found, ([key, tiers]) => [key, firstTier(tiers)]));
}
