/** EndpointSlices → the endpoints of each Service port, by the rules of the EndpointSlice API. */
import {serviceKey, type Endpoint, type EndpointSlice, type EndpointTable} from '../config/endpoint.ts';

type Conditions = EndpointSlice['endpoints'][number];

/** Absent means ready: https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions */
const isReady = (endpoint: Conditions): boolean => endpoint.ready !== false && endpoint.terminating !== true;
const isDraining = (endpoint: Conditions): boolean => endpoint.serving === true && endpoint.terminating === true;

type Found = {ready: Map<string, Endpoint>; draining: Map<string, Endpoint>};

function addSlice(slice: EndpointSlice, port: number, found: Found): void {
  for (const endpoint of slice.endpoints) {
    const into = isReady(endpoint) ? found.ready : isDraining(endpoint) ? found.draining : undefined;
    const address = endpoint.addresses[0]; // all addresses of an endpoint are the same one; the API says to use the first
    if (into === undefined || address === undefined) continue;
    into.set(`${address} ${port}`, {address, port, ...(endpoint.zone === undefined ? {} : {zone: endpoint.zone})});
  }
}

/** All slices of a Service joined, each address and port once, one address family; if none is ready, those that still serve. */
export function joinSlices(slices: readonly EndpointSlice[]): EndpointTable {
  const found = new Map<string, Found>();
  const families = new Map<string, EndpointSlice['addressType']>();
  for (const slice of slices) {
    const service = `${slice.namespace}/${slice.serviceName}`;
    const family = families.get(service) ?? slice.addressType;
    families.set(service, family);
    if (slice.addressType !== family) continue;
    for (const {name, port} of slice.ports) {
      const key = serviceKey({namespace: slice.namespace, name: slice.serviceName, portName: name});
      const entry = found.get(key) ?? {ready: new Map<string, Endpoint>(), draining: new Map<string, Endpoint>()};
      found.set(key, entry);
      addSlice(slice, port, entry);
    }
  }
  return new Map(
    [...found].map(([key, {ready, draining}]) => [key, [...(ready.size > 0 ? ready : draining).values()]]),
  );
}
