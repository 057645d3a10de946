/** Whether anything is written while nothing has changed. */
import {watchedKinds} from '../../operator/cluster/kinds.ts';
import {pass} from '../clock.ts';
import type {Api} from './api.ts';

/** resourceVersion of everything that the operator reads or writes, and of its Events, by kind and name. */
export type Versions = ReadonlyMap<string, string>;

const events = '/apis/events.k8s.io/v1/events';

export async function versionsOf(api: Api): Promise<Versions> {
  const versions = new Map<string, string>();
  const add = (kind: string, objects: Awaited<ReturnType<Api['list']>>): void => {
    for (const {metadata} of objects)
      versions.set(`${kind} ${metadata.namespace ?? ''}/${metadata.name}`, metadata.resourceVersion ?? '');
  };
  for (const {kind} of watchedKinds) add(kind, await api.list(kind));
  const {items} = (await api.client.request({method: 'GET', path: events})) as {
    items: Awaited<ReturnType<Api['list']>>;
  };
  add('Event', items);
  return versions;
}

/** Of the keys of {@link Versions}. */
export const isEvent = (key: string): boolean => key.startsWith('Event ');

/** Made, changed or gone. */
export const changedSince = (before: Versions, after: Versions): string[] =>
  [...new Set([...before.keys(), ...after.keys()])].filter((key) => before.get(key) !== after.get(key));

export type NudgeOptions = {
  seconds: number;
  namespaces: readonly string[];
  /** Named by a route in each of them. */
  service: string;
};

const everyMs = 250;

/**
 * Gives the operator work that leads to nothing, in one namespace after the other: an annotation on a Service that a route names, so that its
 * gateway is planned anew, and on a Secret that no route names. Returns what it has touched.
 */
export async function nudge(api: Api, {seconds, namespaces, service}: NudgeOptions): Promise<ReadonlySet<string>> {
  const touched = new Set<string>();
  const end = performance.now() + seconds * 1_000;
  for (let turn = 0; performance.now() < end; turn += 1) {
    const namespace = namespaces[turn % namespaces.length] ?? '';
    const annotations = {'example.com/turn': String(turn)};
    await api.merge({kind: 'Service', metadata: {namespace, name: service, annotations}});
    await api.apply({kind: 'Secret', metadata: {namespace, name: 'unrelated', annotations}});
    touched.add(`Service ${namespace}/${service}`).add(`Secret ${namespace}/unrelated`);
    await pass(everyMs);
  }
  return touched;
}
