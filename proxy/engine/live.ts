/** The live side of a config: routes with breakers, connections and counts. A new config takes over the state of what stays. */
import type {EndpointTable} from '../config/endpoint.ts';
import {
  routeName,
  type BackendConfig,
  type BackendTarget,
  type Credentials,
  type GatewayConfig,
  type RouteConfig,
} from '../config/schema.ts';
import {maxEjected, type Ejection} from '../routing/ejection.ts';
import {createModelTable, type ModelTable} from '../routing/match.ts';
import {toRungs, type RungView} from '../routing/pick.ts';
import {createRetryBudget, type RetryBudget} from '../routing/retry-budget.ts';
import {createStrategist, type Strategist} from '../routing/strategies.ts';
import {resolveAccess, type Access} from './access.ts';
import {createBreaker, type Breaker, type BreakerState} from './breaker.ts';
import type {Clock} from './clock.ts';
import type {Connections} from './connections.ts';
import {buildEndpoints, hasSameCredentials, type Builder, type Pair} from './live-endpoints.ts';
import {basePathOf, isLastResort, type Place} from './places.ts';
import type {TlsSettings} from './tls-settings.ts';

/** Attempts that run. Outlives even a changed credential: the server behind it is the same one, and as busy. */
export type Load = {inFlight: number};

export type LiveEndpoint = Place & {
  readonly id: string;
  /** The same object for as long as nothing about it changes. Undefined: as the origin says, with what the system trusts. */
  readonly tls: TlsSettings | undefined;
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

export type LiveBackend = Access & {
  readonly config: BackendConfig;
  readonly weight: number;
  readonly priority: number;
  readonly maxEjectionPercent: number;
  readonly state: BackendState;
  /** None if its credentials are of no use, whatever its Service has. */
  readonly endpoints: readonly LiveEndpoint[];
  /** Those that have left with something to be remembered if they come back. */
  readonly departed: readonly LiveEndpoint[];
  /** None of its endpoints is ready. Each of them stays what it is while this turns. */
  readonly isLastResort: boolean;
  /** Its credentials are those that `config` names. */
  readonly isUsable: boolean;
  /** Why it has not the credentials that are wanted for it. */
  readonly credentialProblem: string | undefined;
  /** Stands where the caller's `/v1` stands; '' or `/…` without a slash at the end. */
  readonly basePath: string;
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

export type LiveInput = {
  config: GatewayConfig;
  credentials: Credentials;
  endpoints: EndpointTable;
  /** Where this proxy runs, as far as is known. */
  ownZone?: string | undefined;
};

export type LiveContext = {
  clock: Clock;
  breakerChanged(route: RouteConfig, backend: BackendConfig, state: BreakerState): void;
};

/** The same Service by another family of addresses is the same. */
const withoutFamily = (target: BackendTarget): object =>
  target.type === 'Service' ? {...target, ipFamily: undefined} : target;

const backendKey = (route: RouteConfig, {name, target}: BackendConfig): string =>
  JSON.stringify([routeName(route), name, withoutFamily(target)]);

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

const noAccess: Access = {authHeaders: [], tls: undefined};

/**
 * `wanted`, or, while the credentials that it names have not arrived or are of no use, the pair that the backend had before: a new
 * target never meets old credentials.
 */
function pairFor(wanted: BackendConfig, before: LiveBackend | undefined, credentials: Credentials): Pair {
  const usable = before?.isUsable === true ? before : undefined;
  if (usable !== undefined && hasSameCredentials(usable.config, wanted)) return {config: wanted, access: usable};
  const resolved = resolveAccess(wanted, credentials);
  if ('access' in resolved) return {config: wanted, access: resolved.access};
  if (usable === undefined) return {config: wanted, access: noAccess, problem: resolved.problem};
  const {target, auth, tls} = usable.config;
  return {config: {...wanted, target, auth, tls}, access: usable, problem: resolved.problem};
}
function buildBackend(route: RouteConfig, wanted: BackendConfig, builder: Builder): LiveBackend {
  const named = builder.previousRoutes.get(routeName(route))?.backends.find(({config}) => config.name === wanted.name);
  const pair = pairFor(wanted, named, builder.input.credentials);
  const {config, access, problem} = pair;
  const isUsable = access !== noAccess;
  const key = backendKey(route, config);
  const before = builder.previous?.backends.get(key);
  const state =
    before !== undefined && hasSameCredentials(before.config, config)
      ? before.state
      : createState(route, config, before?.state.load ?? {inFlight: 0}, builder.context);
  if (problem !== undefined) state.lastError = {at: new Date().toISOString(), message: problem};
  const backend: LiveBackend = {
    config,
    weight: config.weight,
    priority: config.priority,
    maxEjectionPercent: route.circuitBreaker.maxEjectionPercent,
    state,
    ...(isUsable ? buildEndpoints(route, pair, before, builder) : {endpoints: [], departed: []}),
    isLastResort: isLastResort(config, builder.input),
    isUsable,
    credentialProblem: problem,
    basePath: basePathOf(config),
    authHeaders: access.authHeaders,
    tls: access.tls,
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

/** What is asked now: until a credential has arrived that may be another target than the config's. */
export const targetsOf = ({backends}: LiveGateway): BackendTarget[] =>
  [...backends.values()].map(({config}) => config.target);

/** Lets go of what `next` did not take over; attempts that still run there go on to their end. */
export function retire(previous: LiveGateway, next: LiveGateway | undefined): void {
  for (const [origin, connections] of previous.connections)
    if (next?.connections.get(origin) !== connections) connections.close();
  for (const [key, {state}] of previous.backends) if (next?.backends.get(key)?.state !== state) state.breaker.retire();
}
