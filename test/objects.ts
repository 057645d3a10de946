/** Builders of resources for tests: valid, and as short as what the test is about. */
import type {Backend, ModelGateway, ModelGatewaySpec, ModelRoute, ModelRouteSpec} from '../operator/api/generated.ts';
import type {ObjectMeta} from '../operator/api/resources.ts';
import type {SecretValue, World} from '../operator/plan/world.ts';
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
