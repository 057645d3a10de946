/** One try of a trip: one attempt as breakers see it, with all that is counted and learnt around it. */
import {maxEjected} from '../routing/ejection.ts';
import {shareOfRemaining} from '../routing/retry.ts';
import {peakEwma} from '../routing/strategies.ts';
import {mustAskForUsage} from '../wire/request.ts';
import {attempt} from './attempt.ts';
import type {Outcome, Ticket} from './breaker.ts';
import type {Failure} from './failure.ts';
import type {LiveBackend, LiveEndpoint} from './live.ts';
import type {Settled} from './receiver.ts';
import type {Found} from './search.ts';
import {provenanceOf, remainingMs, type Trip} from './trip.ts';

/** An API that a backend does not speak is not asked of it again for this long. */
const notSpokenMs = 60_000;

function attemptMs(trip: Trip, {backend}: Found): number | undefined {
  const {attemptMs: fixed} = backend.config.timeouts;
  if (fixed !== undefined || trip.call.request.streamed) return fixed;
  return shareOfRemaining(remainingMs(trip), trip.search.untriedRungs());
}

function observeLatency(endpoint: LiveEndpoint, beganAt: number, now: number): void {
  endpoint.latencyMs = peakEwma({latencyMs: endpoint.latencyMs, at: endpoint.latencyAt}, now - beganAt, now);
  endpoint.latencyAt = now;
}

/** A refusal that our `stream_options` may be the reason of. */
const mayBlameStreamOptions = (settled: Settled): boolean =>
  settled.type === 'Failed' &&
  settled.failure.verdict?.fault === 'Caller' &&
  settled.failure.error?.contentFiltered === false &&
  (settled.failure.reply?.status === 400 || settled.failure.reply?.status === 422);

type Asking = {trip: Trip; found: Found; ticket: Ticket; beganAt: number};

function askOnce({trip, found, ticket, beganAt}: Asking, askForUsage: boolean, answers: () => void): Promise<Settled> {
  const {engine, call, route} = trip;
  const {backend, endpoint} = found;
  const once = (fresh: boolean): Promise<Settled> =>
    attempt({
      call,
      clock: engine.clock,
      memory: engine.memory,
      backend,
      endpoint,
      attemptMs: attemptMs(trip, found),
      keepAliveMs: route.config.stream.keepAliveMs,
      askForUsage,
      modelIsFixed: trip.nameIsExact || backend.config.model !== undefined,
      fresh,
      provenance: () => provenanceOf(route, call),
      contentCame() {
        answers();
        ticket.contentCame();
        observeLatency(endpoint, beganAt, engine.clock.now());
        call.record.firstTokenMs = engine.clock.now() - call.startedAt;
      },
    });
  return once(false).then((settled) => (settled.type === 'StaleConnection' ? once(true) : settled));
}

/** Asks again at once, and at no cost, where the first reply says nothing of the backend. */
async function ask(asking: Asking): Promise<Settled> {
  const {call} = asking.trip;
  const {state} = asking.found.backend;
  const askForUsage = mustAskForUsage(call.request) && !state.refusesStreamOptions;
  const settled = await askOnce(asking, askForUsage, () => {});
  if (!askForUsage || !mayBlameStreamOptions(settled) || call.interrupted !== undefined) return settled;
  return askOnce(asking, false, () => {
    state.refusesStreamOptions = true; // only now: a second refusal, or a failure, does not say that they were the reason
  });
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

function learnFromFailure(trip: Trip, {backend, endpoint}: Found, failure: Failure): void {
  const {call, engine} = trip;
  const now = engine.clock.now();
  if (failure.verdict?.fault === 'NotSpoken') backend.state.notSpoken.set(call.request.api.name, now + notSpokenMs);
  if (failure.verdict?.fault === 'Backend' && failure.retryAfterMs !== undefined)
    endpoint.heldUntil = Math.max(endpoint.heldUntil, now + failure.retryAfterMs);
}

function recordFailure(trip: Trip, found: Found, failure: Failure): void {
  const {backend, endpoint} = found;
  const cause = causeToShow(failure, backend);
  trip.failures.push({backend: backend.config.name, failure: {...failure, cause}, at: trip.engine.clock.now()});
  trip.call.record.failures.push(`${endpoint.id}: ${cause}`);
  learnFromFailure(trip, found, failure);
}

function recordOutcome(trip: Trip, {backend, endpoint}: Found, outcome: Outcome, beganAt: number): void {
  const {call, engine} = trip;
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
  const message = trip.failures.at(-1)?.failure.cause;
  if (message !== undefined) backend.state.lastError = {at: new Date().toISOString(), message};
}

export async function tryOnce(trip: Trip, found: Found): Promise<Settled> {
  const {call, engine} = trip;
  const {backend, endpoint} = found;
  const beganAt = engine.clock.now();
  const ticket = backend.state.breaker.admit(beganAt);
  call.record.backend = backend.config.name;
  call.record.endpoint = endpoint.address;
  call.record.attempts += 1;
  backend.state.load.inFlight += 1;
  endpoint.load.inFlight += 1;
  let outcome: Outcome = 'NoVerdict';
  try {
    const settled = await ask({trip, found, ticket, beganAt});
    outcome = outcomeOf(trip, settled);
    if (settled.type === 'Failed') recordFailure(trip, found, settled.failure);
    if (settled.type === 'Whole') observeLatency(endpoint, beganAt, engine.clock.now());
    return settled;
  } finally {
    backend.state.load.inFlight -= 1;
    endpoint.load.inFlight -= 1;
    ticket.finish(outcome);
    recordOutcome(trip, found, outcome, beganAt);
  }
}
