/** Policy of one route: what the route says, else its gateway's `defaults`, else the product's, field by field. */
import {type BackendTimeouts, retryReasons, type RouteConfig} from '../../proxy/config/schema.ts';
import type {Backend, BackendTimeouts as BackendTimeoutsSpec, ModelRouteSpec, RouteDefaults} from '../api/generated.ts';
import {parseDuration} from './duration.ts';

export const productDefaults = {
  timeouts: {connect: '2s', firstToken: '60s', tokenIdle: '30s', request: '10m'},
  retry: {maxAttempts: 3, maxWait: '2s', retryOn: [...retryReasons], budgetPercent: 20},
  circuitBreaker: {
    failurePercent: 50,
    minRequests: 20,
    consecutiveFailures: 5,
    window: '30s',
    openDuration: '5s',
    maxOpenDuration: '20s',
    maxEjectionPercent: 50,
    whenAllOpen: 'TryAll',
  },
  loadBalancing: {strategy: 'LeastRequest', zonePreference: 'None'},
  stream: {keepAlive: '15s'},
} as const;

export type RoutePolicy = Pick<RouteConfig, 'requestMs' | 'retry' | 'circuitBreaker' | 'loadBalancing' | 'stream'> & {
  /** Those of one backend. */
  timeouts: (backend: Backend) => BackendTimeouts;
};

const circuitBreaker = (route: ModelRouteSpec, defaults: RouteDefaults): RouteConfig['circuitBreaker'] => {
  const {window, openDuration, maxOpenDuration, ...rest} = {
    ...productDefaults.circuitBreaker,
    ...defaults.circuitBreaker,
    ...route.circuitBreaker,
  };
  const openDurationMs = parseDuration(openDuration);
  return {
    ...rest,
    windowMs: parseDuration(window),
    openDurationMs,
    // Each alone may come from somewhere else, so that no schema rule has seen them together.
    maxOpenDurationMs: Math.max(openDurationMs, parseDuration(maxOpenDuration)),
  };
};

const retry = (route: ModelRouteSpec, defaults: RouteDefaults): RouteConfig['retry'] => {
  const {maxAttempts, maxWait, retryOn, budgetPercent} = {...productDefaults.retry, ...defaults.retry, ...route.retry};
  return {maxAttempts, maxWaitMs: parseDuration(maxWait), retryOn: [...retryOn], budgetPercent};
};

const backendTimeouts = ({
  connect,
  firstToken,
  tokenIdle,
  attempt,
}: Required<Omit<BackendTimeoutsSpec, 'attempt'>> & {attempt?: string}): BackendTimeouts => ({
  connectMs: parseDuration(connect),
  firstTokenMs: parseDuration(firstToken),
  tokenIdleMs: parseDuration(tokenIdle),
  ...(attempt === undefined ? {} : {attemptMs: parseDuration(attempt)}),
});

export const routePolicy = (route: ModelRouteSpec, defaults: RouteDefaults = {}): RoutePolicy => {
  const timeouts = {...productDefaults.timeouts, ...defaults.timeouts, ...route.timeouts};
  const {keepAlive} = {...productDefaults.stream, ...defaults.stream, ...route.stream};
  return {
    requestMs: parseDuration(timeouts.request),
    retry: retry(route, defaults),
    circuitBreaker: circuitBreaker(route, defaults),
    loadBalancing: {...productDefaults.loadBalancing, ...defaults.loadBalancing, ...route.loadBalancing},
    stream: {keepAliveMs: parseDuration(keepAlive)},
    timeouts: (backend) => backendTimeouts({...timeouts, ...backend.timeouts}),
  };
};
