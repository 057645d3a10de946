import {describe, expect, it} from '@jest/globals';
import type {KubeObject} from './objects.ts';
import {createStore, keyOf, type Change} from './store.ts';

const object = (name: string, resourceVersion = '1', more: Partial<KubeObject['metadata']> = {}): KubeObject => ({
  metadata: {namespace: 'a', name, uid: `uid of ${name}`, resourceVersion, ...more},
});

const labelled = (name: string, resourceVersion: string, team: string): KubeObject =>
  object(name, resourceVersion, {labels: {team}});

const names = (objects: readonly KubeObject[]): string[] => objects.map(({metadata}) => metadata.name).sort();

function start() {
  const changes: Change<KubeObject>[] = [];
  const errors: unknown[] = [];
  const store = createStore<KubeObject>({
    indexes: {
      team: ({metadata: {labels = {}}}) => Object.values(labels),
      broken({metadata: {name}}) {
        if (name === 'odd') throw new Error('odd name');
        return ['all'];
      },
    },
    onError: (error) => errors.push(error),
  });
  store.onChange((change) => changes.push(change));
  const told = () =>
    changes.splice(0).map(({type, key, object, previous}) => {
      const versions = [...(previous === undefined ? [] : [previous]), object];
      return `${type} ${key} ${versions.map(({metadata}) => metadata.resourceVersion).join('>')}`;
    });
  return {store, told, errors};
}

describe('the key of an object', () => {
  it.each([
    ['namespace and name', {namespace: 'a', name: 'b'}, 'a/b'],
    ['the name of what has no namespace', {name: 'b'}, 'b'],
    ['the name of what has an empty one', {namespace: '', name: 'b'}, 'b'],
  ])('is %s', (_what, metadata, key) => {
    expect(keyOf({metadata})).toBe(key);
  });
});

describe('the store', () => {
  it('adds, changes and deletes, and tells each', () => {
    const {store, told} = start();
    store.set(object('x', '1'));
    store.set(object('x', '2'));
    expect(store.get('a/x')).toEqual(object('x', '2'));
    store.delete('a/x');
    expect(store.get('a/x')).toBeUndefined();
    expect(told()).toEqual(['Added a/x 1', 'Modified a/x 1>2', 'Deleted a/x 2']);
  });

  it('tells nothing of what it has already, and of what it has not', () => {
    const {store, told} = start();
    const first = object('x');
    store.set(first);
    told();
    store.set(object('x'));
    store.delete('a/y');
    expect(told()).toEqual([]);
    expect(store.get('a/x')).toBe(first);
  });

  it('takes an object without a resourceVersion for changed each time', () => {
    const {store, told} = start();
    const {resourceVersion: _version, ...metadata} = object('x').metadata;
    store.set({metadata});
    store.set({metadata});
    expect(told()).toHaveLength(2);
  });

  it('tells of another object under the same name that the first has gone', () => {
    const {store, told} = start();
    store.set(object('x', '1'));
    store.set(object('x', '1', {uid: 'another'}));
    expect(told()).toEqual(['Added a/x 1', 'Deleted a/x 1', 'Added a/x 1']);
    expect(store.get('a/x')?.metadata.uid).toBe('another');
  });

  it('replaces its content, and tells only the differences', () => {
    const {store, told} = start();
    store.replace(['same', 'changed', 'gone', 'anew'].map((name) => object(name)));
    expect(told()).toHaveLength(4);
    store.replace([object('same'), object('changed', '2'), object('anew', '3', {uid: 'another'}), object('new')]);
    expect(told().sort()).toEqual([
      'Added a/anew 3',
      'Added a/new 1',
      'Deleted a/anew 1',
      'Deleted a/gone 1',
      'Modified a/changed 1>2',
    ]);
    expect(names(store.list())).toEqual(['anew', 'changed', 'new', 'same']);
  });

  it('shows all of a replaced content to those who hear of its first change', () => {
    const {store} = start();
    store.set(object('gone'));
    const seen: string[][] = [];
    store.onChange(() => seen.push(names(store.list())));
    store.replace([object('x'), object('y')]);
    expect(seen).toEqual([
      ['x', 'y'],
      ['x', 'y'],
      ['x', 'y'],
    ]);
  });

  it('changes no object that it holds', () => {
    const {store} = start();
    const frozen = Object.freeze({metadata: Object.freeze(object('x', '1').metadata)});
    store.replace([frozen]);
    store.set(object('x', '2'));
    store.replace([frozen]);
    store.delete('a/x');
    expect(frozen.metadata).toEqual(object('x', '1').metadata);
  });
});

describe('an index of the store', () => {
  it('finds objects by each of their values', () => {
    const {store} = start();
    store.replace([object('x', '1', {labels: {one: 'red', two: 'blue'}}), labelled('y', '1', 'red'), object('z')]);
    expect(names(store.byIndex('team', 'red'))).toEqual(['x', 'y']);
    expect(names(store.byIndex('team', 'blue'))).toEqual(['x']);
    expect(store.byIndex('team', 'green')).toEqual([]);
  });

  it('follows changes, deletions and replacements', () => {
    const {store} = start();
    store.set(labelled('x', '1', 'red'));
    store.set(labelled('x', '2', 'blue'));
    expect(store.byIndex('team', 'red')).toEqual([]);
    expect(store.byIndex('team', 'blue')).toEqual([labelled('x', '2', 'blue')]);
    store.delete('a/x');
    expect(store.byIndex('team', 'blue')).toEqual([]);
    store.set(labelled('x', '3', 'red'));
    store.replace([labelled('y', '1', 'red')]);
    expect(names(store.byIndex('team', 'red'))).toEqual(['y']);
  });

  it('leaves out an object that its function throws at, and the store goes on', () => {
    const {store, told, errors} = start();
    store.set(object('odd'));
    store.set(object('x'));
    expect(names(store.byIndex('broken', 'all'))).toEqual(['x']);
    expect(names(store.list())).toEqual(['odd', 'x']);
    expect(errors).toEqual([new Error('odd name')]);
    expect(told()).toHaveLength(2);
  });

  it('has to exist', () => {
    expect(() => start().store.byIndex('colour', 'red')).toThrow('bug: the store has no index colour');
  });
});

describe('a listener of the store', () => {
  it('that throws stops neither the others nor the change', () => {
    const {store, errors} = start();
    const heard: string[] = [];
    store.onChange(() => {
      throw new Error('its own fault');
    });
    store.onChange(({key}) => heard.push(key));
    store.replace([object('x'), object('y')]);
    expect(heard).toEqual(['a/x', 'a/y']);
    expect(errors).toEqual([new Error('its own fault'), new Error('its own fault')]);
  });

  it('that rejects is not an unhandled rejection', async () => {
    const {store, errors} = start();
    store.onChange(async () => {
      await Promise.resolve();
      throw new Error('its own fault');
    });
    store.set(object('x'));
    await new Promise((resolve) => setImmediate(resolve));
    expect(errors).toEqual([new Error('its own fault')]);
  });

  it('hears nothing after another has ended that, not even of the change in which it did', () => {
    const {store} = start();
    const heard: string[] = [];
    store.onChange(() => leave());
    const leave = store.onChange(({key}) => heard.push(key));
    store.set(object('x'));
    expect(heard).toEqual([]);
  });

  it('hears nothing after it has left, not even the rest of a replacement', () => {
    const {store} = start();
    const heard: string[] = [];
    const leave = store.onChange(({key}) => {
      heard.push(key);
      leave();
    });
    store.replace([object('x'), object('y')]);
    store.set(object('z'));
    expect(heard).toHaveLength(1);
  });
});
