/** The port of a Service to its port name in the EndpointSlices, which is how a proxy finds the pods' own port. */
import type {EndpointSlice} from '../../proxy/config/endpoint.ts';
import {backendNotFound, invalid, portNotFound, type Reason} from '../api/conditions.ts';
import type {ServiceRef} from '../api/generated.ts';
import {isSameObject, nameText} from './metadata.ts';
import {listText} from './text.ts';
import type {BackendFault, ObjectName, ServiceValue, World} from './world.ts';

export type ResolvedPort = {portName: string; ipFamily?: 'IPv4' | 'IPv6'} | {fault: BackendFault};

const fault = (field: 'name' | 'port', reason: Reason, message: string): ResolvedPort => ({
  fault: {path: ['serviceRef', field], reason, message},
});

const numbers = (ports: readonly {port: number}[]): string =>
  listText([...new Set(ports.map(({port}) => port))].sort((a, b) => a - b).map(String), 20);

/** A port of a Service has the same name in its EndpointSlices. */
const portOfService = (port: number, service: ServiceValue): ResolvedPort => {
  const named = `Service ${nameText(service)}`;
  if (service.type === 'ExternalName') {
    return fault(
      'name',
      invalid,
      `${named} is of type ExternalName, which has no pods: use url with its external name`,
    );
  }
  const found = service.ports.find((candidate) => candidate.port === port);
  if (found !== undefined) {
    return {portName: found.name, ...(service.ipFamily === undefined ? {} : {ipFamily: service.ipFamily})};
  }
  const known = service.ports.length === 0 ? 'it has none' : `use one of ${numbers(service.ports)}`;
  return fault('port', portNotFound, `${named} has no port ${port}: ${known}`);
};

const portFromServices = (port: number, name: ObjectName, services: readonly ServiceValue[]): ResolvedPort => {
  const service = services.find((candidate) => isSameObject(candidate, name));
  if (service !== undefined) return portOfService(port, service);
  return fault('name', backendNotFound, `there is no Service ${nameText(name)}: add it, name another one, or use url`);
};

/**
 * Slices do not know the ports of their Service: the number is taken as that of the pods if they have it; else, if the pods
 * have one port only, it must be that one.
 */
const portFromSlices = (port: number, service: ObjectName, slices: readonly EndpointSlice[]): ResolvedPort => {
  const {namespace, name} = service;
  const ofService = slices.filter((slice) => slice.namespace === namespace && slice.serviceName === name);
  if (ofService.length === 0) {
    const message =
      `no endpoints of Service ${nameText(service)} are known: ` +
      `add an EndpointSlice with the label kubernetes.io/service-name: ${name} in namespace ${namespace}, or use url`;
    return fault('name', backendNotFound, message);
  }
  const ports = ofService.flatMap((slice) => slice.ports);
  const byNumber = ports.find((candidate) => candidate.port === port);
  if (byNumber !== undefined) return {portName: byNumber.name};
  const [only, ...others] = new Set(ports.map((candidate) => candidate.name));
  if (only !== undefined && others.length === 0) return {portName: only};
  const message = `the EndpointSlices of Service ${nameText(service)} have no port ${port}: use one of ${numbers(ports)}`;
  return fault('port', portNotFound, message);
};

/** In a cluster the Service itself says which ports it has; files hold slices alone. */
export const resolvePort = (
  {name, port}: ServiceRef,
  namespace: string,
  {services, slices}: Pick<World, 'services' | 'slices'>,
): ResolvedPort => {
  const service = {namespace, name};
  return services === undefined ? portFromSlices(port, service, slices) : portFromServices(port, service, services);
};
