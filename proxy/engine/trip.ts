/** The way of one request through its route: pick, try, judge, pick again. */
import {maxEjected} from '../routing/ejection.ts';
import {nextStep, shareOfRemaining, type Step} from '../routing/retry.ts';
import {peakEwma} from '../routing/strategies.ts';
import {mustAskForUsage} from '../wire/request.ts';
import {attempt, type Settled} from './attempt.ts';
import type {Outcome, Ticket} from './breaker.ts';
import type {Call} from './call.ts';
import type {Clock} from './clock.ts';
import type {Failure} from './failure.ts';
import type {LiveEndpoint, LiveRoute} from './live.ts';
import type {MemoryBudget} from './memory.ts';
import type {Found, Search} from './search.ts';

export type Engine = {clock: Clock; memory: MemoryBudget; random: () => number};

export type Trip = {
  engine: Engine;
  call: Call;
  route: LiveRoute;
  /** The route itself names the model, not the caller's choice under a pattern. */
  nameIsExact: boolean;
  search: Search;
  failures: {backend: string; failure: Failure}[];
};

/** An API that a backend does not speak is not asked of it again for this long. */
const notSpokenMs = 60_000;

export const provenanceOf = (route: LiveRoute, call: Call): string[] => [
  'x-modelroute-route',
  `${route.config.namespace}/${route.config.name}`,
  ...(call.record.backend === undefined ? [] : ['x-modelroute-backend', call.record.backend]),
  'x-modelroute-attempts',
  String(call.record.attempts),
];

const remainingMs = ({engine, call}: Trip): number => call.deadlineAt - engine.clock.now();

/** Resolves early if the request is interrupted. */
const wait = (trip: Trip, ms: number): Promise<void> =>
  new Promise((resolve) => {
    const {call, engine} = trip;
    call.onInterrupt = () => resolve();
    call.watchdog.set('wait', engine.clock.now() + ms, () => {
      call.onInterrupt = () => {};
      resolve();
    });
  });

function attemptMs(trip: Trip, {backend}: Found): number | undefined {
  const {attemptMs: fixed} = backend.config.timeouts;
  if (fixed !== undefined || trip.call.request.streamed) return fixed;
  return shareOfRemaining(remainingMs(trip), trip.search.untriedRungs());
}

function observeLatency({engine: {clock}}: Trip, endpoint: LiveEndpoint, beganAt: number): void {
  const now = clock.now();
  endpoint.latencyMs = peakEwma({latencyMs: endpoint.latencyMs, at: endpoint.latencyAt}, now - beganAt, now);
  endpoint.latencyAt = now;
}

/** One attempt as breakers see it; asked again at once, and at no cost, where that says nothing of the backend. */
async function ask(trip: Trip, found: Found, ticket: Ticket): Promise<Settled> {
  const {engine, call, route} = trip;
  const {backend, endpoint} = found;
  const beganAt = engine.clock.now();
  let askForUsage = mustAskForUsage(call.request) && !backend.state.refusesStreamOptions;
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
      contentCame: () => {
        ticket.contentCame();
        observeLatency(trip, endpoint, beganAt);
        call.record.firstTokenMs = engine.clock.now() - call.startedAt;
      },
    });
  const untilFresh = async (): Promise<Settled> => {
    const settled = await once(false);
    return settled.type === 'StaleConnection' ? once(true) : settled;
  };

  let settled = await untilFresh();
  if (askForUsage && refusedAs(settled, [400, 422])) {
    askForUsage = false;
    const again = await untilFresh();
    backend.state.refusesStreamOptions = !refusedAs(again, [400, 422]);
    settled = again;
  }
  if (settled.type === 'Whole') observeLatency(trip, endpoint, beganAt);
  return settled;
}

const refusedAs = (settled: Settled, statuses: number[]): boolean =>
  settled.type === 'Failed' &&
  settled.failure.reply !== undefined &&
  !settled.failure.committed &&
  statuses.includes(settled.failure.reply.status);

function outcomeOf(settled: Settled): Outcome {
  if (settled.type === 'Answered' || settled.type === 'Whole') return 'Success';
  return settled.type === 'Failed' && settled.failure.verdict?.fault === 'Backend' ? 'Failure' : 'NoVerdict';
}

