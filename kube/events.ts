/**
 * Events for `kubectl describe`, written as events.k8s.io/v1 (https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/)
 * and aggregated as client-go does (https://pkg.go.dev/k8s.io/client-go/tools/events): what happens again is counted in the Event that is there.
 * They are told, never relied on: writing waits for nobody, fails without a throw and gives up in the end.
 */
import type {KubeClient} from './client.ts';
import type {Clock, Timer} from './clock.ts';
import {KubeError} from './errors.ts';
import {microTime} from './lease.ts';

export type ObjectReference = {apiVersion: string; kind: string; namespace: string; name: string; uid: string};

/** `reason` and `action` are CamelCase, at most 128 characters; of `message` the first 1,024 bytes are kept. */
export type EventRecord = {
  object: ObjectReference;
  type: 'Normal' | 'Warning';
  reason: string;
  message: string;
  /** What was done or tried: the API server refuses an Event without. */
  action: string;
};

/** Since the start. `failed`: given up. `dropped`: too many at once, of one object or in all. */
export type EventNumbers = {readonly written: number; readonly failed: number; readonly dropped: number};

export type EventRecorder = {
  record(event: EventRecord): void;
  numbers(): EventNumbers;
  /** Resolves when all that was recorded is written or given up, within 5 s. For shutdown: nothing is tried twice. */
  flush(): Promise<void>;
};

type Settings = {
  client: KubeClient;
  /** The reporting controller, a qualified name: `modelroute.dev/operator`. */
  component: string;
  /** Of this process: the pod's name. */
  instance: string;
  clock: Clock;
  wallClock: () => Date;
  /** From 0 to below 1. */
  random: () => number;
  /** An Event was given up. May not throw. */
  onFailed?: (event: EventRecord, error: unknown) => void;
};

/** What happens again within this time is the same series. */
const seriesMs = 600_000;
const mostQueued = 1_000;
/** Series and objects that are remembered; the longest unused is forgotten. */
const mostRemembered = 4_096;
const burst = 25;
const refillMs = 10_000;
const mostTries = 12;
const retryMs = 10_000;
const jitter = 0.25;
const longestAskedMs = 60_000;
const requestMs = 10_000;
const flushMs = 5_000;
const longestMessage = 1_024;
/** Of the object's name in the Event's, which has room for 253 characters. */
const longestStem = 220;

/** Never splits a character: encodeInto writes whole ones only. */
function cut(message: string): string {
  const bytes = new Uint8Array(longestMessage);
  return message.slice(0, new TextEncoder().encodeInto(message, bytes).read);
}

/** A Map whose first entry is the one that was not used for longest. */
function remember<Key, Value>(map: Map<Key, Value>, key: Key, value: Value): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > mostRemembered && oldest !== undefined) map.delete(oldest);
}

/** One that an object is given back every 10 s, 25 at most, so that a flapping one does not fill etcd. */
function createTokens(clock: Clock): {take(of: string): boolean} {
  const buckets = new Map<string, {tokens: number; at: number}>();
  return {
    take(of) {
      const now = clock.now();
      const {tokens, at} = buckets.get(of) ?? {tokens: burst, at: now};
      const refilled = Math.min(burst, tokens + (now - at) / refillMs);
      const taken = refilled >= 1;
      remember(buckets, of, {tokens: taken ? refilled - 1 : refilled, at: now});
      return taken;
    },
  };
}

/** One Event in the cluster, or one that is to be. */
type Series = {
  readonly event: EventRecord;
  readonly name: string;
  readonly since: Date;
  count: number;
  lastSeen: Date;
  /** By the clock. */
  lastSeenAt: number;
  /** The count that the API server knows; 0: it does not know the Event. */
  written: number;
  /** It is in the queue, or waits for a token. */
  waits: boolean;
};

const objectKey = ({uid, kind, namespace, name}: ObjectReference): string =>
  JSON.stringify([uid, kind, namespace, name]);
const seriesKey = ({object, type, reason, message}: EventRecord): string =>
  JSON.stringify([objectKey(object), type, reason, message]);
const hasStatus = (error: unknown, status: number): boolean => error instanceof KubeError && error.status === status;

/** What is refused now is refused again, as in a namespace that is being deleted (403, then 404). */
const isRefusal = (error: unknown): boolean =>
  error instanceof KubeError && error.status >= 400 && error.status < 500 && ![408, 429].includes(error.status);

type Sink = {
  /** Writes what it is now; rejects with what the client throws, or after 10 s. */
  write(series: Series): Promise<void>;
  giveUp(): void;
};

