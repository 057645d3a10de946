/** The one error that a caller gets when no backend has answered. */
import type {WireApi} from '../wire/api.ts';
import {RequestError, type ErrorCode} from '../wire/errors.ts';
import type {Call, Interruption} from './call.ts';
import type {Failure} from './failure.ts';
import type {LiveRoute} from './live.ts';
import type {Search} from './search.ts';

const seconds = (ms: number): string => String(Math.max(1, Math.ceil(ms / 1000)));

const nameOf = ({config}: LiveRoute): string => `${config.namespace}/${config.name}`;

const interruptions: Record<Interruption, {code: ErrorCode; headers: Record<string, string>}> = {
  CallerGone: {code: 'internal_error', headers: {}}, // nobody is there to read it
  DeadlineExceeded: {code: 'deadline_exceeded', headers: {}},
  ShuttingDown: {code: 'shutting_down', headers: {connection: 'close', 'retry-after': '1'}},
};

function interruptedError(route: LiveRoute, why: Interruption, told: string): RequestError {
  const {code, headers} = interruptions[why];
  const problem = why === 'ShuttingDown' ? 'this proxy is going away' : 'timeouts.request ran out';
  return new RequestError(
    code,
    `Route ${nameOf(route)} gave no whole answer, ${problem}${told === '' ? '' : `: ${told}`}.`,
    {headers},
  );
}

const notSpokenError = (route: LiveRoute, {path}: WireApi): RequestError =>
  new RequestError('api_not_supported', `No backend of route ${nameOf(route)} speaks /v1${path}.`);

/** No attempt could be made. `now`: time of the clock. */
export function unavailableError(route: LiveRoute, search: Search, call: Call, now: number): RequestError {
  if (call.interrupted !== undefined) return interruptedError(route, call.interrupted, '');
  if (!search.isSpoken()) return notSpokenError(route, call.request.api);
  const reasons = search.reasons();
  if (reasons.has('Held')) {
    const headers = {'retry-after': seconds(search.heldUntil() - now)};
    return new RequestError('backend_rate_limited', `Every backend of route ${nameOf(route)} asks to wait.`, {headers});
  }
  if (reasons.has('Full')) {
    const message = `Every backend of route ${nameOf(route)} is at its maxConcurrentRequests.`;
    return new RequestError('backends_full', message, {headers: {'retry-after': '1'}});
  }
  const opensAgain = Math.max(1000, Math.min(...route.backends.map(({state}) => state.breaker.opensAgainInMs(now))));
  const problem = reasons.has('Open') ? 'every circuit breaker is open' : 'no endpoint is ready';
  return new RequestError(
    'no_backend_available',
    `No backend of route ${nameOf(route)} can take the request: ${problem}.`,
    {
      headers: {'retry-after': seconds(Number.isFinite(opensAgain) ? opensAgain : 1000)},
    },
  );
}

/** Every attempt has failed, or the last one in a way that ends it. Never with an address in it: names and faults only. */
export function errorFrom(
  route: LiveRoute,
  failures: readonly {backend: string; failure: Failure}[],
  call: Call,
): RequestError {
  const last = failures.at(-1)?.failure;
  if (last === undefined) throw new Error('bug: there is no failure to report');
  const told = failures.map(({backend, failure}) => `${backend} ${failure.summary}`).join('; ');
  if (call.interrupted !== undefined) return interruptedError(route, call.interrupted, told);
  if (failures.every(({failure}) => failure.verdict?.fault === 'NotSpoken'))
    return notSpokenError(route, call.request.api);
  const waits = failures.map(({failure}) => failure.retryAfterMs).filter((wait) => wait !== undefined);
  const headers: Record<string, string> = waits.length > 0 ? {'retry-after': seconds(Math.min(...waits))} : {};
  return new RequestError(last.code, `Route ${nameOf(route)} got no whole answer: ${told}.`, {
    headers,
    cause: last.cause,
  });
}
