/**
 * Many changes at about the same time become one, a little later: however many come, no later than that. How much later follows what the
 * last one cost, so that a proxy with much to rebuild spends a fifth of its time on it at most.
 */
import type {Clock, Timer} from '../engine/clock.ts';

export type Coalescer = {
  changed: () => void;
  stop(): void;
};

const shortestMs = 25;
const longestMs = 500;
const restPerWork = 4;

export function createCoalescer(clock: Clock, run: () => void): Coalescer {
  let timer: Timer | undefined;
  let isStopped = false;
  let waitMs = shortestMs;
  const runTimed = (): void => {
    timer = undefined;
    const startedAt = clock.now();
    run();
    waitMs = Math.min(longestMs, Math.max(shortestMs, restPerWork * (clock.now() - startedAt)));
  };
  return {
    changed() {
      if (!isStopped) timer ??= clock.after(waitMs, runTimed);
    },
    stop() {
      isStopped = true;
      timer?.cancel();
    },
  };
}
