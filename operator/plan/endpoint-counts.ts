/** How many endpoints a backend has, from the EndpointSlices that its proxies read too. */
import {type EndpointSlice, isReadyEndpoint} from '../../proxy/config/endpoint.ts';
import type {BackendTarget} from '../../proxy/config/schema.ts';
import {nameText} from './metadata.ts';

export type EndpointCounts = {
  /** Known. */
  endpoints: number;
  /** That take requests of the backend. */
  readyEndpoints: number;
};

/** By `namespace/name` of the Service. */
export type SlicesByService = ReadonlyMap<string, readonly EndpointSlice[]>;

export const slicesByService = (slices: readonly EndpointSlice[]): SlicesByService =>
  Map.groupBy(slices, ({namespace, serviceName}) => nameText({namespace, name: serviceName}));

type ServiceTarget = Extract<BackendTarget, {type: 'Service'}>;

/** Each address and port once, of the Service's family; in several slices an endpoint is ready if one of them says so. */
const ofService = (target: ServiceTarget, slices: SlicesByService): EndpointCounts => {
  const all = slices.get(nameText(target)) ?? [];
  const family = target.ipFamily ?? all[0]?.addressType;
  const isReady = new Map<string, boolean>();
  for (const {addressType, ports, endpoints} of all) {
    if (addressType !== family) continue;
    for (const {port} of ports.filter(({name}) => name === target.portName)) {
      for (const endpoint of endpoints) {
        const key = `${endpoint.addresses[0]} ${port}`;
        isReady.set(key, isReady.get(key) === true || isReadyEndpoint(endpoint));
      }
    }
  }
  return {endpoints: isReady.size, readyEndpoints: [...isReady.values()].filter(Boolean).length};
};

/** A URL is one endpoint, and nobody knows beforehand whether it answers. */
export const countEndpoints = (target: BackendTarget, slices: SlicesByService): EndpointCounts =>
  target.type === 'Url' ? {endpoints: 1, readyEndpoints: 1} : ofService(target, slices);

/** Of a Service whose port is not resolved: its addresses. */
export const countAddresses = (service: string, slices: SlicesByService): number => {
  const all = slices.get(service) ?? [];
  const ofFamily = all.filter(({addressType}) => addressType === all[0]?.addressType);
  return new Set(ofFamily.flatMap(({endpoints}) => endpoints.map(({addresses}) => addresses[0]))).size;
};
