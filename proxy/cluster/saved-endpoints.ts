/** The last known endpoints on disk, so that a container that restarts while the API server is away knows where to send requests. */
import {readFileSync, statSync} from 'node:fs';
import {join} from 'node:path';
import {z} from 'zod';
import type {KnownEndpoints} from './endpoint-watch.ts';
import type {ObjectName} from './stored.ts';

const formatVersion = 1;
/** In the state folder; `longest` in characters. */
export const endpointsFile = {name: 'endpoints.json', longest: 16 * 1_048_576};

const fileSchema = z.object({
  formatVersion: z.literal(formatVersion),
  /** `namespace/name`. */
  gateway: z.string(),
  ownZone: z.string().optional(),
  /** By namespace, then by serviceKey. */
  namespaces: z.record(
    z.string(),
    z.record(
      z.string(),
      z.array(
        z.object({
          address: z.string(),
          port: z.int().min(1).max(65_535),
          zone: z.string().exactOptional(),
          zones: z.array(z.string()).exactOptional(),
          lastResort: z.literal(true).exactOptional(),
        }),
      ),
    ),
  ),
});

const nothing: KnownEndpoints = {namespaces: new Map(), ownZone: undefined};

const fullName = ({namespace, name}: ObjectName): string => `${namespace}/${name}`;

const sortedEntries = <Value>(map: ReadonlyMap<string, Value>): [string, Value][] =>
  [...map].sort(([a], [b]) => (a < b ? -1 : 1));

/** What is written: the same text for the same endpoints. */
export const writeKnown = (gateway: ObjectName, {namespaces, ownZone}: KnownEndpoints): string =>
  JSON.stringify({
    formatVersion,
    gateway: fullName(gateway),
    ownZone,
    namespaces: Object.fromEntries(
      sortedEntries(namespaces).map(([namespace, table]) => [namespace, Object.fromEntries(sortedEntries(table))]),
    ),
  });

/** Whatever is in `some` is the same in `all`. */
export const isPart = (some: KnownEndpoints, all: KnownEndpoints): boolean =>
  some.ownZone === all.ownZone &&
  [...some.namespaces].every(([namespace, table]) =>
    [...table].every(([key, list]) => JSON.stringify(list) === JSON.stringify(all.namespaces.get(namespace)?.get(key))),
  );

function parse(text: string, gateway: ObjectName): KnownEndpoints {
  const {ownZone, namespaces, ...rest} = fileSchema.parse(JSON.parse(text));
  if (rest.gateway !== fullName(gateway)) throw new Error(`they are those of gateway ${rest.gateway}`);
  const tables = Object.entries(namespaces).map(([name, table]) => [name, new Map(Object.entries(table))] as const);
  return {ownZone, namespaces: new Map(tables)};
}

const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';

/** Whatever cannot be used counts as nothing; `problem` says why. A file that was never written is none. */
export function readSaved(folder: string, gateway: ObjectName): {known: KnownEndpoints; problem?: string} {
  const path = join(folder, endpointsFile.name);
  try {
    if (statSync(path).size > endpointsFile.longest)
      return {known: nothing, problem: `${path} is larger than ${endpointsFile.longest} bytes`};
    return {known: parse(readFileSync(path, 'utf8'), gateway)};
  } catch (error) {
    if (isMissing(error)) return {known: nothing};
    const why = error instanceof z.ZodError ? 'it has another format' : (error as Error).message;
    return {known: nothing, problem: `${path} cannot be used: ${why}`};
  }
}
