/** Time as the engine sees it, so that a test can hold it. */
export type Timer = {cancel(): void};

export type Clock = {
  /** Monotonic milliseconds. */
  now(): number;
  after(ms: number, run: () => void): Timer;
};

export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return {cancel: () => clearTimeout(timer)};
  },
};
