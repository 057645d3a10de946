/**
 * Keys that wait to be worked on, with the rules of client-go's queue (https://pkg.go.dev/k8s.io/client-go/util/workqueue) and
 * controller-runtime's outcomes: a key waits at most once, is never worked on twice at a time, and comes back later after each failure.
 */
import type {Clock, Timer} from './clock.ts';

/** What a piece of work came to; a rejection counts as `Failed`. `FailedForGood`: another try would end alike. */
export type Outcome =
  | {type: 'Done'}
  | {type: 'Again'; afterMs: number}
  /** `afterMs`: there is something to do by then, however often it has failed. */
  | {type: 'Failed'; error: unknown; afterMs?: number | undefined}
  | {type: 'FailedForGood'; error: unknown};

/** `waitedMs`: from its first `add` to its start. */
export type Observation<Key extends string> =
  {type: 'Started'; key: Key; waitedMs: number} | {type: 'Ended'; key: Key; outcome: Outcome; workedMs: number};

/** What client-go's and controller-runtime's metrics are made of. Counts since the start, but for the last four. */
export type QueueNumbers = {
  readonly adds: number;
  /** Wishes for later: `addAfter` and `addRateLimited`. */
  readonly retries: number;
  readonly outcomes: Readonly<Record<Outcome['type'], number>>;
  /** Keys that wait now; not those that wait for their time. */
  readonly depth: number;
  /** Keys being worked on now. */
  readonly active: number;
  /** The time that these have taken so far, in all, and the longest of them. */
  readonly unfinishedMs: number;
  readonly longestRunningMs: number;
};

export type WorkQueue<Key extends string> = {
  /** A key that waits is not added twice; one that is worked on is worked on once more afterwards. */
  add(key: Key): void;
  /** Of several wishes for one key the earliest wins; `add` does not take them back. */
  addAfter(key: Key, ms: number): void;
  /** After 5 ms × 2^n, at most 5 min, where n is how often the key came this way since it was forgotten. */
  addRateLimited(key: Key): void;
  forget(key: Key): void;
  /** Starts the work, on `maxConcurrent` keys at a time. To be called once. */
  process(work: (key: Key) => Promise<Outcome>): void;
  readonly depth: number;
  numbers(): QueueNumbers;
  /** Takes and starts no more work; resolves when what runs has ended. */
  stop(): Promise<void>;
};

type Settings<Key extends string> = {
  clock: Clock;
  /** From 0 to below 1. */
  random: () => number;
  maxConcurrent: number;
  /** May not throw. */
  observe?: (observation: Observation<Key>) => void;
};

const firstBackOffMs = 5;
const longestBackOffMs = 300_000;
/** Keys that failed together do not all come back together. */
const jitter = 0.1;
/** setTimeout takes no more than 2^31 - 1. A key that comes too early is only looked at once more. */
const longestTimerMs = 2_147_483_647;

type Schedule<Key> = {set(key: Key, ms: number): void; clear(): void};

/** Keys whose time has not come, with a timer each. */
function createSchedule<Key>(clock: Clock, due: (key: Key) => void): Schedule<Key> {
  const waiting = new Map<Key, {at: number; timer: Timer}>();
  return {
    set(key, ms) {
      const at = clock.now() + ms;
      const earlier = waiting.get(key);
      if (earlier !== undefined && earlier.at <= at) return;
      earlier?.timer.cancel();
      const timer = clock.after(Math.min(ms, longestTimerMs), () => {
        waiting.delete(key);
        due(key);
      });
      waiting.set(key, {at, timer});
    },
    clear() {
      for (const {timer} of waiting.values()) timer.cancel();
      waiting.clear();
    },
  };
}

type BackOff<Key> = {nextMs(key: Key): number; forget(key: Key): void};

function createBackOff<Key>(random: () => number): BackOff<Key> {
  const failures = new Map<Key, number>();
  return {
    nextMs(key) {
      const before = failures.get(key) ?? 0;
      failures.set(key, before + 1);
      return Math.min(firstBackOffMs * 2 ** before, longestBackOffMs) * (1 - jitter * random());
    },
    forget: (key) => void failures.delete(key),
  };
}

