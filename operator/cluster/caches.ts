/** What the API server has, as last heard of: one store per kind, or per kind and namespace. */
import type {KubeClient} from '../../kube/client.ts';
import type {Clock} from '../../kube/clock.ts';
import type {KubeObject} from '../../kube/objects.ts';
import {createReflector, watchSeconds, type Reflector} from '../../kube/reflector.ts';
import {createStore, type Change, type Store} from '../../kube/store.ts';
import type {IndexFunction} from '../../kube/store-index.ts';
import type {Log} from '../log.ts';
import {apiVersionOf, pathOf, watchedKinds, type WatchedKind} from './kinds.ts';

/** One kind over all namespaces that are watched. */
export type Cache = {
  /** `namespace/name`. */
  get(key: string): KubeObject | undefined;
  list(): KubeObject[];
  byIndex(name: string, value: string): KubeObject[];
  onChange(listener: (change: Change<KubeObject>) => void): void;
};

export type Caches = {
  of(kind: string): Cache;
  readonly hasSynced: boolean;
  /** When all of them are there; rejects if stopped before. */
  synced(): Promise<void>;
  /** Resources that nothing has been heard of for longer than a watch may be silent: their watches hang. */
  silent(): string[];
  /** Resources whose first list is still to come. */
  missing(): string[];
  stop(): void;
};

export type CachesSettings = {
  client: KubeClient;
  clock: Clock;
  random: () => number;
  log: Log;
  /** Empty: all. */
  namespaces: readonly string[];
  /** By kind. */
  indexes: Readonly<Record<string, Readonly<Record<string, IndexFunction<KubeObject>>>>>;
};

type Watched = {watched: WatchedKind; store: Store<KubeObject>; reflector: Reflector};

const join = (stores: readonly Store<KubeObject>[]): Cache => ({
  get(key) {
    for (const store of stores) {
      const found = store.get(key);
      if (found !== undefined) return found;
    }
    return undefined;
  },
  list: () => stores.flatMap((store) => store.list()),
  byIndex: (name, value) => stores.flatMap((store) => store.byIndex(name, value)),
  onChange(listener) {
    for (const store of stores) store.onChange(listener);
  },
});

/** Keeps in the store what is looked at; with the kind, which lists leave out of their items. */
function trimming(
  watched: WatchedKind,
  store: Store<KubeObject>,
): Pick<Store<KubeObject>, 'replace' | 'set' | 'delete'> {
  const apiVersion = apiVersionOf(watched);
  const trim = (object: KubeObject): KubeObject => ({...watched.trim(object), apiVersion, kind: watched.kind});
  return {
    replace: (objects) => store.replace(objects.map(trim)),
    set: (object) => store.set(trim(object)),
    delete: (key) => store.delete(key),
  };
}

function watchKind(watched: WatchedKind, namespace: string | undefined, settings: CachesSettings): Watched {
  const {client, clock, random, log, indexes} = settings;
  const {kind, resource, query} = watched;
  const where = {resource, ...(namespace !== undefined && {namespace})};
  const store = createStore<KubeObject>({
    indexes: indexes[kind] ?? {},
    onError: (error) => log.error('fault in ModelRoute', {...where, error: String(error)}),
  });
  const reflector = createReflector<KubeObject>({
    client,
    clock,
    random,
    path: pathOf(watched, namespace),
    ...(query !== undefined && {query}),
    store: trimming(watched, store),
    onProblem: (error) => log.warn('cannot watch', {...where, error: String(error)}),
    onRecovered: () => log.info('watches again', where),
    onUnreadable: (why) => log.warn('left out what cannot be read', {...where, why}),
  });
  return {watched, store, reflector};
}

/** Starts at once. */
export function createCaches(settings: CachesSettings): Caches {
  const {clock, namespaces} = settings;
  const scopes = namespaces.length === 0 ? [undefined] : namespaces;
  const all = watchedKinds
    .filter(({scope}) => scope === 'Namespaced' || namespaces.length === 0)
    .flatMap((watched) => scopes.map((namespace) => watchKind(watched, namespace, settings)));
  const caches = new Map(
    watchedKinds.map(({kind}) => [
      kind,
      join(all.filter(({watched}) => watched.kind === kind).map(({store}) => store)),
    ]),
  );
  const resources = (wanted: (entry: Watched) => boolean): string[] => [
    ...new Set(all.filter(wanted).map(({watched}) => watched.resource)),
  ];
  const longestSilenceMs = 2 * watchSeconds.longest * 1_000;

  return {
    of(kind) {
      const cache = caches.get(kind);
      if (cache === undefined) throw new Error(`bug: ${kind} is not watched`);
      return cache;
    },
    get hasSynced() {
      return all.every(({reflector}) => reflector.hasSynced);
    },
    async synced() {
      await Promise.all(all.map(({reflector}) => reflector.synced()));
    },
    silent: () => resources(({reflector}) => clock.now() - reflector.lastActivityAt > longestSilenceMs),
    missing: () => resources(({reflector}) => !reflector.hasSynced),
    stop() {
      for (const {reflector} of all) reflector.stop();
    },
  };
}
