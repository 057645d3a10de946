/** The live side of a config: routes with breakers, connections and counts. A new config takes over the state of what stays. */
import {serviceKey, type Endpoint, type EndpointTable} from '../config/endpoint.ts';
import {
  credentialKey,
  routeName,
  type BackendConfig,
  type Credentials,
  type GatewayConfig,
  type RouteConfig,
} from '../config/schema.ts';
import {createEjection, maxEjected, type Ejection} from '../routing/ejection.ts';
import {createModelTable, type ModelTable} from '../routing/match.ts';
import {toRungs, type RungView} from '../routing/pick.ts';
import {createRetryBudget, type RetryBudget} from '../routing/retry-budget.ts';
import {createStrategist, type Strategist} from '../routing/strategies.ts';
import {createBreaker, type Breaker, type BreakerState} from './breaker.ts';
import type {Clock} from './clock.ts';
import {createConnections, type Connections} from './connections.ts';

/** Attempts that run. Outlives even a changed credential: the server behind it is the same one, and as busy. */
export type Load = {inFlight: number};

export type LiveEndpoint = {
  readonly id: string;
  /** For logs and the admin port; never for callers. */
  readonly address: string;
  readonly connections: Connections;
  readonly ejection: Ejection;
  readonly load: Load;
  readonly inFlight: number;
  latencyMs: number;
  latencyAt: number;
  heldUntil: number;
  isEjected(now: number): boolean;
};

/** What outlives a change of config, as long as target and credential stay. */
export type BackendState = {
  readonly breaker: Breaker;
  readonly load: Load;
  readonly inFlight: number;
  lastError: {at: string; message: string} | undefined;
  /** Learnt: it refuses `stream_options`. */
  refusesStreamOptions: boolean;
  /** Learnt: APIs that it does not speak, until when. */
  readonly notSpoken: Map<string, number>;
};

export type LiveBackend = {
  readonly config: BackendConfig;
  readonly weight: number;
  readonly priority: number;
  readonly maxEjectionPercent: number;
  readonly state: BackendState;
  readonly endpoints: readonly LiveEndpoint[];
  /** Stands where the caller's `/v1` stands; '' or `/…` without a slash at the end. */
  readonly basePath: string;
  /** Flat: name, value. */
  readonly authHeaders: readonly string[];
  isFull(): boolean;
  admits(now: number): boolean;
};

export type LiveRoute = {
  readonly config: RouteConfig;
  readonly modelNames: readonly string[];
  readonly backends: readonly LiveBackend[];
  readonly rungs: readonly RungView<LiveBackend>[];
  readonly budget: RetryBudget;
  /** What strategies remember, by rung. */
  readonly strategists: ReadonlyMap<string, Strategist>;
};

export type LiveGateway = {
  readonly config: GatewayConfig;
  readonly routes: readonly LiveRoute[];
  readonly models: ModelTable<LiveRoute>;
  /** By route, name and target: where the next config finds what it takes over. */
  readonly backends: ReadonlyMap<string, LiveBackend>;
  readonly connections: ReadonlyMap<string, Connections>;
};

export type LiveInput = {config: GatewayConfig; credentials: Credentials; endpoints: EndpointTable};

export type LiveContext = {
  clock: Clock;
  breakerChanged(route: RouteConfig, backend: BackendConfig, state: BreakerState): void;
};

/** Endpoints as origin and name; a URL is one endpoint. */
function originsOf({target}: BackendConfig, endpoints: EndpointTable): {origin: string; address: string}[] {
  if (target.type === 'Url') {
    const {origin, host} = new URL(target.url);
    return [{origin, address: host}];
  }
  const host = ({address, port}: Endpoint): string => `${address.includes(':') ? `[${address}]` : address}:${port}`;
  return (endpoints.get(serviceKey(target)) ?? []).map((endpoint) => ({
    origin: `http://${host(endpoint)}`,
    address: host(endpoint),
  }));
}

const basePathOf = ({target}: BackendConfig): string =>
  (target.type === 'Url' ? new URL(target.url).pathname : target.path).replace(/\/+$/, '');

const backendKey = (route: RouteConfig, {name, target}: BackendConfig): string =>
  JSON.stringify([routeName(route), name, target]);

const hasSameCredential = ({auth: one}: BackendConfig, {auth: other}: BackendConfig): boolean =>
  JSON.stringify(one) === JSON.stringify(other);

type Builder = {
  input: LiveInput;
  previous: LiveGateway | undefined;
  previousRoutes: ReadonlyMap<string, LiveRoute>;
  context: LiveContext;
  backends: Map<string, LiveBackend>;
  connections: Map<string, Connections>;
};

function connectionsTo(origin: string, {previous, connections}: Builder): Connections {
  const existing = connections.get(origin) ?? previous?.connections.get(origin) ?? createConnections(origin);
  connections.set(origin, existing);
  return existing;
}

/** Before the first sample: low enough to be tried, high enough not to draw every request at once. */
const unknownLatencyMs = 100;

type EndpointParts = Pick<LiveEndpoint, 'id' | 'address' | 'connections' | 'ejection' | 'load'>;

