/**
 * All time limits of one request on one timer. Moving a limit later, which every token does, costs an assignment: the timer looks
 * again when it fires. (An AbortSignal.timeout per limit costs as much as the rest of the request.)
 */
import type {Clock, Timer} from './clock.ts';

const limits = ['connect', 'firstToken', 'tokenIdle', 'attempt', 'wait', 'keepAlive', 'request'] as const;

export type Limit = (typeof limits)[number];

/** Those that end with an attempt. */
const attemptLimits: readonly Limit[] = ['connect', 'firstToken', 'tokenIdle', 'attempt'];

export type Watchdog = {
  /** `at`: time of the clock. Replaces what was set for this limit. */
  set(limit: Limit, at: number, expired: () => void): void;
  /** Moves a limit that is set; nothing otherwise. */
  move(limit: Limit, at: number): void;
  clear(limit: Limit): void;
  clearAttempt(): void;
  stop(): void;
};

/** setTimeout takes no more than 2^31 - 1. */
const longestTimerMs = 2_147_483_647;

export function createWatchdog(clock: Clock): Watchdog {
  const entries = new Map<Limit, {at: number; expired: () => void}>();
  let timer: Timer | undefined;
  let armedFor = Infinity;
  let stopped = false;

  const arm = (): void => {
    let next = Infinity;
    for (const {at} of entries.values()) next = Math.min(next, at);
    if (stopped || next === Infinity || (timer !== undefined && armedFor <= next)) return;
    timer?.cancel();
    armedFor = next;
    timer = clock.after(Math.min(Math.max(0, next - clock.now()), longestTimerMs), fire);
  };
  const fire = (): void => {
    timer = undefined;
    armedFor = Infinity;
    const now = clock.now();
    for (const [limit, entry] of Array.from(entries)) {
      if (entry.at > now || entries.get(limit) !== entry) continue; // an earlier one of this round may have cleared or set it anew
      entries.delete(limit);
      entry.expired();
    }
    arm();
  };

  return {
    set(limit, at, expired) {
      if (stopped) return;
      entries.set(limit, {at, expired});
      arm();
    },
    move(limit, at) {
      const entry = entries.get(limit);
      if (entry !== undefined) entry.at = at;
    },
    clear: (limit) => void entries.delete(limit),
    clearAttempt() {
      for (const limit of attemptLimits) entries.delete(limit);
    },
    stop() {
      stopped = true;
      entries.clear();
      timer?.cancel();
    },
  };
}
