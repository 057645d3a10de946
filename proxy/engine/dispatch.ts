/** Carries one request to its end: one whole answer, one stream, or one error. */
import {routeName} from '../config/schema.ts';
import {detailsOf} from '../wire/errors.ts';
import type {ModelMatch} from '../routing/match.ts';
import {endWithError, interrupt, type Call} from './call.ts';
import type {Reply} from './failure.ts';
import type {LiveGateway, LiveRoute} from './live.ts';
import type {Attempt} from './loan.ts';
import {errorFrom, refusalAmong, unavailableError} from './outcome.ts';
import type {Settled} from './receiver.ts';
import type {Roster} from './roster.ts';
import {Search} from './search.ts';
import {travel} from './travel.ts';
import {provenanceOf, remainingMs, type Engine, type FailedTry, type Trip} from './trip.ts';

/** What is left for the server to send. */
export type WholeAnswer = {reply: Reply; provenance: readonly string[]};

function startKeepAlive(trip: Trip): void {
  const {call, route, engine} = trip;
  const {keepAliveMs} = route.config.stream;
  if (call.request.answer !== 'Events' || keepAliveMs === 0) return;
  const next = (): void => call.watchdog.set('keepAlive', engine.clock.now() + keepAliveMs, send);
  const send = (): void => {
    if (!call.caller.headSent()) {
      call.caller.sendHead([
        'content-type',
        'text/event-stream; charset=utf-8',
        'cache-control',
        'no-cache',
        'x-accel-buffering',
        'no',
        'x-modelroute-route',
        routeName(route.config),
      ]);
    }
    call.caller.write(call.request.api.keepAlive);
    next();
  };
  next();
}

/** The caller's own fault, told in the backend's words. */
function refuse({call, route}: Trip, {backend, failure: {reply, error}}: FailedTry): WholeAnswer | undefined {
  call.record.errorCode = 'upstream_refused';
  call.record.backend = backend;
  if (reply === undefined || error === undefined) throw new Error('bug: a refusal without its reply');
  if (!call.caller.headSent()) return {reply, provenance: provenanceOf(route, call)};
  endWithError(call, error.body, undefined);
  return undefined;
}

/** No backend has answered. Throws {@link RequestError} while nothing has gone out. */
function fail(trip: Trip): WholeAnswer | undefined {
  const {engine, call, route, search, failures} = trip;
  const refusal = refusalAmong(failures);
  if (refusal !== undefined) return refuse(trip, refusal);
  const now = engine.clock.now();
  const error =
    failures.length === 0
      ? unavailableError({route, search, api: call.request.api, interrupted: call.interrupted}, now)
      : errorFrom(route, failures, call, now);
  const usage = failures.at(-1)?.failure.usage;
  call.record.errorCode = error.code;
  call.record.usage = usage;
  if (!call.caller.headSent()) throw error;
  endWithError(call, detailsOf(error), usage);
  return undefined;
}

export type Dispatching = {
  engine: Engine;
  running: Roster<Call>;
  /** What is live at the time of asking. */
  latest: () => LiveGateway | undefined;
  call: Call;
  match: ModelMatch<LiveRoute>;
  /** How it is sent. */
  attempt: Attempt;
};

/** Undefined: the answer, or an error event, has gone out, or the caller has left. Throws {@link RequestError} while nothing has. */
export async function dispatch(dispatching: Dispatching): Promise<WholeAnswer | undefined> {
  const {engine, running, latest, call, match, attempt} = dispatching;
  const {route, exact} = match;
  const search = new Search({engine, route, latest, api: call.request.api, prefixHash: call.prefixHash});
  const trip: Trip = {engine, call, route, nameIsExact: exact, search, attempt, failures: []};
  route.budget.countRequest(engine.clock.now());
  if (remainingMs(trip) <= 0)
    interrupt(call, 'DeadlineExceeded'); // the body took all of it to arrive
  else startKeepAlive(trip);

  const leave = running.add(call);
  let settled: Settled | undefined;
  try {
    const travelling = travel(trip);
    // Only now: the first attempt has just started the timer for its own limits, which are earlier, so that it is not started twice.
    if (call.interrupted === undefined)
      call.watchdog.set('request', call.deadlineAt, () => interrupt(call, 'DeadlineExceeded'));
    settled = await travelling;
  } finally {
    leave();
    call.watchdog.clear('keepAlive');
  }
  if (settled?.type === 'Whole') {
    call.record.usage = settled.usage;
    return {reply: settled.reply, provenance: provenanceOf(route, call)};
  }
  if (settled?.type === 'Answered' || call.interrupted === 'CallerGone') return undefined;
  return fail(trip);
}