function recordEndpoint({engine: {clock}}: Trip, {backend, endpoint}: Found, outcome: Outcome): void {
  const now = clock.now();
  if (outcome === 'Success') endpoint.ejection.succeeded(now);
  if (outcome !== 'Failure') return;
  const mayEject = (): boolean => {
    const ejected = backend.endpoints.filter((each) => each.ejection.isEjected(now)).length;
    return ejected < maxEjected(backend.endpoints.length, backend.maxEjectionPercent);
  };
  endpoint.ejection.failed(now, mayEject);
}

function recordFailure(trip: Trip, {backend, endpoint}: Found, failure: Failure): void {
  const {call, engine} = trip;
  trip.failures.push({backend: backend.config.name, failure});
  call.record.failures.push(`${endpoint.id}: ${failure.cause}`);
  if (failure.verdict?.fault === 'Backend')
    backend.state.lastError = {at: new Date().toISOString(), message: failure.cause};
  if (failure.verdict?.fault === 'NotSpoken')
    backend.state.notSpoken.set(call.request.api.name, engine.clock.now() + notSpokenMs);
  const status = failure.reply?.status;
  if (failure.retryAfterMs !== undefined && (status === 429 || status === 503)) {
    endpoint.heldUntil = Math.max(endpoint.heldUntil, engine.clock.now() + failure.retryAfterMs);
  }
}

/** One attempt with all that is counted around it. */
async function tryOnce(trip: Trip, found: Found): Promise<Settled> {
  const {call, engine} = trip;
  const {backend, endpoint} = found;
  const ticket = backend.state.breaker.admit(engine.clock.now());
  call.record.backend = backend.config.name;
  call.record.endpoint = endpoint.address;
  call.record.attempts += 1;
  backend.state.inFlight += 1;
  endpoint.inFlight += 1;
  let outcome: Outcome = 'NoVerdict';
  try {
    const settled = await ask(trip, found, ticket);
    outcome = outcomeOf(settled);
    if (settled.type === 'Failed') recordFailure(trip, found, settled.failure);
    return settled;
  } finally {
    backend.state.inFlight -= 1;
    endpoint.inFlight -= 1;
    ticket.finish(outcome);
    recordEndpoint(trip, found, outcome);
  }
}

function decide(trip: Trip, failure: Failure): Step {
  const {verdict} = failure;
  if (verdict === undefined || verdict.fault === 'Caller' || failure.committed) return {step: 'Stop'};
  const {route, search, engine, call} = trip;
  return nextStep({
    verdict,
    responded: failure.responded,
    retryAfterMs: failure.retryAfterMs,
    policy: route.config.retry,
    attempts: call.record.attempts,
    retriedOnRung: search.retriedOnRung(),
    otherEndpoint: search.otherOnRung() !== undefined,
    nextRung: search.nextRung() !== undefined,
    budgetHasRoom: route.budget.hasRoom(engine.clock.now()),
    remainingMs: remainingMs(trip),
    random: engine.random(),
  });
}

/** Where the step leads; undefined: nowhere. */
async function follow(trip: Trip, step: Step, last: Found): Promise<Found | undefined> {
  const {route, search, engine} = trip;
  if (step.step === 'Stop') return undefined;
  if (step.step === 'NextRung') return search.nextRung();
  route.budget.countRetry(engine.clock.now());
  search.countRetry();
  if (step.step !== 'SameEndpoint') return search.otherOnRung();
  await wait(trip, step.afterMs);
  return last;
}

/** The first pick. Where only a Retry-After is in the way and it is short, it is waited for. */
async function findFirst(trip: Trip): Promise<Found | undefined> {
  const {search, route, engine} = trip;
  const found = search.nextRung();
  if (found !== undefined) return found;
  const waitMs = search.heldUntil() - engine.clock.now();
  if (waitMs > route.config.retry.maxWaitMs || waitMs > remainingMs(trip)) return undefined;
  await wait(trip, waitMs);
  return search.nextRung();
}

/** What the last attempt came to; undefined: none could be made. */
export async function travel(trip: Trip): Promise<Settled | undefined> {
  let found = await findFirst(trip);
  let settled: Settled | undefined;
  while (found !== undefined && trip.call.interrupted === undefined) {
    trip.search.use(found);
    settled = await tryOnce(trip, found);
    if (settled.type !== 'Failed') return settled;
    trip.search.learn(found, settled.failure.verdict);
    found = await follow(trip, decide(trip, settled.failure), found);
  }
  return settled;
}
