/** Bytes of bodies and unfinished answers that this proxy holds, over all requests, against `limits.maxBufferedBytes`. */
import type {Failure} from './failure.ts';

export type MemoryBudget = {
  /** False: over the limit, nothing was taken. */
  take(bytes: number): boolean;
  give(bytes: number): void;
  readonly used: number;
};

export function createMemoryBudget(limitBytes: () => number): MemoryBudget {
  let used = 0;
  return {
    take(bytes) {
      if (used + bytes > limitBytes()) return false;
      used += bytes;
      return true;
    },
    give(bytes) {
      used -= bytes;
    },
    get used() {
      return used;
    },
  };
}

/** An answer for which there is no room: nobody's fault but ours, and no other backend's answer would be smaller. */
export const outOfMemory: Failure = {
  verdict: undefined,
  code: 'overloaded',
  summary: 'sent more than limits.maxBufferedBytes has room for',
  cause: 'limits.maxBufferedBytes is used up',
  committed: false,
};
