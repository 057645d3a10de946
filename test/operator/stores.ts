/** The operator's caches, filled by a test instead of an API server's watches. */
import type {KubeObject} from '../../kube/objects.ts';
import {createStore, type Store} from '../../kube/store.ts';
import type {Caches} from '../../operator/cluster/caches.ts';
import {indexes} from '../../operator/cluster/gather.ts';
import {watchedKinds} from '../../operator/cluster/kinds.ts';
import type {ObjectName} from '../../operator/plan/world.ts';

export type Stores = {caches: Caches; of: (kind: string) => Store<KubeObject>};

export function createStores(defaultGateway?: ObjectName): Stores {
  const byKind = indexes(defaultGateway);
  const stores = new Map(
    watchedKinds.map(({kind}) => [
      kind,
      createStore<KubeObject>({
        indexes: byKind[kind] ?? {},
        onError: (error) => {
          throw error;
        },
      }),
    ]),
  );
  const of = (kind: string): Store<KubeObject> => {
    const store = stores.get(kind);
    if (store === undefined) throw new Error(`${kind} is not watched`);
    return store;
  };
  const caches: Caches = {
    of: (kind) => ({...of(kind), onChange: (listener) => void of(kind).onChange(listener)}),
    hasSynced: true,
    synced: () => Promise.resolve(),
    silent: () => [],
    missing: () => [],
    stop: () => {},
  };
  return {caches, of};
}
