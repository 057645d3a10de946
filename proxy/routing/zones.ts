/** Which endpoints a proxy uses that is to stay in its own zone. */
import type {Endpoint} from '../config/endpoint.ts';

const isMeantFor =
  (zone: string) =>
  ({zones}: Endpoint): boolean =>
    zones?.includes(zone) === true;

/**
 * Those that the API's hints mean for the proxy's own zone, or, where any endpoint has no hints, those that run in it; all, if that leaves
 * none, or if the own zone is not known. https://kubernetes.io/docs/concepts/services-networking/topology-aware-routing/#safeguards
 */
export function endpointsForZone(endpoints: readonly Endpoint[], zone: string | undefined): readonly Endpoint[] {
  if (zone === undefined) return endpoints;
  const isHinted = endpoints.every(({zones}) => zones !== undefined && zones.length > 0);
  const own = endpoints.filter(isHinted ? isMeantFor(zone) : (endpoint) => endpoint.zone === zone);
  return own.length > 0 ? own : endpoints;
}
