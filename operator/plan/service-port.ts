/** The port of a Service to its port name in the EndpointSlices, which is how a proxy finds the pods' own port. */
import type {EndpointSlice} from '../../proxy/config/endpoint.ts';
import {backendNotFound, portNotFound} from '../api/conditions.ts';
import type {ServiceRef} from '../api/generated.ts';
import type {Problem} from './world.ts';

export type ResolvedPort =
  {portName: string} | {fault: Pick<Problem, 'reason' | 'message'> & {path: readonly string[]}};

/**
 * Slices do not know the ports of their Service: the number is taken as that of the pods if they have it; else, if the pods
 * have one port only, it must be that one.
 */
export const resolvePort = (
  {name, port}: ServiceRef,
  namespace: string,
  slices: readonly EndpointSlice[],
): ResolvedPort => {
  const ofService = slices.filter((slice) => slice.namespace === namespace && slice.serviceName === name);
  if (ofService.length === 0) {
    const message =
      `no endpoints of Service ${namespace}/${name} are known: ` +
      `add an EndpointSlice with the label kubernetes.io/service-name: ${name} in namespace ${namespace}, or use url`;
    return {fault: {path: ['serviceRef', 'name'], reason: backendNotFound, message}};
  }
  const ports = ofService.flatMap((slice) => slice.ports);
  const byNumber = ports.find((candidate) => candidate.port === port);
  if (byNumber !== undefined) return {portName: byNumber.name};
  const [only, ...others] = new Set(ports.map((candidate) => candidate.name));
  if (only !== undefined && others.length === 0) return {portName: only};
  const known = [...new Set(ports.map((candidate) => candidate.port))].sort((a, b) => a - b).join(', ');
  const message = `the EndpointSlices of Service ${namespace}/${name} have no port ${port}: use one of ${known}`;
  return {fault: {path: ['serviceRef', 'port'], reason: portNotFound, message}};
};
