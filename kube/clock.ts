/** Time as a parameter, so that a test can hold it. */
export type Timer = {cancel(): void};

export type Clock = {
  /** Monotonic milliseconds. */
  now(): number;
  after(ms: number, run: () => void): Timer;
};
