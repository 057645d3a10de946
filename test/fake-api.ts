/** An API server in memory, as far as lists and watches go: for what has to be seen step by step. */
import type {KubeClient, KubeRequest} from '../kube/client.ts';
import {KubeError} from '../kube/errors.ts';
import type {KubeObject} from '../kube/objects.ts';

type Event = {type: 'ADDED' | 'MODIFIED' | 'DELETED'; object: KubeObject};

type Told = {path: string; version: number; event: Event};

type Watch = {
  path: string;
  query: NonNullable<KubeRequest['query']>;
  heard(event: Event): void;
  broken(error: KubeError): void;
};

export type FakeApi = {
  client: Pick<KubeClient, 'request' | 'stream'>;
  /** Creates it, or replaces it with a new resourceVersion. `path`: of the collection. */
  put(path: string, object: {metadata: Partial<KubeObject['metadata']>; [member: string]: unknown}): void;
  remove(path: string, name: string): void;
  /** Ends what is watched there, and says this to each request, until `allow`. */
  refuse(path: string, status: number): void;
  allow(path: string): void;
  /** Lists of this collection get no answer, until `answer`. */
  hang(path: string): void;
  answer(path: string): void;
  /** It does not answer, until `up`. */
  down(): void;
  up(): void;
  /** Selectors of the watches that stand there. */
  watches(path: string): unknown[];
};

const namesIn = (selector: string): string[] => (/\((.*)\)/.exec(selector)?.[1] ?? '').split(',');

function isSelected({metadata}: KubeObject, {fieldSelector, labelSelector}: Watch['query']): boolean {
  if (typeof fieldSelector === 'string') return fieldSelector === `metadata.name=${metadata.name}`;
  if (typeof labelSelector !== 'string') return true;
  return namesIn(labelSelector).includes(metadata.labels?.['kubernetes.io/service-name'] ?? '');
}

export function createFakeApi(): FakeApi {
  const collections = new Map<string, Map<string, KubeObject>>();
  const refused = new Map<string, number>();
  const hanging = new Map<string, PromiseWithResolvers<void>>();
  const watches = new Set<Watch>();
  const history: Told[] = [];
  let isDown = false;
  let version = 0;

  const objectsOf = (path: string): Map<string, KubeObject> => {
    const objects = collections.get(path) ?? new Map<string, KubeObject>();
    collections.set(path, objects);
    return objects;
  };
  const check = (path: string): void => {
    if (isDown) throw new KubeError(`GET ${path}: ECONNREFUSED`);
    const status = refused.get(path);
    if (status !== undefined)
      throw new KubeError(`GET ${path}: ${status} Forbidden: no`, {status, reason: 'Forbidden'});
  };
  const tell = (path: string, event: Event): void => {
    history.push({path, version, event});
    for (const watch of watches) if (watch.path === path && isSelected(event.object, watch.query)) watch.heard(event);
  };
  const breakOff = (isMeant: (watch: Watch) => boolean, error: KubeError): void => {
    for (const watch of watches) if (isMeant(watch)) watch.broken(error);
  };

  async function* stream({path, query = {}, signal}: KubeRequest): AsyncGenerator {
    check(path);
    const from = Number(query['resourceVersion']);
    const missed = history.filter((told) => told.path === path && told.version > from).map(({event}) => event);
    const events = missed.filter(({object}) => isSelected(object, query));
    let wake = Promise.withResolvers<void>();
    let ended: KubeError | undefined;
    const watch: Watch = {
      path,
      query,
      heard(event) {
        events.push(event);
        wake.resolve();
      },
      broken(error) {
        ended = error;
        wake.resolve();
      },
    };
    watches.add(watch);
    signal?.addEventListener('abort', () => watch.broken(new KubeError('aborted')));
    try {
      for (;;) {
        yield* events.splice(0);
        if (ended !== undefined) throw ended;
        await wake.promise;
        wake = Promise.withResolvers<void>();
      }
    } finally {
      watches.delete(watch);
    }
  }

  return {
    client: {
      async request({path, query = {}}) {
        check(path);
        await hanging.get(path)?.promise;
        check(path);
        const items = [...objectsOf(path).values()].filter((object) => isSelected(object, query));
        return {kind: 'List', metadata: {resourceVersion: String(version)}, items};
      },
      stream,
    },
    put(path, {metadata, ...rest}) {
      version += 1;
      const name = metadata.name ?? '';
      const known = objectsOf(path).get(name);
      const object = {...rest, metadata: {uid: `uid-${name}`, ...metadata, name, resourceVersion: String(version)}};
      objectsOf(path).set(name, object);
      tell(path, {type: known === undefined ? 'ADDED' : 'MODIFIED', object});
    },
    remove(path, name) {
      const object = objectsOf(path).get(name);
      if (object === undefined) throw new Error(`there is no ${name} in ${path}`);
      version += 1;
      objectsOf(path).delete(name);
      tell(path, {
        type: 'DELETED',
        object: {...object, metadata: {...object.metadata, resourceVersion: String(version)}},
      });
    },
    refuse(path, status) {
      refused.set(path, status);
      breakOff((watch) => watch.path === path, new KubeError('the server ended it'));
    },
    allow: (path) => void refused.delete(path),
    hang: (path) => void hanging.set(path, Promise.withResolvers<void>()),
    answer(path) {
      hanging.get(path)?.resolve();
      hanging.delete(path);
    },
    down() {
      isDown = true;
      breakOff(() => true, new KubeError('ECONNRESET'));
    },
    up() {
      isDown = false;
    },
    watches: (path) =>
      [...watches].flatMap(({query, ...watch}) =>
        watch.path === path ? [query['labelSelector'] ?? query['fieldSelector']] : [],
      ),
  };
}
