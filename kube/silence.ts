/** Tells when nothing has been heard for too long. Hearing something costs an assignment: the timer looks again when it fires. */
import type {Clock} from './clock.ts';

export type Silence = {
  heard: () => void;
  /** From now on this much is too long. */
  limit: (ms: number) => void;
  /** Leaves no timer. */
  end(): void;
};

/** `tooLong` is called once, with the limit. */
export function watchSilence(clock: Clock, firstLimitMs: number, tooLong: (limitMs: number) => void): Silence {
  let limitMs = firstLimitMs;
  let heardAt = clock.now();
  const look = (): void => {
    const leftMs = heardAt + limitMs - clock.now();
    if (leftMs <= 0) tooLong(limitMs);
    else timer = clock.after(leftMs, look);
  };
  let timer = clock.after(limitMs, look);
  return {
    heard() {
      heardAt = clock.now();
    },
    limit(ms) {
      if (ms === limitMs) return;
      limitMs = ms;
      timer.cancel();
      timer = clock.after(Math.max(0, heardAt + ms - clock.now()), look);
    },
    end: () => timer.cancel(),
  };
}
