/** One index of a store: which keys an index function has given a value. */

/** The values under which an object is found; none: it is in this index not at all. */
export type IndexFunction<T> = (object: T) => readonly string[];

export type Index<T> = {
  /** Of an object that is not in the index yet. Throws what the index function throws; the object then is in it under no value. */
  add(key: string, object: T): void;
  remove(key: string): void;
  keys(value: string): Iterable<string>;
};

export function createIndex<T>(valuesOf: IndexFunction<T>): Index<T> {
  const keysByValue = new Map<string, Set<string>>();
  /** Remembered, so that what went in comes out, whatever the function would say by then. */
  const valuesByKey = new Map<string, readonly string[]>();
  return {
    add(key, object) {
      const values = valuesOf(object);
      if (values.length === 0) return;
      valuesByKey.set(key, values);
      for (const value of values) {
        const keys = keysByValue.get(value);
        if (keys === undefined) keysByValue.set(value, new Set([key]));
        else keys.add(key);
      }
    },
    remove(key) {
      for (const value of valuesByKey.get(key) ?? []) {
        const keys = keysByValue.get(value);
        keys?.delete(key);
        if (keys?.size === 0) keysByValue.delete(value); // values come and go for months
      }
      valuesByKey.delete(key);
    },
    keys: (value) => keysByValue.get(value) ?? [],
  };
}
