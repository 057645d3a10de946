/** One endpoint lent to one try of a trip, with all that is counted and learnt around it. */
import {maxEjected} from '../routing/ejection.ts';
import {peakEwma} from '../routing/strategies.ts';
import type {Outcome} from './breaker.ts';
import type {Failure} from './failure.ts';
import type {LiveBackend, LiveEndpoint} from './live.ts';
import type {Settled} from './receiver.ts';
import type {Found} from './search.ts';
import type {Trip} from './trip.ts';

export type Loan = Found & {
  /** The route, not the caller, chose the name of the model that goes there. */
  modelIsFixed: boolean;
  /** Its answer has begun. */
  answers(): void;
  /** It has done all that a verdict asks of it, although the attempt goes on. */
  succeeded(): void;
};

/** Sends the request there, and says what it came to. Rejects only with a bug of ours. */
export type Attempt = (trip: Trip, loan: Loan) => Promise<Settled>;

/** An API that a backend does not speak is not asked of it again for this long. */
const notSpokenMs = 60_000;

function observeLatency(endpoint: LiveEndpoint, beganAt: number, now: number): void {
  endpoint.latencyMs = peakEwma({latencyMs: endpoint.latencyMs, at: endpoint.latencyAt}, now - beganAt, now);
  endpoint.latencyAt = now;
}

/** A later try whose deadline ran out had only the time that the ones before it had left: that is not its backend's fault. */
function outcomeOf({call}: Trip, settled: Settled): Outcome {
  if (settled.type === 'Answered' || settled.type === 'Whole') return 'Success';
  if (settled.type !== 'Failed' || settled.failure.verdict?.fault !== 'Backend') return 'NoVerdict';
  return settled.failure.code === 'deadline_exceeded' && call.record.attempts > 1 ? 'NoVerdict' : 'Failure';
}

const longestCause = 300;

/** For the log and the admin port. Some backends quote the key that they refuse. */
function causeToShow({cause}: Failure, {config, authHeaders}: LiveBackend): string {
  const credential = authHeaders[1]?.slice(config.auth?.prefix.length ?? 0) ?? '';
  return (credential === '' ? cause : cause.replaceAll(credential, '[credential]')).slice(0, longestCause);
}

function recordFailure({engine, call, failures}: Trip, {backend, endpoint}: Found, failure: Failure): void {
  const now = engine.clock.now();
  const cause = causeToShow(failure, backend);
  failures.push({backend: backend.config.name, failure: {...failure, cause}, at: now});
  call.record.failures.push(`${endpoint.id}: ${cause}`);
  if (failure.verdict?.fault === 'NotSpoken') backend.state.notSpoken.set(call.request.api.name, now + notSpokenMs);
  if (failure.verdict?.fault === 'Backend' && failure.retryAfterMs !== undefined)
    endpoint.heldUntil = Math.max(endpoint.heldUntil, now + failure.retryAfterMs);
}

function recordOutcome(trip: Trip, {backend, endpoint}: Found, outcome: Outcome, beganAt: number): void {
  const {call, engine, failures} = trip;
  const now = engine.clock.now();
  if (outcome === 'Success') {
    endpoint.ejection.succeeded({beganAt, now});
    backend.state.notSpoken.delete(call.request.api.name);
  }
  if (outcome !== 'Failure') return;
  const mayEject = (): boolean => {
    const ejected = backend.endpoints.filter((each) => each.ejection.isEjected(now)).length;
    return ejected < maxEjected(backend.endpoints.length, backend.maxEjectionPercent);
  };
  endpoint.ejection.failed({beganAt, now}, mayEject);
  const message = failures.at(-1)?.failure.cause;
  if (message !== undefined) backend.state.lastError = {at: new Date().toISOString(), message};
}

export async function lend(trip: Trip, found: Found): Promise<Settled> {
  const {clock} = trip.engine;
  const {record, startedAt, request} = trip.call;
  const {backend, endpoint} = found;
  const beganAt = clock.now();
  const ticket = backend.state.breaker.admit(beganAt);
  record.backend = backend.config.name;
  record.endpoint = endpoint.address;
  record.attempts += 1;
  backend.state.load.inFlight += 1;
  endpoint.load.inFlight += 1;
  let judged = false;
  const judge = (outcome: Outcome): void => {
    if (judged) return;
    judged = true;
    ticket.finish(outcome);
    recordOutcome(trip, found, outcome, beganAt);
  };
  const answers = (): void => {
    const now = clock.now();
    ticket.contentCame();
    observeLatency(endpoint, beganAt, now);
    if (request.answer === 'Events' || request.api.counted) record.firstTokenMs = now - startedAt;
  };
  let outcome: Outcome = 'NoVerdict';
  try {
    const modelIsFixed = trip.nameIsExact || backend.config.model !== undefined;
    const loan = {...found, modelIsFixed, answers, succeeded: (): void => judge('Success')};
    const settled = await trip.attempt(trip, loan);
    outcome = outcomeOf(trip, settled);
    if (settled.type === 'Failed') recordFailure(trip, found, settled.failure);
    if (settled.type === 'Whole') observeLatency(endpoint, beganAt, clock.now());
    return settled;
  } finally {
    backend.state.load.inFlight -= 1;
    endpoint.load.inFlight -= 1;
    judge(outcome);
  }
}
