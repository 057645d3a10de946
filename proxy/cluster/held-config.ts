/**
 * A config that has come, until the endpoints of all Services that it names are known: the one before serves all it can, and no request
 * finds a Service without endpoints. Not for long, though: they may never be known.
 */
import type {Clock, Timer} from '../engine/clock.ts';
import type {LoadedConfig} from './stored.ts';

export type HeldConfig = {
  /** The newest one. */
  readonly held: LoadedConfig | undefined;
  /** In place of the one that is held now; its patience is used up with that one's. */
  hold(config: LoadedConfig): void;
  /** Held no more, if it is due, or has been held for the longest time. `isOverdue`: it has been held long enough unless it does harm. */
  take(isDue: (config: LoadedConfig, isOverdue: boolean) => boolean): LoadedConfig | undefined;
  stop(): void;
};

export const patienceMs = 1_000;
export const longestMs = 30_000;

/** `overdue`: it is to be looked at again. */
export function createHeldConfig(clock: Clock, overdue: () => void): HeldConfig {
  let held: LoadedConfig | undefined;
  let waited: 'Little' | 'Long' | 'TooLong' = 'Little';
  let timer: Timer | undefined;
  const waitFor = (ms: number, then: () => void): Timer =>
    clock.after(ms, () => {
      then();
      overdue();
    });
  const startPatience = (): Timer =>
    waitFor(patienceMs, () => {
      waited = 'Long';
      timer = waitFor(longestMs - patienceMs, () => (waited = 'TooLong'));
    });
  return {
    get held() {
      return held;
    },
    hold(config) {
      held = config;
      timer ??= startPatience();
    },
    take(isDue) {
      if (held === undefined || !(waited === 'TooLong' || isDue(held, waited === 'Long'))) return undefined;
      const taken = held;
      timer?.cancel();
      [held, timer, waited] = [undefined, undefined, 'Little'];
      return taken;
    },
    stop: () => timer?.cancel(),
  };
}
