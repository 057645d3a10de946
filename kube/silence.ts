/** Tells when nothing has been heard for too long. Hearing something costs an assignment: the timer looks again when it fires. */
import type {Clock} from './clock.ts';

export type Silence = {
  heard: () => void;
  /** Leaves no timer. */
  end(): void;
};

/** `tooLong` is called once. */
export function watchSilence(clock: Clock, limitMs: number, tooLong: () => void): Silence {
  let heardAt = clock.now();
  const look = (): void => {
    const leftMs = heardAt + limitMs - clock.now();
    if (leftMs <= 0) tooLong();
    else timer = clock.after(leftMs, look);
  };
  let timer = clock.after(limitMs, look);
  return {
    heard() {
      heardAt = clock.now();
    },
    end: () => timer.cancel(),
  };
}
