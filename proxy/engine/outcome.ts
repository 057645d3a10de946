/** The one error that a caller gets when no backend has answered. */
import {routeName} from '../config/schema.ts';
import type {Unavailable} from '../routing/pick.ts';
import type {Fault} from '../routing/verdict.ts';
import type {SpokenApi} from '../wire/api.ts';
import {RequestError, type ErrorCode} from '../wire/errors.ts';
import type {Call, Interruption} from './call.ts';
import type {Failure} from './failure.ts';
import type {LiveRoute} from './live.ts';
import type {Search} from './search.ts';
import type {FailedTry} from './trip.ts';

const seconds = (ms: number): string => String(Math.max(1, Math.ceil(ms / 1000)));

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
    `Route ${routeName(route.config)} gave no whole answer, ${problem}${told === '' ? '' : `: ${told}`}.`,
    {headers},
  );
}

const notSpokenError = (route: LiveRoute, {path}: SpokenApi): RequestError =>
  new RequestError('api_not_supported', `No backend of route ${routeName(route.config)} speaks /v1${path}.`);

const problems: Record<Unavailable, string> = {
  Open: 'a circuit breaker is open',
  Held: 'a Retry-After has not passed',
  Full: 'maxConcurrentRequests are running',
};

function unavailableFor(reasons: ReadonlySet<Unavailable>): {code: ErrorCode; problem: string} {
  const [reason] = reasons;
  if (reason === undefined) return {code: 'no_backend_available', problem: 'no endpoint is ready'};
  if (reasons.size > 1) {
    const told = [...reasons].map((each) => problems[each]).join(', or ');
    return {code: 'no_backend_available', problem: `at each of them ${told}`};
  }
  const codes: Record<Unavailable, ErrorCode> = {
    Open: 'no_backend_available',
    Held: 'backend_rate_limited',
    Full: 'backends_full',
  };
  return {code: codes[reason], problem: `at every one ${problems[reason]}`};
}

/** Milliseconds until one of what is in the way may have gone. */
function opensAgainInMs(route: LiveRoute, search: Search, reasons: ReadonlySet<Unavailable>, now: number): number {
  if (reasons.has('Full') || reasons.size === 0) return 0;
  const breakers = reasons.has('Open') ? route.backends.map(({state}) => state.breaker.opensAgainInMs(now)) : [];
  return Math.min(search.heldUntil() - now, ...breakers.filter((ms) => ms > 0));
}

export type Unserved = {route: LiveRoute; search: Search; api: SpokenApi; interrupted: Interruption | undefined};

/** No attempt could be made. `now`: time of the clock. */
export function unavailableError({route, search, api, interrupted}: Unserved, now: number): RequestError {
  if (interrupted !== undefined) return interruptedError(route, interrupted, '');
  if (!search.isSpoken()) return notSpokenError(route, api);
  const reasons = search.reasons();
  const {code, problem} = unavailableFor(reasons);
  const waitMs = opensAgainInMs(route, search, reasons, now);
  return new RequestError(code, `No backend of route ${routeName(route.config)} can take the request: ${problem}.`, {
    headers: {'retry-after': seconds(Number.isFinite(waitMs) ? waitMs : 0)},
  });
}

const faultOf = ({failure}: FailedTry): Fault | undefined => failure.verdict?.fault;

const isBackends = (each: FailedTry): boolean => faultOf(each) === 'Backend';

/**
 * The reply in which a backend says that the request itself is at fault, if that is how it ended. Where any backend has failed by its
 * own fault, another one's not knowing the model does not say that nobody does.
 */
export function refusalAmong(failures: readonly FailedTry[]): FailedTry | undefined {
  const last = failures.at(-1);
  if (last === undefined) return undefined;
  const fault = faultOf(last);
  if (fault === 'Caller' || fault === 'TooLong') return last;
  if (fault === undefined || failures.some(isBackends)) return undefined;
  return (
    failures.findLast((each) => faultOf(each) === 'TooLong') ??
    failures.findLast((each) => faultOf(each) === 'UnknownModel')
  );
}

/** Limited rates are told as that only where nothing else was in the way. */
function tellingFailure(failures: readonly FailedTry[]): Failure {
  const last = failures.at(-1);
  if (last === undefined) throw new Error('bug: there is no failure to report');
  if (last.failure.committed || last.failure.verdict === undefined) return last.failure;
  const telling =
    failures.findLast((each) => isBackends(each) && each.failure.code !== 'backend_rate_limited') ??
    failures.findLast(isBackends);
  return (telling ?? last).failure;
}

/** When the first backend wants to be asked again; undefined: one of those that failed did not say. */
function retryAfterMs(failures: readonly FailedTry[], now: number): number | undefined {
  const lastOfEach = new Map(failures.filter(isBackends).map((each) => [each.backend, each]));
  const waits = [...lastOfEach.values()].map(({failure, at}) =>
    failure.retryAfterMs === undefined ? undefined : Math.max(0, at + failure.retryAfterMs - now),
  );
  const known = waits.filter((wait) => wait !== undefined);
  return known.length > 0 && known.length === waits.length ? Math.min(...known) : undefined;
}

/** Every attempt has failed, or the last one in a way that ends it. Never with an address in it: names and faults only. */
export function errorFrom(route: LiveRoute, failures: readonly FailedTry[], call: Call, now: number): RequestError {
  const told = failures.map(({backend, failure}) => `${backend} ${failure.summary}`).join('; ');
  if (call.interrupted !== undefined) return interruptedError(route, call.interrupted, told);
  if (failures.every((each) => faultOf(each) === 'NotSpoken')) return notSpokenError(route, call.request.api);
  const {code, cause} = tellingFailure(failures);
  const waitMs = retryAfterMs(failures, now) ?? (code === 'backend_rate_limited' ? 0 : undefined);
  return new RequestError(code, `Route ${routeName(route.config)} got no whole answer: ${told}.`, {
    headers: waitMs === undefined ? {} : {'retry-after': seconds(waitMs)},
    cause,
  });
}
