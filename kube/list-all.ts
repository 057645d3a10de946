/** A whole list, page by page, all of them of one moment. */
import type {KubeClient, KubeRequest} from './client.ts';
import {parseListPage, type ListPage} from './list-page.ts';

export type WholeList = Omit<ListPage, 'next'>;

export type ListOptions = {
  client: Pick<KubeClient, 'request'>;
  /** Of the collection: `/api/v1/namespaces/a/configmaps`. */
  path: string;
  /** `fieldSelector`, `labelSelector`. */
  query: NonNullable<KubeRequest['query']>;
  signal: AbortSignal;
  /** Called with each page. */
  heard: () => void;
};

export const pageSize = 500;

/**
 * Throws what the client throws, a KubeError with status 410 too: the moment has been forgotten before the last page, so the pages so
 * far are of no use, and the list has to start anew. Throws as well if an answer is no list.
 */
export async function listAll({client, path, query, signal, heard}: ListOptions): Promise<WholeList> {
  const ask = async (next: string | undefined): Promise<ListPage> => {
    const answer = await client.request({
      method: 'GET',
      path,
      query: {...query, limit: pageSize, continue: next},
      signal,
    });
    heard();
    return parseListPage(answer);
  };
  let page = await ask(undefined);
  const {resourceVersion} = page;
  const objects = [...page.objects];
  let {unreadable, next} = page;
  while (next !== undefined) {
    page = await ask(next);
    if (page.next === next) throw new Error('the answer to a list continues with itself'); // it would never end
    objects.push(...page.objects);
    unreadable += page.unreadable;
    ({next} = page);
  }
  return {objects, resourceVersion, unreadable};
}
