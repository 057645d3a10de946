/** How long to wait before the next try of something that must not be given up. */

export type Backoff = {
  /** For the failure that has just happened: how long to wait, in ms. `atLeastMs`: a Retry-After. */
  next(atLeastMs?: number): number;
  /** It went well: the next failure counts as the first. */
  reset(): void;
  /** How many since it last went well. */
  readonly failures: number;
};

export type BackoffOptions = {
  /** Shortest wait; positive. */
  firstMs: number;
  longestMs: number;
  /** From 0 up to 1. */
  random: () => number;
};

/** Asked for a longer wait than that, it comes back nevertheless: the asker may be a middlebox with a fault. */
const longestAskedMs = 300_000;

/**
 * Between half of a step and the whole, the first step being twice `firstMs` and each next one twice the last: with 1 s and 30 s
 * that is 1 to 2 s, 2 to 4 s, … 15 to 30 s. Those who failed at the same moment thus do not come back at the same moment.
 */
export function createBackoff({firstMs, longestMs, random}: BackoffOptions): Backoff {
  let failures = 0;
  return {
    next(atLeastMs = 0) {
      failures += 1;
      const stepMs = Math.min(longestMs, firstMs * 2 ** failures);
      const ownMs = stepMs * (0.5 + random() / 2);
      return atLeastMs > ownMs ? Math.min(longestAskedMs, atLeastMs) : ownMs;
    },
    reset() {
      failures = 0;
    },
    get failures() {
      return failures;
    },
  };
}
