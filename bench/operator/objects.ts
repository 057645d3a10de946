/** Objects that the measurements work with. */
import type {KubeObject} from '../../kube/objects.ts';
import type {Resource} from './api.ts';

export const backendPort = 8_000;

/** Without an address of its own: a small range would not have enough of them. */
export const service = (namespace: string, name: string): Resource => ({
  kind: 'Service',
  metadata: {namespace, name},
  spec: {clusterIP: 'None', selector: {app: name}, ports: [{name: 'http', port: backendPort}]},
});

/** As the control plane makes it. */
export const slice = (
  namespace: string,
  serviceName: string,
  addresses: readonly string[],
  port: number = backendPort,
): Resource => ({
  kind: 'EndpointSlice',
  metadata: {namespace, name: `${serviceName}-1`, labels: {'kubernetes.io/service-name': serviceName}},
  addressType: 'IPv4',
  ports: [{name: 'http', port, protocol: 'TCP'}],
  endpoints: addresses.map((address) => ({
    addresses: [address],
    conditions: {ready: true, serving: true, terminating: false},
  })),
});

export const secret = (namespace: string, name: string): Resource => ({
  kind: 'Secret',
  metadata: {namespace, name},
  stringData: {apiKey: `sk-${namespace}-${name}`},
});

const onService = (name: string): object => ({name: 'local', serviceRef: {name, port: backendPort}});

const onUrl = (secretName: string): object => ({
  name: 'cloud',
  priority: 1,
  url: 'https://cloud.example/v1',
  model: 'gpt-large',
  auth: {secretRef: {name: secretName}},
});

/** `turn`: each makes another one of it. */
export const route = (namespace: string, name: string, turn = 0): Resource => ({
  kind: 'ModelRoute',
  metadata: {namespace, name},
  spec: {backends: [onService(name), onUrl(name)], timeouts: {request: `${600 + turn}s`}},
});

/** A route, the Service with three endpoints and the Secret that it names. */
export const wholeRoute = (namespace: string, name: string, number: number): Resource[] => {
  const address = (last: number): string => `10.${64 + (number >> 8)}.${number & 255}.${last}`;
  return [
    service(namespace, name),
    slice(namespace, name, [address(1), address(2), address(3)]),
    secret(namespace, name),
    route(namespace, name),
  ];
};

type Condition = {type: string; status: string; reason: string; observedGeneration?: number};

export const conditionsOf = (object: KubeObject): Condition[] =>
  ((object['status'] ?? {}) as {conditions?: Condition[]}).conditions ?? [];

const types = ['Accepted', 'ResolvedRefs', 'Programmed', 'Ready'];

/** Whether its status speaks of the spec that it has now. */
export const hasStatus = (object: KubeObject): boolean =>
  types.every((type) =>
    conditionsOf(object).some(
      (condition) => condition.type === type && condition.observedGeneration === object.metadata.generation,
    ),
  );

/** `True/Ready`; '' if it is not said yet of the spec that it has now. */
export const conditionOf = (object: KubeObject | undefined, type: string): string => {
  const found = object === undefined ? undefined : conditionsOf(object).find((each) => each.type === type);
  return found === undefined || found.observedGeneration !== object?.metadata.generation
    ? ''
    : `${found.status}/${found.reason}`;
};
