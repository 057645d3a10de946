/**
 * Keeps a store like the API server's: lists, then watches from there on, for ever. What goes wrong is tried again, and meanwhile the
 * store stays as it is: an API server that is away, or says 403 or 404, has not said that there is nothing.
 * The protocol: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
 */
import type {KubeClient, KubeRequest} from './client.ts';
import type {Clock} from './clock.ts';
import {listAll} from './list-all.ts';
import type {KubeObject} from './objects.ts';
import {createPace, isAnswer, longestQuietMs, type Ending, type Next} from './pace.ts';
import {quietly} from './quietly.ts';
import {keyOf, type Store} from './store.ts';
import {createUnderWay, type Asking} from './under-way.ts';
import {parseWatchEvent, type ObjectEvent, type WatchEvent} from './watch-event.ts';

export type ReflectorOptions<T extends KubeObject> = {
  client: Pick<KubeClient, 'request' | 'stream'>;
  /** Of the collection: `/api/v1/namespaces/a/configmaps`. */
  path: string;
  /** `fieldSelector`, `labelSelector`. */
  query?: NonNullable<KubeRequest['query']>;
  /** Written by this reflector alone. */
  store: Pick<Store<T>, 'replace' | 'set' | 'delete'>;
  clock: Clock;
  /** From 0 up to 1. */
  random: () => number;
  /** When it fails, and again when it fails in another way, not with each try. What the next try cures at once is not told. */
  onProblem?: (error: unknown) => void;
  /** After `onProblem`, when it works again. */
  onRecovered?: () => void;
  /** Something in an answer could not be read, and was left out. `why` holds nothing of an object. */
  onUnreadable?: (why: string) => void;
};

export type Reflector = {
  /** The first whole list is in the store. */
  readonly hasSynced: boolean;
  /** Resolves once that is so; rejects if it is stopped before. */
  synced(): Promise<void>;
  /** Clock time of the API server's last answer or event; before the first, of the start. That a watch ends in its time is neither. */
  readonly lastActivityAt: number;
  /** At once: no request, no timer, no change of the store is left or comes after it. */
  stop(): void;
};

/** How long a watch asks to live, in seconds: a random time between these, so that not all come back at the same moment. */
export const watchSeconds = {shortest: 300, longest: 600};

/** The same where it may be deaf: long enough to be found out. */
const doubtfulSeconds = {shortest: longestQuietMs / 1_000 + 1, longest: longestQuietMs / 1_000 + 30};

/** A watch without any event, not even a bookmark, is given up that much after its time. */
const graceMs = 30_000;
/**
 * A watch that has had a bookmark gets one each minute: the API server sends those of its cache to whoever has not got beyond them, and they
 * never go back. Before its first a watch may have none for as long as nothing changes and etcd tells the API server of no progress.
 */
const bookmarkedSilenceMs = 150_000;
/** For one page of a list: longer than the API server itself takes for a request, which is a minute. */
const pageLimitMs = 60_000 + graceMs;

type Content<T extends KubeObject> = ReflectorOptions<T>['store'];

/** Answers with where a watch goes on after it, undefined if that is not said. */
function apply<T extends KubeObject>(store: Content<T>, {type, object}: ObjectEvent): string | undefined {
  if (type === 'Deleted') store.delete(keyOf(object));
  else store.set(object as T); // what lies beyond its metadata is the API server's to get right
  return object.metadata.resourceVersion;
}

function randomSeconds({shortest, longest}: typeof watchSeconds, random: () => number): number {
  return shortest + Math.floor(random() * (longest - shortest + 1));
}

/** Starts at once. */
export function createReflector<T extends KubeObject>(options: ReflectorOptions<T>): Reflector {
  const {client, path, query = {}, store, clock, random} = options;
  const underWay = createUnderWay(clock);
  const tell = (run: () => void): void => (underWay.stopped ? undefined : quietly(run));
  const pace = createPace(random, {
    onProblem: (error) => tell(() => options.onProblem?.(error)),
    onRecovered: () => tell(() => options.onRecovered?.()),
  });
  const leaveOut = (why: string): void => tell(() => options.onUnreadable?.(why));
  const firstList = Promise.withResolvers<void>();
  firstList.promise.catch(() => {}); // nobody has to wait for it
  /** Where the next watch goes on; undefined: a list is due. */
  let resourceVersion: string | undefined;
  let hasSynced = false;
  let lastActivityAt = clock.now();

  const ask = (limitMs: number, run: (asking: Asking) => Promise<void>): Promise<void> =>
    underWay.ask(limitMs, ({signal, heard, limit}) => {
      const noteActivity = (): void => {
        heard();
        lastActivityAt = clock.now();
      };
      return run({signal, heard: noteActivity, limit}).catch((error: unknown) => {
        if (isAnswer(error)) noteActivity();
        throw error;
      });
    });

  const list = (): Promise<void> =>
    ask(pageLimitMs, async ({signal, heard}) => {
      const whole = await listAll({client, path, query, signal, heard});
      signal.throwIfAborted();
      if (whole.unreadable > 0) leaveOut(`${whole.unreadable} items of a list without a name`);
      store.replace(whole.objects as T[]); // as in `apply`
      ({resourceVersion} = whole);
    });

  const watch = (from: string, onEvent: () => void): Promise<void> => {
    const timeoutSeconds = randomSeconds(pace.isDoubtful ? doubtfulSeconds : watchSeconds, random);
    const watchQuery = {...query, watch: true, allowWatchBookmarks: true, resourceVersion: from, timeoutSeconds};
    const take = (event: WatchEvent): void => {
      if (event.type === 'Error') throw event.error;
      if (event.type === 'Unreadable') return leaveOut(event.why);
      resourceVersion = (event.type === 'Bookmark' ? event.resourceVersion : apply(store, event)) ?? resourceVersion;
      onEvent();
    };
    return ask(timeoutSeconds * 1_000 + graceMs, async ({signal, heard, limit}) => {
      for await (const line of client.stream({method: 'GET', path, query: watchQuery, signal})) {
        signal.throwIfAborted(); // stopped, though more lines were on their way
        heard();
        const event = parseWatchEvent(`GET ${path}`, line);
        take(event);
        if (event.type === 'Bookmark') limit(bookmarkedSilenceMs);
      }
    });
  };

  const listOnce = async (): Promise<Next> => {
    try {
      await list();
    } catch (error) {
      return pace.listFailed(error);
    }
    hasSynced = true;
    firstList.resolve();
    pace.listWorked();
    return {waitMs: 0, newList: false};
  };

  const watchOnce = async (from: string): Promise<Next> => {
    const openedAt = clock.now();
    let events = 0;
    const ending = (error?: unknown): Ending => ({livedMs: clock.now() - openedAt, events, error});
    const onEvent = (): void => {
      events += 1;
      pace.watchWorks();
    };
    return watch(from, onEvent).then(
      () => pace.watchEnded(ending()),
      (error: unknown) => pace.watchEnded(ending(error)),
    );
  };

  const run = async (): Promise<void> => {
    while (!underWay.stopped) {
      const {waitMs, newList} = await (resourceVersion === undefined ? listOnce() : watchOnce(resourceVersion));
      if (newList) resourceVersion = undefined;
      await underWay.pause(waitMs);
    }
  };
  void run(); // nothing in it throws

  return {
    get hasSynced() {
      return hasSynced;
    },
    synced: () => firstList.promise,
    get lastActivityAt() {
      return lastActivityAt;
    },
    stop() {
      underWay.stop();
      firstList.reject(new Error(`stopped before the first list of ${path} was in`)); // no effect once it is
    },
  };
}
