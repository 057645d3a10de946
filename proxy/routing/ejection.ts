/** Takes single endpoints of a backend out for a while, as Envoy's outlier detection does; the state of one endpoint. */
import type {CircuitBreakerConfig} from '../config/schema.ts';
import {createRollingWindow} from './rolling-window.ts';

/** When an attempt began and when it ended. One that began before the last ejection says nothing of the endpoint that came back. */
export type Span = {beganAt: number; now: number};

export type Ejection = {
  isEjected(now: number): boolean;
  /** Ends an ejection that the attempt was made in spite of. */
  succeeded(span: Span): void;
  /** `mayEject`: whether `maxEjectionPercent` leaves room for one more. Returns whether it was ejected by this. */
  failed(span: Span, mayEject: () => boolean): boolean;
  /** Back before its time. */
  release(): void;
  /** Other thresholds; the state stays. */
  setPolicy(policy: CircuitBreakerConfig): void;
};

/** How many of `endpoints` may be out at a time. Rounded down, so that a lone endpoint never is: its breaker opens instead. */
export const maxEjected = (endpoints: number, maxEjectionPercent: number): number =>
  endpoints < 2 ? 0 : Math.floor((endpoints * maxEjectionPercent) / 100);

export function createEjection(initial: CircuitBreakerConfig): Ejection {
  let policy = initial;
  let window = createRollingWindow(policy.windowMs);
  let consecutiveFailures = 0;
  let ejectedAt = -Infinity;
  let ejectedUntil = -Infinity;
  let ejections = 0;

  const hasFailedEnough = (now: number): boolean => {
    if (consecutiveFailures >= policy.consecutiveFailures) return true;
    const {total, failures} = window.read(now);
    return total >= policy.minRequests && failures * 100 >= total * policy.failurePercent;
  };

  return {
    isEjected: (now) => now < ejectedUntil,
    succeeded({beganAt, now}) {
      if (beganAt < ejectedAt) return;
      consecutiveFailures = 0;
      ejections = 0;
      ejectedUntil = -Infinity;
      window.add(now, false);
    },
    failed({beganAt, now}, mayEject) {
      if (beganAt < ejectedAt || now < ejectedUntil) return false;
      consecutiveFailures += 1;
      window.add(now, true);
      if (!hasFailedEnough(now) || !mayEject()) return false;
      ejectedAt = now;
      ejectedUntil = now + Math.min(policy.openDurationMs * 2 ** ejections, policy.maxOpenDurationMs);
      ejections += 1;
      window = createRollingWindow(policy.windowMs);
      consecutiveFailures = 0;
      return true;
    },
    release() {
      ejectedUntil = -Infinity;
    },
    setPolicy(next) {
      if (next.windowMs !== policy.windowMs) window = createRollingWindow(next.windowMs);
      policy = next;
    },
  };
}
