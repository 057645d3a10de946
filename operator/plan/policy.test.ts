import {describe, expect, it} from '@jest/globals';
import {urlBackend} from '../../test/objects.ts';
import type {Backend, ModelRouteSpec, RouteDefaults} from '../api/generated.ts';
import {routePolicy} from './policy.ts';

const policyOf = (route: Partial<ModelRouteSpec>, defaults?: RouteDefaults, backend: Partial<Backend> = {}) => {
  const {timeouts, ...policy} = routePolicy({backends: [], ...route}, defaults);
  return {...policy, timeouts: timeouts(urlBackend(backend))};
};

const productPolicy = {
  requestMs: 600_000,
  retry: {
    maxAttempts: 3,
    maxWaitMs: 2000,
    retryOn: ['ConnectFailure', 'Reset', 'ServerError', 'RateLimited', 'Timeout', 'MalformedReply'],
    budgetPercent: 20,
  },
  circuitBreaker: {
    failurePercent: 50,
    minRequests: 20,
    consecutiveFailures: 5,
    windowMs: 30_000,
    openDurationMs: 5000,
    maxOpenDurationMs: 20_000,
    maxEjectionPercent: 50,
    whenAllOpen: 'TryAll',
  },
  loadBalancing: {strategy: 'LeastRequest', zonePreference: 'None'},
  stream: {keepAliveMs: 15_000},
  timeouts: {connectMs: 2000, firstTokenMs: 60_000, tokenIdleMs: 30_000},
};

describe('the policy of a route', () => {
  it('is that of the product if nobody says anything', () => {
    expect(policyOf({})).toEqual(productPolicy);
  });

  const cases: Record<
    string,
    {route?: Partial<ModelRouteSpec>; defaults?: RouteDefaults; backend?: Partial<Backend>; expected: object}
  > = {
    'takes from the gateway what the route is silent about': {
      defaults: {timeouts: {connect: '3s'}, retry: {maxAttempts: 5}, stream: {keepAlive: '5s'}},
      expected: {
        timeouts: {...productPolicy.timeouts, connectMs: 3000},
        retry: {...productPolicy.retry, maxAttempts: 5},
        stream: {keepAliveMs: 5000},
      },
    },
    'prefers the route to the gateway, field by field': {
      route: {timeouts: {connect: '1s'}, circuitBreaker: {window: '1m'}},
      defaults: {timeouts: {connect: '3s', firstToken: '4s'}, circuitBreaker: {window: '2m', minRequests: 7}},
      expected: {
        timeouts: {...productPolicy.timeouts, connectMs: 1000, firstTokenMs: 4000},
        circuitBreaker: {...productPolicy.circuitBreaker, windowMs: 60_000, minRequests: 7},
      },
    },
    'prefers the backend to the route in its timeouts': {
      route: {timeouts: {connect: '1s', attempt: '20s'}},
      backend: {timeouts: {connect: '500ms', attempt: '10s'}},
      expected: {timeouts: {...productPolicy.timeouts, connectMs: 500, attemptMs: 10_000}},
    },
    'bounds no try unless someone says so': {
      route: {timeouts: {attempt: '20s'}},
      expected: {timeouts: {...productPolicy.timeouts, attemptMs: 20_000}},
    },
    'has the deadline of the gateway': {defaults: {timeouts: {request: '1h'}}, expected: {requestMs: 3_600_000}},
    'may retry nothing': {route: {retry: {retryOn: []}}, expected: {retry: {...productPolicy.retry, retryOn: []}}},
    'keeps zeros': {
      route: {retry: {maxWait: '0s', budgetPercent: 0}, circuitBreaker: {maxEjectionPercent: 0}},
      expected: {
        retry: {...productPolicy.retry, maxWaitMs: 0, budgetPercent: 0},
        circuitBreaker: {...productPolicy.circuitBreaker, maxEjectionPercent: 0},
      },
    },
    'lets the open time start no higher than it may grow': {
      route: {circuitBreaker: {openDuration: '1m'}},
      expected: {circuitBreaker: {...productPolicy.circuitBreaker, openDurationMs: 60_000, maxOpenDurationMs: 60_000}},
    },
    'has the strategy of the route': {
      route: {loadBalancing: {strategy: 'PrefixHash'}},
      defaults: {loadBalancing: {strategy: 'RoundRobin'}},
      expected: {loadBalancing: {strategy: 'PrefixHash', zonePreference: 'None'}},
    },
    'has the zone preference of the gateway': {
      route: {loadBalancing: {strategy: 'PeakEWMA'}},
      defaults: {loadBalancing: {strategy: 'RoundRobin', zonePreference: 'SameZone'}},
      expected: {loadBalancing: {strategy: 'PeakEWMA', zonePreference: 'SameZone'}},
    },
    'prefers the zone preference of the route': {
      route: {loadBalancing: {zonePreference: 'None'}},
      defaults: {loadBalancing: {zonePreference: 'SameZone'}},
      expected: {loadBalancing: {strategy: 'LeastRequest', zonePreference: 'None'}},
    },
  };
  it.each(Object.entries(cases))('%s', (_, {route = {}, defaults, backend, expected}) => {
    expect(policyOf(route, defaults, backend)).toEqual({...productPolicy, ...expected});
  });
});
