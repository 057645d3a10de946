/** Bytes of bodies and unfinished answers that this proxy holds, over all requests, against `limits.maxBufferedBytes`. */
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
