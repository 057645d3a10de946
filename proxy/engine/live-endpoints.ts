/** The endpoints of one backend: those that stay are the same objects, with their connections, counts and what they are held for. */
import type {BackendConfig, RouteConfig} from '../config/schema.ts';
import {createEjection} from '../routing/ejection.ts';
import type {Access} from './access.ts';
import {createConnections, type Connections} from './connections.ts';
import type {LiveBackend, LiveContext, LiveEndpoint, LiveGateway, LiveInput, LiveRoute} from './live.ts';
import {placesOf, type Place} from './places.ts';

const credentialsOf = ({auth, tls}: BackendConfig): string => JSON.stringify([auth, tls]);

export const hasSameCredentials = (one: BackendConfig, other: BackendConfig): boolean =>
  credentialsOf(one) === credentialsOf(other);

/** What one config is built with. */
export type Builder = {
  input: LiveInput;
  previous: LiveGateway | undefined;
  previousRoutes: ReadonlyMap<string, LiveRoute>;
  context: LiveContext;
  backends: Map<string, LiveBackend>;
  connections: Map<string, Connections>;
};

/** A target with the credentials for it. */
export type Pair = {config: BackendConfig; access: Access; /** Why there are none of use. */ problem?: string};

/** Backends that speak TLS to one origin in different ways (`tlsKey`) share no connection, and no session. */
function connectionsTo(origin: string, tlsKey: string, {access}: Pair, builder: Builder): Connections {
  const {previous, connections} = builder;
  const key = `${origin} ${tlsKey}`;
  const existing = connections.get(key) ?? previous?.connections.get(key) ?? createConnections(origin, access.tls);
  connections.set(key, existing);
  return existing;
}

/** Before the first sample: low enough to be tried, high enough not to draw every request at once. */
const unknownLatencyMs = 100;

type EndpointParts = Place & Pick<LiveEndpoint, 'id' | 'tls' | 'connections' | 'ejection' | 'load'>;

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

/** `before`: the same backend in the config before, at the same target. With other credentials only its load is taken over. */
export function buildEndpoints(
  route: RouteConfig,
  pair: Pair,
  before: LiveBackend | undefined,
  builder: Builder,
): Pick<LiveBackend, 'endpoints' | 'departed'> {
  const {config, access} = pair;
  const known = new Map([...(before?.departed ?? []), ...(before?.endpoints ?? [])].map((each) => [each.id, each]));
  const isKept = before !== undefined && hasSameCredentials(before.config, config);
  const tlsKey = JSON.stringify(config.tls) ?? '';
  const endpoints = placesOf(config, route, builder.input).map((place) => {
    const id = `${config.name}/${place.address}`;
    const existing = known.get(id);
    known.delete(id);
    const connections = connectionsTo(place.origin, tlsKey, pair, builder);
    if (isKept && existing?.connections === connections) return existing;
    const load = existing?.load ?? {inFlight: 0};
    const parts = {...place, id, tls: access.tls, connections, load};
    return isKept && existing !== undefined
      ? returned(existing, parts)
      : createEndpoint({...parts, ejection: createEjection(route.circuitBreaker)});
  });
  const now = builder.context.clock.now();
  return {endpoints, departed: [...known.values()].filter((endpoint) => isRemembered(endpoint, now))};
}

/** It was away, so that its connections are others. */
const returned = (existing: LiveEndpoint, parts: Omit<EndpointParts, 'ejection'>): LiveEndpoint => {
  const {ejection, latencyMs, latencyAt, heldUntil} = existing;
  return Object.assign(createEndpoint({...parts, ejection}), {latencyMs, latencyAt, heldUntil});
};

/** A pod that misses a probe is back in a moment: as busy as it was, and no less in trouble. */
const isRemembered = (endpoint: LiveEndpoint, now: number): boolean =>
  endpoint.inFlight > 0 || endpoint.heldUntil > now || endpoint.isEjected(now);