function createSink({client, component, instance, clock}: Settings): Sink {
  let giveUp = (): void => {};

  const request = async (method: 'POST' | 'PATCH', path: string, body: unknown): Promise<void> => {
    const controller = new AbortController();
    const {promise: givenUp, reject} = Promise.withResolvers<never>();
    giveUp = () => {
      reject(new Error('no answer in time')); // also if the client does not listen to its signal
      controller.abort();
    };
    const contentType = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    const asked = client.request({method, path, body, contentType, signal: controller.signal});
    const timer = clock.after(requestMs, giveUp);
    await Promise.race([asked, givenUp]).finally(() => timer.cancel());
  };

  return {
    async write({event, name, since, count, lastSeen, written}) {
      const {object: regarding, type, reason, message: note, action} = event;
      const collection = `/apis/events.k8s.io/v1/namespaces/${regarding.namespace}/events`;
      const series = {count, lastObservedTime: microTime(lastSeen)};
      if (written > 0) return request('PATCH', `${collection}/${name}`, {series});
      return request('POST', collection, {
        apiVersion: 'events.k8s.io/v1',
        kind: 'Event',
        metadata: {name, namespace: regarding.namespace},
        eventTime: microTime(since),
        type,
        reason,
        action,
        note,
        regarding,
        reportingController: component,
        reportingInstance: instance,
        ...(count > 1 && {series}),
      });
    },
    giveUp: () => giveUp(),
  };
}

export function createEventRecorder(settings: Settings): EventRecorder {
  const {clock, wallClock, random, onFailed} = settings;
  const sink = createSink(settings);
  const tokens = createTokens(clock);
  const known = new Map<string, Series>();
  const queue: Series[] = [];
  /** Series whose object has no token left. */
  const late = new Map<Series, Timer>();
  const numbers = {written: 0, failed: 0, dropped: 0};
  let working: Promise<void> | undefined;
  let flushing = false;
  let wake = (): void => {};

  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const timer = clock.after(ms, resolve);
      wake = () => {
        timer.cancel();
        resolve();
      };
    });

  const fail = (series: Series, error: unknown): void => {
    numbers.failed += 1;
    onFailed?.(series.event, error);
  };

  /** Whether another try, at once, finds it otherwise than this one took it to be. */
  const corrects = (series: Series, error: unknown): boolean => {
    if (series.written > 0 && hasStatus(error, 404))
      series.written = 0; // Events live for an hour, and anyone may delete them
    else if (series.written === 0 && hasStatus(error, 409))
      series.written = 1; // a try whose answer did not come
    else return false;
    return true;
  };

  const write = async (series: Series): Promise<void> => {
    series.waits = false;
    for (let tries = 1; series.written < series.count; tries += 1) {
      const {count} = series;
      try {
        await sink.write(series);
        series.written = count;
        numbers.written += 1;
        return;
      } catch (error) {
        if (tries >= mostTries) return fail(series, error);
        if (corrects(series, error)) continue;
        if (flushing || isRefusal(error)) return fail(series, error);
        const askedMs = error instanceof KubeError ? Math.min(error.retryAfterMs ?? 0, longestAskedMs) : 0;
        await pause(Math.max(askedMs, retryMs * (1 + jitter * random())));
      }
    }
  };

  const drain = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await write(next);
    working = undefined;
  };

  const dropOldest = (tooMany: number): void => {
    for (const series of queue.splice(0, tooMany)) {
      numbers.dropped += 1;
      series.waits = false;
    }
  };

  const enqueue = (series: Series): void => {
    series.waits = true;
    queue.push(series);
    dropOldest(Math.max(0, queue.length - mostQueued));
    working ??= drain();
  };

  /** What finds no token is counted, and written when there is one. */
  const update = (series: Series): void => {
    if (series.waits) return;
    if (flushing || tokens.take(objectKey(series.event.object))) return enqueue(series);
    series.waits = true;
    const timer = clock.after(refillMs, () => {
      late.delete(series);
      series.waits = false;
      update(series);
    });
    late.set(series, timer);
  };

  const create = (event: EventRecord, lastSeen: Date): Series => {
    const stem = event.object.name.slice(0, longestStem).replace(/[-.]+$/, '');
    const name = `${stem}.${lastSeen.getTime().toString(16)}${Math.floor(random() * 2 ** 32).toString(16)}`;
    return {event, name, since: lastSeen, count: 1, lastSeen, lastSeenAt: clock.now(), written: 0, waits: false};
  };

  return {
    record(given) {
      const event = {...given, message: cut(given.message)};
      const key = seriesKey(event);
      const now = clock.now();
      const lastSeen = wallClock();
      const series = known.get(key);
      if (series !== undefined && now - series.lastSeenAt < seriesMs) {
        remember(known, key, Object.assign(series, {count: series.count + 1, lastSeen, lastSeenAt: now}));
        update(series);
      } else if (tokens.take(objectKey(event.object))) {
        const first = create(event, lastSeen);
        remember(known, key, first);
        enqueue(first);
      } else numbers.dropped += 1;
    },
    numbers: () => ({...numbers}),
    async flush() {
      flushing = true;
      for (const [series, timer] of late) {
        timer.cancel();
        enqueue(series);
      }
      late.clear();
      wake();
      const timer = clock.after(flushMs, () => {
        dropOldest(queue.length);
        sink.giveUp();
      });
      await working;
      timer.cancel();
      flushing = false;
    },
  };
}
