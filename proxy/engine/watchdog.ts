/**
 * All time limits of one request on one timer. Moving a limit later, which every token does, costs an assignment: the timer looks
 * again when it fires. (An AbortSignal.timeout per limit costs as much as the rest of the request.)
 */
import type {Clock, Timer} from './clock.ts';

const limits = ['connect', 'firstToken', 'tokenIdle', 'attempt', 'wait', 'keepAlive', 'request'] as const;

export type Limit = (typeof limits)[number];

/** Those that end with an attempt. */
const attemptLimits: readonly Limit[] = ['connect', 'firstToken', 'tokenIdle', 'attempt'];

type Entry = {readonly limit: Limit; at: number; readonly expired: () => void};

/** setTimeout takes no more than 2^31 - 1. */
const longestTimerMs = 2_147_483_647;

/** A class, since each request has one: its methods then are no closures of it. */
export class Watchdog {
  readonly #clock: Clock;
  /** Few: looking through them costs less than a Map does. */
  readonly #entries: Entry[] = [];
  #timer: Timer | undefined;
  #armedFor = Infinity;
  #stopped = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** `at`: time of the clock. Replaces what was set for this limit. */
  set(limit: Limit, at: number, expired: () => void): void {
    if (this.#stopped) return;
    this.clear(limit);
    this.#entries.push({limit, at, expired});
    this.#arm();
  }

  /** Moves a limit that is set; nothing otherwise. */
  move(limit: Limit, at: number): void {
    const entry = this.#find(limit);
    if (entry !== undefined) entry.at = at;
  }

  clear(limit: Limit): void {
    const at = this.#entries.findIndex((entry) => entry.limit === limit);
    if (at !== -1) this.#entries.splice(at, 1);
  }

  clearAttempt(): void {
    for (const limit of attemptLimits) this.clear(limit);
  }

  stop(): void {
    this.#stopped = true;
    this.#entries.length = 0;
    this.#timer?.cancel();
  }

  #find(limit: Limit): Entry | undefined {
    for (const entry of this.#entries) if (entry.limit === limit) return entry; // for each token: no closure
    return undefined;
  }

  #arm(): void {
    let next = Infinity;
    for (const {at} of this.#entries) next = Math.min(next, at);
    if (this.#stopped || next === Infinity || (this.#timer !== undefined && this.#armedFor <= next)) return;
    this.#timer?.cancel();
    this.#armedFor = next;
    const afterMs = Math.min(Math.max(0, next - this.#clock.now()), longestTimerMs);
    this.#timer = this.#clock.after(afterMs, () => this.#fire());
  }

  #fire(): void {
    this.#timer = undefined;
    this.#armedFor = Infinity;
    const now = this.#clock.now();
    for (const entry of Array.from(this.#entries)) {
      if (entry.at > now || this.#find(entry.limit) !== entry) continue; // an earlier one of this round may have cleared or set it anew
      this.clear(entry.limit);
      entry.expired();
    }
    this.#arm();
  }
}
