/** Where a backend is: the places to connect to, and what a request's path begins with there. */
import {serviceKey, type Endpoint} from '../config/endpoint.ts';
import type {BackendConfig, RouteConfig} from '../config/schema.ts';
import {endpointsForZone} from '../routing/zones.ts';
import type {LiveInput} from './live.ts';

export type Place = {
  /** Scheme, host and port. */
  readonly origin: string;
  /** For logs and the admin port; never for callers. */
  readonly address: string;
  /** Of the endpoint, where known. */
  readonly zone: string | undefined;
};

const hostOf = ({address, port}: Endpoint): string => `${address.includes(':') ? `[${address}]` : address}:${port}`;

/** Of a backend of this route. A URL is one place. */
export function placesOf({target, tls}: BackendConfig, {loadBalancing}: RouteConfig, input: LiveInput): Place[] {
  if (target.type === 'Url') {
    const {origin, host} = new URL(target.url);
    return [{origin, address: host, zone: undefined}];
  }
  const zone = loadBalancing.zonePreference === 'SameZone' ? input.ownZone : undefined;
  const scheme = tls === undefined ? 'http' : 'https';
  return endpointsForZone(input.endpoints.get(serviceKey(target)) ?? [], zone).map((endpoint) => {
    const address = hostOf(endpoint);
    return {origin: `${scheme}://${address}`, address, zone: endpoint.zone};
  });
}

/** All that its Service has is not ready: for when nothing else is left. */
export const isLastResort = ({target}: BackendConfig, {endpoints}: LiveInput): boolean =>
  target.type !== 'Url' && endpoints.get(serviceKey(target))?.some(({lastResort}) => lastResort === true) === true;

/** Stands where the caller's `/v1` stands; '' or `/…` without a slash at the end. */
export const basePathOf = ({target}: BackendConfig): string =>
  (target.type === 'Url' ? new URL(target.url).pathname : target.path).replace(/\/+$/, '');
