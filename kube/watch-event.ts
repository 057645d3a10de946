/** One line of a watch: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes */
import {KubeError, kubeErrorOfStatus} from './errors.ts';
import type {KubeObject} from './objects.ts';
import {isRecord, parseObject} from './parse-object.ts';

/** An object is there, new or changed, or no longer is, by which is told how it was last. */
export type ObjectEvent = {type: 'Set' | 'Deleted'; object: KubeObject};

export type WatchEvent =
  | ObjectEvent
  /** All up to this resourceVersion has been told, though none of it was of interest. */
  | {type: 'Bookmark'; resourceVersion: string}
  /** The watch is over. 410: it has to start from a new list. */
  | {type: 'Error'; error: KubeError}
  /** `why` holds nothing of the object, which may be a Secret. */
  | {type: 'Unreadable'; why: string};

/** Of the Status in an ERROR event. Never of status 0, for it is an answer. */
function parseError(where: string, object: unknown): KubeError {
  const error = isRecord(object) ? kubeErrorOfStatus(where, {...object, kind: 'Status'}) : undefined;
  if (error !== undefined && error.status !== 0) return error;
  return new KubeError(error?.message ?? `${where}: the watch ended in an error that says nothing`, {status: 500});
}

function parseBookmark(object: unknown): WatchEvent {
  const metadata = isRecord(object) ? object['metadata'] : undefined; // of an object of the kind, but without a name
  const resourceVersion = isRecord(metadata) ? metadata['resourceVersion'] : undefined;
  return typeof resourceVersion === 'string' && resourceVersion !== ''
    ? {type: 'Bookmark', resourceVersion}
    : {type: 'Unreadable', why: 'bookmark without a resourceVersion'};
}

function parseChange(type: 'Set' | 'Deleted', value: unknown): WatchEvent {
  const object = parseObject(value);
  return object === undefined ? {type: 'Unreadable', why: 'object without a name'} : {type, object};
}

/** Never throws: a line that says nothing is one of those. `where`: method and path, for the message of an error. */
export function parseWatchEvent(where: string, line: unknown): WatchEvent {
  if (!isRecord(line)) return {type: 'Unreadable', why: 'event that is no object'};
  const {type, object} = line;
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
      return parseChange('Set', object);
    case 'DELETED':
      return parseChange('Deleted', object);
    case 'BOOKMARK':
      return parseBookmark(object);
    case 'ERROR':
      return {type: 'Error', error: parseError(where, object)};
    default:
      return {type: 'Unreadable', why: 'event of an unknown type'};
  }
}