const ages = (since: ReadonlyMap<unknown, number>, now: number): number[] => [...since.values()].map((at) => now - at);

export function createWorkQueue<Key extends string>(settings: Settings<Key>): WorkQueue<Key> {
  const {clock, random, maxConcurrent, observe} = settings;
  /** In the order of their turn: each is also in `dirty`, and none in `running`. */
  const ready: Key[] = [];
  /** Keys with work to do, those being worked on included, with the time of their first `add`. */
  const dirty = new Map<Key, number>();
  /** With the time of their start. */
  const running = new Map<Key, number>();
  const outcomes = {Done: 0, Again: 0, Failed: 0, FailedForGood: 0};
  let adds = 0;
  let retries = 0;
  let work: ((key: Key) => Promise<Outcome>) | undefined;
  let stopped = false;
  let ended = (): void => {};
  const end = new Promise<void>((resolve) => {
    ended = resolve;
  });

  const add = (key: Key): void => {
    if (stopped || dirty.has(key)) return;
    adds += 1;
    dirty.set(key, clock.now());
    if (running.has(key)) return;
    ready.push(key);
    startNext();
  };

  const schedule = createSchedule<Key>(clock, add);
  const backOff = createBackOff<Key>(random);

  const addAfter = (key: Key, ms: number): void => {
    if (stopped) return;
    retries += 1;
    if (ms <= 0) add(key);
    else schedule.set(key, ms);
  };

  const addRateLimited = (key: Key): void => addAfter(key, backOff.nextMs(key));

  const settle = (key: Key, outcome: Outcome): void => {
    outcomes[outcome.type] += 1;
    if (outcome.type === 'Failed') {
      const backOffMs = backOff.nextMs(key);
      return addAfter(key, Math.min(backOffMs, outcome.afterMs ?? Infinity));
    }
    backOff.forget(key);
    if (outcome.type === 'Again') addAfter(key, outcome.afterMs);
  };

  const finish = (key: Key, startedAt: number, outcome: Outcome): void => {
    observe?.({type: 'Ended', key, outcome, workedMs: clock.now() - startedAt});
    settle(key, outcome); // while it still counts as running, so that Again after 0 ms does not put it into `ready` twice
    running.delete(key);
    if (dirty.has(key)) ready.push(key);
    startNext();
    if (stopped && running.size === 0) ended();
  };

  const start = (key: Key, run: (key: Key) => Promise<Outcome>): void => {
    const startedAt = clock.now();
    const waitedMs = startedAt - (dirty.get(key) ?? startedAt);
    dirty.delete(key);
    running.set(key, startedAt);
    observe?.({type: 'Started', key, waitedMs});
    void Promise.resolve(key) // so that no work begins inside its caller's `add`
      .then(run)
      .catch((error: unknown): Outcome => ({type: 'Failed', error}))
      .then((outcome) => finish(key, startedAt, outcome));
  };

  function startNext(): void {
    for (;;) {
      if (work === undefined || stopped || running.size >= maxConcurrent) return;
      const key = ready.shift();
      if (key === undefined) return;
      start(key, work);
    }
  }

  return {
    add,
    addAfter,
    addRateLimited,
    forget: (key) => backOff.forget(key),
    process(run) {
      if (work !== undefined) throw new Error('bug: process called twice');
      work = run;
      startNext();
    },
    get depth() {
      return ready.length;
    },
    numbers() {
      const times = ages(running, clock.now());
      return {
        adds,
        retries,
        outcomes: {...outcomes},
        depth: ready.length,
        active: running.size,
        unfinishedMs: times.reduce((sum, ms) => sum + ms, 0),
        longestRunningMs: Math.max(0, ...times),
      };
    },
    stop() {
      stopped = true;
      schedule.clear();
      if (running.size === 0) ended();
      return end;
    },
  };
}
