/** An object of the API server, checked as far as the client itself reads it: the rest was checked by the API server. */
import type {KubeObject} from './objects.ts';

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isTextOrAbsent = (value: unknown): boolean => value === undefined || typeof value === 'string';

/** Undefined if it has no name, or if what tells its versions apart is no text. */
export function parseObject(value: unknown): KubeObject | undefined {
  const metadata = isRecord(value) ? value['metadata'] : undefined;
  if (!isRecord(metadata) || typeof metadata['name'] !== 'string' || metadata['name'] === '') return undefined;
  const isReadable = ['namespace', 'uid', 'resourceVersion'].every((member) => isTextOrAbsent(metadata[member]));
  return isReadable ? (value as KubeObject) : undefined; // its other members are optional, and the API server's to get right
}
