/** The configs that the operator publishes, as a client that watches them sees them come. */
import {createReflector} from '../../kube/reflector.ts';
import type {KubeObject} from '../../kube/objects.ts';
import {keyOf} from '../../kube/store.ts';
import {readConfigMap} from '../../operator/cluster/config-object.ts';
import {systemClock} from '../../proxy/engine/clock.ts';
import type {GatewayConfig} from '../../proxy/config/schema.ts';
import {nowUs} from '../clock.ts';
import type {Api} from './api.ts';

export type Published = {
  /** Of the ConfigMap. */
  namespace: string;
  hash: string;
  atUs: number;
  /** Generation of each route in it, by its name. */
  routes: ReadonlyMap<string, number>;
};

export type Watch = {stop(): void};

/** Hears of each version of each object of a collection, once. */
export async function watchObjects(
  {client}: Pick<Api, 'client'>,
  path: string,
  heard: (object: KubeObject) => void,
  query: Record<string, string> = {},
): Promise<Watch> {
  const versions = new Map<string, string | undefined>();
  const set = (object: KubeObject): void => {
    const [key, {resourceVersion}] = [keyOf(object), object.metadata];
    if (versions.get(key) === resourceVersion) return;
    versions.set(key, resourceVersion);
    heard(object);
  };
  const store = {replace: (objects: readonly KubeObject[]) => objects.forEach(set), set, delete: () => {}};
  const reflector = createReflector({client, clock: systemClock, random: Math.random, path, query, store});
  await reflector.synced();
  return reflector;
}

export const watchConfigs = (api: Api, heard: (published: Published) => void): Promise<Watch> =>
  watchObjects(
    api,
    '/api/v1/configmaps',
    (object) => {
      const atUs = nowUs();
      const read = readConfigMap(object);
      if (read === undefined) return;
      const {routes} = JSON.parse(read.text) as GatewayConfig; // the operator has just made it
      const generations = new Map(routes.map(({name, generation}) => [name, generation]));
      heard({namespace: object.metadata.namespace ?? '', hash: read.hash, atUs, routes: generations});
    },
    {labelSelector: 'app.kubernetes.io/managed-by=modelroute'},
  );
