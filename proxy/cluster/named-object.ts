/** One object of the API server, followed by its name: a right to read that one is enough. */
import type {KubeClient} from '../../kube/client.ts';
import type {Clock} from '../../kube/clock.ts';
import type {KubeObject} from '../../kube/objects.ts';
import {createReflector} from '../../kube/reflector.ts';
import type {ApiTrouble} from './api-trouble.ts';
import type {ObjectName} from './stored.ts';

/** What every watch needs. */
export type Watching = {
  client: Pick<KubeClient, 'request' | 'stream'>;
  clock: Clock;
  random: () => number;
  trouble: ApiTrouble;
};

export type Stoppable = {stop(): void};

/** `heard`: as the object is now, and each version of it once; undefined: the API server says that there is none. */
export function followObject(
  kind: 'configmaps' | 'secrets',
  {namespace, name}: ObjectName,
  {trouble, ...watching}: Watching,
  heard: (object: KubeObject | undefined) => void,
): Stoppable {
  const isNamed = ({metadata}: KubeObject): boolean => metadata.name === name;
  let seen: string | undefined;
  const see = (object: KubeObject | undefined): void => {
    const version = object === undefined ? '' : `${object.metadata.uid} ${object.metadata.resourceVersion}`;
    if (version === seen) return;
    seen = version;
    heard(object);
  };
  return createReflector({
    ...watching,
    ...trouble.of(`${kind} ${namespace}/${name}`).listeners,
    path: `/api/v1/namespaces/${namespace}/${kind}`,
    query: {fieldSelector: `metadata.name=${name}`},
    store: {
      replace: (objects) => see(objects.find(isNamed)),
      set: (object) => isNamed(object) && see(object),
      delete: () => see(undefined), // of the one that is selected
    },
  });
}
