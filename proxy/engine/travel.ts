/** The way of one request through its route: pick, try, judge, pick again. */
import {nextStep, type Step} from '../routing/retry.ts';
import type {Failure} from './failure.ts';
import {ignoreInterrupt, onInterrupt} from './call.ts';
import type {Settled} from './receiver.ts';
import type {Found} from './search.ts';
import {remainingMs, type Trip} from './trip.ts';
import {lend} from './loan.ts';

/** Resolves early if the request is interrupted. */
const wait = (trip: Trip, ms: number): Promise<void> =>
  new Promise((resolve) => {
    const {call, engine} = trip;
    const done = (): void => {
      call.watchdog.clear('wait');
      onInterrupt(call, ignoreInterrupt);
      resolve();
    };
    onInterrupt(call, done);
    call.watchdog.set('wait', engine.clock.now() + ms, done);
  });

/** How long the first untried rung asks to wait, where nothing but a short Retry-After is in the way. */
function shortHoldMs(trip: Trip): number | undefined {
  const holdMs = trip.search.heldUntil() - trip.engine.clock.now();
  return holdMs <= trip.route.config.retry.maxWaitMs && holdMs < remainingMs(trip) ? holdMs : undefined;
}

/** Undefined: there is nothing to wait for. */
async function waitForHold(trip: Trip): Promise<Choose | undefined> {
  const holdMs = shortHoldMs(trip);
  if (holdMs === undefined) return undefined;
  await wait(trip, holdMs);
  return () => trip.search.nextRung();
}

/** Chooses at the moment of the call: between choosing and counting no other request may run. */
type Choose = () => Found | undefined;

function decide(trip: Trip, failure: Failure, last: Found): Step {
  const {verdict} = failure;
  const {route, search, engine, call} = trip;
  if (verdict === undefined || verdict.fault === 'Caller' || failure.committed) return {step: 'Stop'};
  if (call.request.carriedOnce && failure.code !== 'backend_connect_failed') return {step: 'Stop'}; // it may have arrived
  const {retry} = route.config;
  const heldMs = last.endpoint.heldUntil - engine.clock.now();
  return nextStep({
    verdict,
    retryAfterMs: heldMs > 0 ? heldMs : failure.retryAfterMs,
    policy: retry,
    attempts: call.record.attempts,
    retriedOnRung: search.retriedOnRung(),
    otherEndpoint: search.hasOtherOnRung(),
    sameEndpoint: search.mayAskAgain(last),
    nextRung: search.hasNextRung() || shortHoldMs(trip) !== undefined,
    budgetHasRoom: route.budget.hasRoom(engine.clock.now(), retry.budgetPercent),
    remainingMs: remainingMs(trip),
    random: engine.random(),
  });
}

/** Where the step leads; undefined: nowhere. */
async function follow(trip: Trip, step: Step, last: Found): Promise<Choose | undefined> {
  const {route, search, engine} = trip;
  if (step.step === 'Stop') return undefined;
  if (step.step === 'NextRung') return () => search.nextRung();
  route.budget.countRetry(engine.clock.now());
  search.countRetry();
  if (step.step !== 'SameEndpoint') return () => search.otherOnRung();
  await wait(trip, step.afterMs);
  return () => (search.canTakeNow(last) ? last : search.nextRung()); // others may have filled, broken or held it meanwhile
}

/** What the last attempt came to; undefined: none could be made. */
export async function travel(trip: Trip): Promise<Settled | undefined> {
  const {search, call} = trip;
  let settled: Settled | undefined;
  let choose: Choose | undefined = () => search.nextRung();
  while (choose !== undefined) {
    const found: Found | undefined = choose() ?? (await waitForHold(trip))?.();
    if (found === undefined || call.interrupted !== undefined) return settled;
    search.use(found);
    settled = await lend(trip, found);
    if (settled.type !== 'Failed') return settled;
    search.learn(found, settled.failure.verdict);
    choose = await follow(trip, decide(trip, settled.failure, found), found);
  }
  return settled;
}
