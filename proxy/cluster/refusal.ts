/**
 * That the API server refuses, once it has gone on for a while. At first that says little: one that has just started refuses everybody until
 * it knows its rules, and the right may have been given at this moment.
 */
import type {Clock, Timer} from '../engine/clock.ts';

export type Refusal = {
  readonly lasts: boolean;
  /** No effect while it goes on. */
  begins(): void;
  ends(): void;
};

const patienceMs = 10_000;

/** `itLasts`: from now on. */
export function createRefusal(clock: Clock, itLasts: () => void): Refusal {
  let timer: Timer | undefined;
  let lasts = false;
  return {
    get lasts() {
      return lasts;
    },
    begins() {
      timer ??= clock.after(patienceMs, () => {
        lasts = true;
        itLasts();
      });
    },
    ends() {
      timer?.cancel();
      timer = undefined;
      lasts = false;
    },
  };
}
