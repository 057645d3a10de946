/** What to do after a failed attempt, while no content has gone out. */
import type {RetryConfig} from '../config/schema.ts';
import type {FailureReason, Verdict} from './verdict.ts';

export type Situation = {
  verdict: Exclude<Verdict, {fault: 'Caller'}>;
  /** Until the endpoint takes requests again, by its Retry-After. */
  retryAfterMs: number | undefined;
  policy: RetryConfig;
  /** Attempts so far, this one included. */
  attempts: number;
  retriedOnRung: boolean;
  /** Another endpoint of this rung could take the request now. */
  otherEndpoint: boolean;
  /** The endpoint that failed could take the request again: its breaker is closed, and it is not ejected. */
  sameEndpoint: boolean;
  /** An untried rung could take the request, now or when a short Retry-After has passed. */
  nextRung: boolean;
  budgetHasRoom: boolean;
  remainingMs: number;
  /** In [0, 1). */
  random: number;
};

export type Step = {step: 'OtherEndpoint' | 'NextRung' | 'Stop'} | {step: 'SameEndpoint'; afterMs: number};

const backOffMs = 100;

/** Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ */
const waitMs = ({retryAfterMs, random}: Situation): number => retryAfterMs ?? Math.round(backOffMs * random);

/** It answered with 429 or 5xx, or reset. One that stays silent, cannot be reached or talks nonsense will do so again at once. */
const passing: readonly FailureReason[] = ['RateLimited', 'ServerError', 'Reset'];

const isRetryable = ({verdict, policy}: Situation): boolean =>
  verdict.fault !== 'Backend' || verdict.reason === 'Rejected' || policy.retryOn.includes(verdict.reason);

const mayRetryOnRung = (situation: Situation): boolean => {
  const {verdict, policy} = situation;
  return (
    verdict.fault === 'Backend' &&
    !situation.retriedOnRung &&
    situation.attempts < policy.maxAttempts &&
    situation.budgetHasRoom
  );
};

const mayRetrySameEndpoint = (situation: Situation): boolean => {
  const {verdict, policy, remainingMs} = situation;
  if (verdict.fault !== 'Backend' || !passing.includes(verdict.reason) || !situation.sameEndpoint) return false;
  const wait = waitMs(situation);
  return wait <= policy.maxWaitMs && wait < remainingMs;
};

/** A rung not yet tried may always be tried once, whatever `maxAttempts` and the budget say; only the deadline ends it. */
export function nextStep(situation: Situation): Step {
  if (situation.remainingMs <= 0 || !isRetryable(situation)) return {step: 'Stop'};
  if (mayRetryOnRung(situation)) {
    if (situation.otherEndpoint) return {step: 'OtherEndpoint'};
    if (mayRetrySameEndpoint(situation)) return {step: 'SameEndpoint', afterMs: waitMs(situation)};
  }
  return {step: situation.nextRung ? 'NextRung' : 'Stop'};
}

/** What one try may take when the route sets no `attempt`: the rest, shared with the rungs that are still to come. */
export const shareOfRemaining = (remainingMs: number, untriedRungs: number): number => remainingMs / (untriedRungs + 1);
