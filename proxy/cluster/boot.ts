/** What a proxy starts with before it has asked anybody: the mounted config and credentials, and what it saved itself. */
import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import type {Credentials} from '../config/schema.ts';
import type {Rejection} from '../engine/gateway.ts';
import type {LiveInput} from '../engine/live.ts';
import type {Log} from './log.ts';
import {joinNamespaces, type KnownEndpoints} from './endpoint-watch.ts';
import {readSaved} from './saved-endpoints.ts';
import {
  configFile,
  credentialsFile,
  readConfig,
  readCredentials,
  type LoadedConfig,
  type ObjectName,
  type StoredCredentials,
} from './stored.ts';

export type Folders = {config: string; credentials: string; state: string};

export type Boot = {
  /** As it is mounted, or, if that is of no use, as it was saved. */
  loaded?: LoadedConfig;
  /** Why what is mounted is of no use. */
  rejection?: Rejection;
  /** Unset: those that are mounted are of no use. */
  credentials?: Credentials;
  known: KnownEndpoints;
};

type Read = {bytes: Buffer} | {problem: string};

function read(folder: string, name: string): Read {
  try {
    return {bytes: readFileSync(join(folder, name))};
  } catch (error) {
    return {problem: (error as Error).message}; // fs throws nothing else, and names the path
  }
}

/** The one that was good last, if one was. */
function savedConfig(folder: string, gateway: ObjectName, log: Log): Pick<Boot, 'loaded'> {
  const found = read(folder, configFile);
  if ('problem' in found) return {};
  const saved = readConfig(found.bytes, gateway);
  if ('loaded' in saved) return saved;
  log.warn('saved config ignored', {...saved.rejection});
  return {};
}

function bootConfig({config, state}: Folders, gateway: ObjectName, log: Log): Pick<Boot, 'loaded' | 'rejection'> {
  const found = read(config, configFile);
  const mounted =
    'problem' in found ? {rejection: {hash: '', reason: found.problem}} : readConfig(found.bytes, gateway);
  if ('loaded' in mounted) return mounted;
  log.error('mounted config rejected', {...mounted.rejection});
  return {...mounted, ...savedConfig(state, gateway, log)};
}

function bootCredentials(folder: string): StoredCredentials {
  const found = read(folder, credentialsFile);
  return 'problem' in found ? found : readCredentials(found.bytes.toString('utf8'));
}

/** Never throws: what cannot be read is told, and waited for. */
export function boot(folders: Folders, gateway: ObjectName, log: Log): Boot {
  const config = bootConfig(folders, gateway, log);
  const credentials = bootCredentials(folders.credentials);
  if ('problem' in credentials) log.warn('mounted credentials cannot be used', credentials);
  const saved = readSaved(folders.state, gateway);
  if (saved.problem !== undefined) log.warn('saved endpoints ignored', {problem: saved.problem});
  return {...config, ...('credentials' in credentials ? credentials : {}), known: saved.known};
}

/** Undefined without a config. */
export const firstInput = ({loaded, credentials = new Map(), known}: Boot): (LiveInput & {hash: string}) | undefined =>
  loaded && {...loaded, credentials, endpoints: joinNamespaces(known), ownZone: known.ownZone};