const createEndpoint = (parts: EndpointParts): LiveEndpoint => ({
  ...parts,
  get inFlight() {
    return parts.load.inFlight;
  },
  latencyMs: unknownLatencyMs,
  latencyAt: -Infinity,
  heldUntil: -Infinity,
  isEjected: (now) => parts.ejection.isEjected(now),
});

function createState(route: RouteConfig, config: BackendConfig, load: Load, context: LiveContext): BackendState {
  return {
    breaker: createBreaker(route.circuitBreaker, context.clock, (next) => context.breakerChanged(route, config, next)),
    load,
    get inFlight() {
      return load.inFlight;
    },
    lastError: undefined,
    refusesStreamOptions: false,
    notSpoken: new Map(),
  };
}

function authHeadersOf({auth}: BackendConfig, credentials: Credentials): string[] {
  if (auth === undefined) return [];
  const value = credentials.get(credentialKey(auth.credential));
  if (value === undefined) throw new Error(`bug: the credential ${auth.credential.name} of a backend has not arrived`);
  return [auth.headerName, `${auth.prefix}${value}`];
}

/** `before`: the same backend in the config before, at the same target. With another credential only its load is taken over. */
function buildEndpoints(
  route: RouteConfig,
  config: BackendConfig,
  before: LiveBackend | undefined,
  builder: Builder,
): LiveEndpoint[] {
  const known = new Map(before?.endpoints.map((endpoint) => [endpoint.id, endpoint]));
  const keeps = before !== undefined && hasSameCredential(before.config, config);
  return originsOf(config, builder.input.endpoints).map(({origin, address}) => {
    const id = `${config.name}/${address}`;
    const existing = known.get(id);
    const connections = connectionsTo(origin, builder);
    if (keeps && existing !== undefined) return existing;
    const load = existing?.load ?? {inFlight: 0};
    return createEndpoint({id, address, connections, ejection: createEjection(route.circuitBreaker), load});
  });
}

function buildBackend(route: RouteConfig, config: BackendConfig, builder: Builder): LiveBackend {
  const key = backendKey(route, config);
  const before = builder.previous?.backends.get(key);
  const authHeaders = authHeadersOf(config, builder.input.credentials);
  const state =
    before !== undefined && hasSameCredential(before.config, config)
      ? before.state
      : createState(route, config, before?.state.load ?? {inFlight: 0}, builder.context);
  const backend: LiveBackend = {
    config,
    weight: config.weight,
    priority: config.priority,
    maxEjectionPercent: route.circuitBreaker.maxEjectionPercent,
    state,
    endpoints: buildEndpoints(route, config, before, builder),
    basePath: basePathOf(config),
    authHeaders,
    isFull: () => state.inFlight >= (config.maxConcurrentRequests ?? Infinity),
    admits: (now) => state.breaker.admits(now),
  };
  builder.backends.set(key, backend);
  return backend;
}

function buildRoute(config: RouteConfig, builder: Builder): LiveRoute {
  const before = builder.previousRoutes.get(routeName(config));
  const backends = config.backends.map((backend) => buildBackend(config, backend, builder));
  const {strategy} = config.loadBalancing;
  const strategists = new Map<string, Strategist>();
  const rungs = toRungs(backends).map((rung) => {
    const key = `${rung[0]?.priority}/${strategy}`;
    const choose = before?.strategists.get(key) ?? createStrategist(strategy);
    strategists.set(key, choose);
    return {backends: rung, choose};
  });
  const budget = before?.budget ?? createRetryBudget();
  return {config, modelNames: config.modelNames, backends, rungs, budget, strategists};
}

/** What was taken over follows the new policy. Fewer endpoints may leave fewer of them out. */
function applyPolicy({circuitBreaker}: RouteConfig, {state, endpoints}: LiveBackend, now: number): void {
  state.breaker.setPolicy(circuitBreaker);
  for (const {ejection} of endpoints) ejection.setPolicy(circuitBreaker);
  const ejected = endpoints.filter((endpoint) => endpoint.isEjected(now));
  for (const {ejection} of ejected.slice(maxEjected(endpoints.length, circuitBreaker.maxEjectionPercent))) {
    ejection.release();
  }
}

/** Builds all of it before anything is replaced; throws only what is a bug. */
export function buildLive(input: LiveInput, previous: LiveGateway | undefined, context: LiveContext): LiveGateway {
  const builder: Builder = {
    input,
    previous,
    previousRoutes: new Map(previous?.routes.map((route) => [routeName(route.config), route])),
    context,
    backends: new Map(),
    connections: new Map(),
  };
  const routes = input.config.routes.map((route) => buildRoute(route, builder));
  const {backends, connections} = builder;
  const models = createModelTable(routes);
  for (const route of routes) {
    for (const backend of route.backends) applyPolicy(route.config, backend, context.clock.now());
  }
  return {config: input.config, routes, models, backends, connections};
}

/** Lets go of what `next` did not take over; attempts that still run there go on to their end. */
export function retire(previous: LiveGateway, next: LiveGateway | undefined): void {
  for (const [origin, connections] of previous.connections)
    if (next?.connections.get(origin) !== connections) connections.close();
  for (const [key, {state}] of previous.backends) if (next?.backends.get(key)?.state !== state) state.breaker.close();
}
