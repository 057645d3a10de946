/** Builders of resources for tests: valid, and as short as what the test is about. */
import type {Backend, ModelGateway, ModelGatewaySpec, ModelRoute, ModelRouteSpec} from '../operator/api/generated.ts';
import type {ObjectMeta} from '../operator/api/resources.ts';
import type {FleetState, LoadedReport, StatusInput} from '../operator/plan/fleet.ts';
import {plan} from '../operator/plan/plan.ts';
import type {SecretValue, ServiceValue, World} from '../operator/plan/world.ts';
import type {EndpointSlice} from '../proxy/config/endpoint.ts';

type Name = Partial<ObjectMeta>;

export const urlBackend = (backend: Partial<Backend> = {}): Backend => ({
  name: 'a',
  url: 'https://a.example/v1',
  ...backend,
});

export const modelRoute = (metadata: Name = {}, spec: Partial<ModelRouteSpec> = {}): ModelRoute => ({
  apiVersion: 'modelroute.dev/v1alpha1',
  kind: 'ModelRoute',
  metadata: {name: 'chat', namespace: 'team-a', ...metadata},
  spec: {backends: [urlBackend()], ...spec},
});

export const modelGateway = (metadata: Name = {}, spec: ModelGatewaySpec = {}): ModelGateway => ({
  apiVersion: 'modelroute.dev/v1alpha1',
  kind: 'ModelGateway',
  metadata: {name: 'models', namespace: 'team-a', ...metadata},
  spec,
});

export const secret = (secret: Partial<SecretValue> = {}): SecretValue => ({
  namespace: 'team-a',
  name: 'openai',
  uid: 'uid-1',
  resourceVersion: '7',
  values: {apiKey: 'sk-1'},
  ...secret,
});

export const service = (service: Partial<ServiceValue> = {}): ServiceValue => ({
  namespace: 'team-a',
  name: 'vllm',
  type: 'ClusterIP',
  ports: [{name: 'http', port: 8000}],
  ...service,
});

export const slice = (slice: Partial<EndpointSlice> = {}): EndpointSlice => ({
  namespace: 'team-a',
  serviceName: 'vllm',
  addressType: 'IPv4',
  ports: [{name: 'http', port: 8000}],
  endpoints: [{addresses: ['10.0.0.1']}],
  ...slice,
});

export const world = (world: Partial<World> = {}): World => ({
  gateway: {namespace: 'team-a', name: 'models'},
  gateways: [],
  routes: [],
  secrets: [],
  slices: [],
  ...world,
});

export const loadedReport = (report: Partial<LoadedReport> = {}): LoadedReport => ({
  address: '10.1.0.1',
  hash: 'new',
  missingCredentials: [],
  ...report,
});

/** One proxy that is ready and serves what is wanted. */
export const fleet = (fleet: Partial<FleetState> = {}): FleetState => ({
  replicas: 1,
  readyReplicas: 1,
  reports: [loadedReport()],
  readyAddresses: ['10.1.0.1'],
  published: new Map(),
  wantedHash: 'new',
  ...fleet,
});

/** What the plan makes of a world, with a fleet that serves it. */
export const statusInput = (given: World, state: FleetState = fleet()): StatusInput => {
  const {config, problems} = plan(given);
  const {gateways, routes, slices} = given;
  return {gateway: gateways[0], routes, slices, problems, config, fleet: state, now: '2026-11-21T12:00:00Z'};
};
