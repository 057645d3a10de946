/** One request on its way through its route. */
import {routeName} from '../config/schema.ts';
import {shareOfRemaining} from '../routing/retry.ts';
import type {Call} from './call.ts';
import type {Clock} from './clock.ts';
import type {Failure} from './failure.ts';
import type {LiveBackend, LiveRoute} from './live.ts';
import type {Attempt} from './loan.ts';
import type {MemoryBudget} from './memory.ts';
import type {Search} from './search.ts';

export type Engine = {clock: Clock; memory: MemoryBudget; random: () => number};

/** `at`: time of the clock. */
export type FailedTry = {backend: string; failure: Failure; at: number};

export type Trip = {
  engine: Engine;
  call: Call;
  route: LiveRoute;
  /** The route itself names the model, not the caller's choice under a pattern. */
  nameIsExact: boolean;
  search: Search;
  /** How it is sent. */
  attempt: Attempt;
  failures: FailedTry[];
};

export const provenanceOf = (route: LiveRoute, call: Call): string[] => [
  'x-modelroute-route',
  routeName(route.config),
  ...(call.record.backend === undefined ? [] : ['x-modelroute-backend', call.record.backend]),
  'x-modelroute-attempts',
  String(call.record.attempts),
];

export const remainingMs = ({engine, call}: Trip): number => call.deadlineAt - engine.clock.now();

/** Of one try. */
export function attemptMsOf(trip: Trip, {config}: LiveBackend): number | undefined {
  const {attemptMs: fixed} = config.timeouts;
  if (fixed !== undefined || trip.call.request.answer !== 'Whole') return fixed;
  return shareOfRemaining(remainingMs(trip), trip.search.untriedRungs());
}
