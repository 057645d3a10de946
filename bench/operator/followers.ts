/**
 * Many proxies in one process, each with its own connection and watches: to the API server they are what proxies in pods are. Tells its parent of
 * each config that all of them have loaded.
 */
import {mkdirSync} from 'node:fs';
import {join} from 'node:path';
import {inClusterConfig} from '../../kube/credentials.ts';
import {startClusterProxy} from '../../proxy/cluster-proxy.ts';
import type {Fields, Log} from '../../proxy/telemetry/log.ts';
import {nowUs} from '../clock.ts';

export type FollowersOrder = {count: number; namespace: string; account: string; folder: string};
/** A config that all of them have loaded. `hash`: its first characters. */
export type Taken = {hash: string; atUs: number};

const order = JSON.parse(process.argv[2] ?? '') as FollowersOrder; // our parent's
const takers = new Map<string, number>();

function take(hash: string): void {
  const count = (takers.get(hash) ?? 0) + 1;
  takers.set(hash, count);
  if (count === order.count) process.send?.({hash, atUs: nowUs()} satisfies Taken);
}

const log: Log = {
  error(message: string, fields: Fields = {}) {
    if (!message.startsWith('mounted')) console.error(JSON.stringify({message, ...fields})); // the mounts are empty
  },
  warn: () => {},
  info(message, {hash} = {}) {
    if (message === 'config loaded') take(String(hash));
  },
  debug: () => {},
  writes: () => false,
  setLevel: () => {},
  flush: () => {},
};

const anywhere = {host: '127.0.0.1', port: 0};
for (let number = 0; number < order.count; number += 1) {
  const mount = (name: string): string => {
    const path = join(order.folder, String(number), name);
    mkdirSync(path, {recursive: true});
    return path;
  };
  await startClusterProxy({
    gateway: {namespace: order.namespace, name: 'models'},
    folders: {config: mount('config'), credentials: mount('credentials'), state: mount('state')},
    apiServer: inClusterConfig(process.env, order.account),
    listen: anywhere,
    admin: anywhere,
    log,
    random: Math.random,
    drainGraceMs: 0,
  });
}
process.on('disconnect', () => process.exit());
