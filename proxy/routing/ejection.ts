/** Takes single endpoints of a backend out for a while, as Envoy's outlier detection does; the state of one endpoint. */
import type {CircuitBreakerConfig} from '../config/schema.ts';
import {createRollingWindow} from './rolling-window.ts';

export type Ejection = {
  isEjected(now: number): boolean;
  succeeded(now: number): void;
  /** `mayEject`: whether `maxEjectionPercent` leaves room for one more. Returns whether it was ejected by this. */
  failed(now: number, mayEject: () => boolean): boolean;
};

/** How many of `endpoints` may be out at a time. Rounded down, so that a lone endpoint never is: its breaker opens instead. */
export const maxEjected = (endpoints: number, maxEjectionPercent: number): number =>
  endpoints < 2 ? 0 : Math.floor((endpoints * maxEjectionPercent) / 100);

export function createEjection(policy: CircuitBreakerConfig): Ejection {
  let window = createRollingWindow(policy.windowMs);
  let consecutiveFailures = 0;
  let ejectedUntil = -Infinity;
  let ejections = 0;

  const hasFailedEnough = (now: number): boolean => {
    if (consecutiveFailures >= policy.consecutiveFailures) return true;
    const {total, failures} = window.read(now);
    return total >= policy.minRequests && failures * 100 >= total * policy.failurePercent;
  };

  return {
    isEjected: (now) => now < ejectedUntil,
    succeeded(now) {
      consecutiveFailures = 0;
      if (now >= ejectedUntil) ejections = 0;
      window.add(now, false);
    },
    failed(now, mayEject) {
      consecutiveFailures += 1;
      window.add(now, true);
      if (now < ejectedUntil || !hasFailedEnough(now) || !mayEject()) return false;
      ejectedUntil = now + Math.min(policy.openDurationMs * 2 ** ejections, policy.maxOpenDurationMs);
      ejections += 1;
      window = createRollingWindow(policy.windowMs);
      consecutiveFailures = 0;
      return true;
    },
  };
}
