/**
 * The objects of one kind as last heard of, by key and by index, and who wants to hear of changes. Objects are stored as they came
 * and handed out as they are: nobody changes one in place.
 */
import {createIndex, type Index, type IndexFunction} from './store-index.ts';
import type {KubeObject} from './objects.ts';

export type Change<T> = {
  type: 'Added' | 'Modified' | 'Deleted';
  key: string;
  /** Of a deletion: as it was stored last. */
  object: T;
  /** With `Modified`: what it replaces. */
  previous?: T;
};

/** Whatever it throws, or rejects with, goes to `onError`: one listener's fault is nobody else's. */
export type ChangeListener<T> = (change: Change<T>) => void;

export type Store<T extends KubeObject> = {
  get(key: string): T | undefined;
  /** In no particular order. */
  list(): T[];
  /** In no particular order. An index that the store does not have is a bug. */
  byIndex(name: string, value: string): T[];
  /** The whole new content. Listeners hear of the differences alone, and by then see all of them in the store. */
  replace(objects: readonly T[]): void;
  /** Nothing changes if the stored one has the same uid and resourceVersion. */
  set(object: T): void;
  /** Nothing changes if there is none. */
  delete(key: string): void;
  /** Hears of what changes from now on. The result ends that. */
  onChange(listener: ChangeListener<T>): () => void;
};

export type StoreOptions<T> = {
  indexes?: Readonly<Record<string, IndexFunction<T>>>;
  /** What a listener or an index function has thrown; an object that an index function throws at is not in that index. */
  onError: (error: unknown) => void;
};

/** `namespace/name`, or the name alone of what has no namespace. Neither can contain a slash. */
export const keyOf = ({metadata: {namespace, name}}: Pick<KubeObject, 'metadata'>): string =>
  namespace === undefined || namespace === '' ? name : `${namespace}/${name}`;

/** The API server changes the resourceVersion with every write. Without one there is no telling, so it may have changed. */
const isSame = (a: KubeObject, b: KubeObject): boolean =>
  a.metadata.uid === b.metadata.uid &&
  a.metadata.resourceVersion !== undefined &&
  a.metadata.resourceVersion === b.metadata.resourceVersion;

/** Another uid under the same name is another object: whoever keeps something per object must hear that the first has gone. */
function differences<T extends KubeObject>(key: string, previous: T | undefined, object: T | undefined): Change<T>[] {
  if (previous === undefined) return object === undefined ? [] : [{type: 'Added', key, object}];
  if (object === undefined) return [{type: 'Deleted', key, object: previous}];
  if (isSame(previous, object)) return [];
  if (previous.metadata.uid === object.metadata.uid) return [{type: 'Modified', key, object, previous}];
  return [
    {type: 'Deleted', key, object: previous},
    {type: 'Added', key, object},
  ];
}

/** Guarded against what it calls, which is others' code. */
function createGuard(onError: (error: unknown) => void): (run: () => unknown) => void {
  return (run) => {
    try {
      const result = run();
      if (result instanceof Promise) result.catch(onError); // an async listener: a rejection that nobody handles ends the process
    } catch (error) {
      onError(error);
    }
  };
}

export function createStore<T extends KubeObject>({indexes = {}, onError}: StoreOptions<T>): Store<T> {
  const objects = new Map<string, T>();
  const indexesByName = new Map<string, Index<T>>(
    Object.entries(indexes).map(([name, valuesOf]) => [name, createIndex(valuesOf)]),
  );
  const listeners = new Set<{listener: ChangeListener<T>}>();
  const guarded = createGuard(onError);

  const apply = ({type, key, object}: Change<T>): void => {
    for (const index of indexesByName.values()) {
      index.remove(key);
      if (type !== 'Deleted') guarded(() => index.add(key, object));
    }
    if (type === 'Deleted') objects.delete(key);
    else objects.set(key, object);
  };

  const change = (changes: readonly Change<T>[]): void => {
    for (const change of changes) apply(change);
    for (const change of changes)
      for (const entry of Array.from(listeners)) if (listeners.has(entry)) guarded(() => entry.listener(change));
  };

  return {
    get: (key) => objects.get(key),
    list: () => [...objects.values()],
    byIndex(name, value) {
      const index = indexesByName.get(name);
      if (index === undefined) throw new Error(`bug: the store has no index ${name}`);
      return Array.from(index.keys(value)).flatMap((key) => objects.get(key) ?? []);
    },
    replace(list) {
      const next = new Map(list.map((object) => [keyOf(object), object]));
      const gone = [...objects.keys()].filter((key) => !next.has(key));
      change([
        ...gone.flatMap((key) => differences(key, objects.get(key), undefined)),
        ...[...next].flatMap(([key, object]) => differences(key, objects.get(key), object)),
      ]);
    },
    set(object) {
      const key = keyOf(object);
      change(differences(key, objects.get(key), object));
    },
    delete(key) {
      change(differences(key, objects.get(key), undefined));
    },
    onChange(listener) {
      const entry = {listener}; // the same function may listen twice
      listeners.add(entry);
      return () => void listeners.delete(entry);
    },
  };
}
