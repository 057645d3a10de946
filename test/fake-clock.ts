/** A clock that stands still until it is told. */
import type {Clock} from '../proxy/engine/clock.ts';

export type FakeClock = Clock & {
  /** Fires what falls due on the way, in order. Then lets pending I/O callbacks run once. */
  advance(ms: number): Promise<void>;
  /** Timers that wait. */
  readonly pending: number;
};

type Entry = {at: number; run: () => void};

export function createFakeClock(start = 1_000): FakeClock {
  let now = start;
  const entries = new Set<Entry>();
  const nextDue = (until: number): Entry | undefined =>
    [...entries].filter(({at}) => at <= until).sort((a, b) => a.at - b.at)[0];
  return {
    now: () => now,
    after(ms, run) {
      const entry = {at: now + ms, run};
      entries.add(entry);
      return {cancel: () => void entries.delete(entry)};
    },
    async advance(ms) {
      const until = now + ms;
      for (let due = nextDue(until); due !== undefined; due = nextDue(until)) {
        now = Math.max(now, due.at);
        entries.delete(due);
        due.run();
      }
      now = until;
      await new Promise((resolve) => setImmediate(resolve));
    },
    get pending() {
      return entries.size;
    },
  };
}
