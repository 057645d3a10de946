/** The live side of a config: routes with breakers, connections and counts. A new config takes over the state of what stays. */
import {serviceKey, type Endpoint, type EndpointTable} from '../config/endpoint.ts';
import {
  credentialKey,
  type BackendConfig,
  type Credentials,
  type GatewayConfig,
  type RouteConfig,
} from '../config/schema.ts';
import {createEjection, type Ejection} from '../routing/ejection.ts';
import {createModelTable, type ModelTable} from '../routing/match.ts';
import {toRungs, type RungView} from '../routing/pick.ts';
import {createRetryBudget, type RetryBudget} from '../routing/retry-budget.ts';
import {createStrategist} from '../routing/strategies.ts';
import {createBreaker, type Breaker, type BreakerState} from './breaker.ts';
import type {Clock} from './clock.ts';
import {createConnections, type Connections} from './connections.ts';

export type LiveEndpoint = {
  readonly id: string;
  /** For logs and the admin port; never for callers. */
  readonly address: string;
  readonly connections: Connections;
  ejection: Ejection;
  inFlight: number;
  latencyMs: number;
  latencyAt: number;
  heldUntil: number;
  isEjected(now: number): boolean;
};

/** What outlives a change of config, as long as target and credential stay. */
type BackendState = {
  readonly breaker: Breaker;
  readonly endpoints: Map<string, LiveEndpoint>;
  inFlight: number;
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
};

export type LiveGateway = {
  readonly config: GatewayConfig;
  readonly routes: readonly LiveRoute[];
  readonly models: ModelTable<LiveRoute>;
  /** By route, backend, target and credential. */
  readonly states: ReadonlyMap<string, BackendState>;
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

const stateKey = (route: RouteConfig, {name, target, auth}: BackendConfig): string =>
  JSON.stringify([
    route.namespace,
    route.name,
    name,
    target,
    auth && [auth.headerName, auth.prefix, credentialKey(auth.credential)],
  ]);

type Builder = {
  input: LiveInput;
  previous: LiveGateway | undefined;
  context: LiveContext;
  states: Map<string, BackendState>;
  connections: Map<string, Connections>;
};

function connectionsTo(origin: string, {previous, connections}: Builder): Connections {
  const existing = connections.get(origin) ?? previous?.connections.get(origin) ?? createConnections(origin);
  connections.set(origin, existing);
  return existing;
}

/** Before the first sample: low enough to be tried, high enough not to draw every request at once. */
const unknownLatencyMs = 100;

function createEndpoint(id: string, address: string, connections: Connections, ejection: Ejection): LiveEndpoint {
  return {
    id,
    address,
    connections,
    ejection,
    inFlight: 0,
    latencyMs: unknownLatencyMs,
    latencyAt: -Infinity,
    heldUntil: -Infinity,
    isEjected(now) {
      return this.ejection.isEjected(now);
    },
  };
}

function takeState(route: RouteConfig, config: BackendConfig, {previous, context, states}: Builder): BackendState {
  const key = stateKey(route, config);
  const state = previous?.states.get(key) ?? {
    breaker: createBreaker(route.circuitBreaker, context.clock, (next) => context.breakerChanged(route, config, next)),
    endpoints: new Map<string, LiveEndpoint>(),
    inFlight: 0,
    lastError: undefined,
    refusesStreamOptions: false,
    notSpoken: new Map<string, number>(),
  };
  state.breaker.setPolicy(route.circuitBreaker);
  states.set(key, state);
  return state;
}

function authHeadersOf({auth}: BackendConfig, credentials: Credentials): string[] {
  if (auth === undefined) return [];
  const value = credentials.get(credentialKey(auth.credential));
  if (value === undefined) throw new Error(`bug: the credential ${auth.credential.name} of a backend has not arrived`);
  return [auth.headerName, `${auth.prefix}${value}`];
}

function buildBackend(route: RouteConfig, config: BackendConfig, builder: Builder): LiveBackend {
  const state = takeState(route, config, builder);
  const endpoints = originsOf(config, builder.input.endpoints).map(({origin, address}) => {
    const id = `${config.name}/${address}`;
    const connections = connectionsTo(origin, builder);
    return state.endpoints.get(id) ?? createEndpoint(id, address, connections, createEjection(route.circuitBreaker));
  });
  state.endpoints.clear();
  for (const endpoint of endpoints) state.endpoints.set(endpoint.id, endpoint);
  return {
    config,
    weight: config.weight,
    priority: config.priority,
    maxEjectionPercent: route.circuitBreaker.maxEjectionPercent,
    state,
    endpoints,
    basePath: basePathOf(config),
    authHeaders: authHeadersOf(config, builder.input.credentials),
    isFull: () => state.inFlight >= (config.maxConcurrentRequests ?? Infinity),
    admits: (now) => state.breaker.admits(now),
  };
}

function buildRoute(config: RouteConfig, builder: Builder): LiveRoute {
  const backends = config.backends.map((backend) => buildBackend(config, backend, builder));
  return {
    config,
    modelNames: config.modelNames,
    backends,
    rungs: toRungs(backends).map((rung) => ({backends: rung, choose: createStrategist(config.loadBalancing.strategy)})),
    budget: createRetryBudget(config.retry.budgetPercent),
  };
}

/** Builds all of it before anything is replaced; throws only what is a bug. */
export function buildLive(input: LiveInput, previous: LiveGateway | undefined, context: LiveContext): LiveGateway {
  const builder: Builder = {input, previous, context, states: new Map(), connections: new Map()};
  const routes = input.config.routes.map((route) => buildRoute(route, builder));
  return {
    config: input.config,
    routes,
    models: createModelTable(routes),
    states: builder.states,
    connections: builder.connections,
  };
}

/** Lets go of what `next` did not take over; attempts that still run there go on to their end. */
export function retire(previous: LiveGateway, next: LiveGateway | undefined): void {
  for (const [origin, connections] of previous.connections)
    if (next?.connections.get(origin) !== connections) connections.close();
  for (const [key, state] of previous.states) if (next?.states.get(key) !== state) state.breaker.close();
}
