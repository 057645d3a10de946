/**
 * One page of a list, as the API server sends it: https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
 */
import {isRecord, parseObject} from './parse-object.ts';
import type {KubeObject} from './objects.ts';

export type ListPage = {
  objects: KubeObject[];
  /** Of the whole list, on each of its pages: where a watch goes on. */
  resourceVersion: string;
  /** What asks for the next page; undefined on the last. */
  next: string | undefined;
  /** Items that are no objects. */
  unreadable: number;
};

/** Items of a typed list come without what the list says for all of them; in a watch each brings it along. */
const kindOfItems = ({apiVersion, kind}: Record<string, unknown>): Pick<KubeObject, 'apiVersion' | 'kind'> =>
  typeof apiVersion === 'string' && typeof kind === 'string' && kind.endsWith('List')
    ? {apiVersion, kind: kind.slice(0, -'List'.length)}
    : {};

/** Throws if it is no list: anything else must not be taken for an empty one. */
export function parseListPage(answer: unknown): ListPage {
  const metadata = isRecord(answer) && isRecord(answer['metadata']) ? answer['metadata'] : {};
  const {resourceVersion, continue: next} = metadata;
  if (!isRecord(answer) || typeof resourceVersion !== 'string' || resourceVersion === '')
    throw new Error('the answer to a list is no list');
  const items = answer['items'] === null ? [] : answer['items']; // null: how Go writes a list that was never filled
  if (!Array.isArray(items)) throw new Error('the answer to a list has no items');
  const kind = kindOfItems(answer);
  const objects = items.flatMap((item: unknown) => parseObject(item) ?? []);
  return {
    objects: objects.map((object) => ({...kind, ...object})),
    resourceVersion,
    next: typeof next === 'string' && next !== '' ? next : undefined,
    unreadable: items.length - objects.length,
  };
}
