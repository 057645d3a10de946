/** A gateway with real proxies, each on an address of its own, and clients that follow its config beside them. */
import {fork} from 'node:child_process';
import {join} from 'node:path';
import {Pool} from 'undici';
import {folder} from '../children.ts';
import type {Account, ApiServer} from './api.ts';
import type {FollowersOrder, Taken} from './followers.ts';
import {addressOf} from './network.ts';
import {slice} from './objects.ts';
import {startProxy, type Program} from './programs.ts';
import {until} from './wait.ts';

export type Proxy = {
  address: string;
  /** Of the config that it has loaded, as its `/loaded` says. */
  loadedHash(): Promise<string>;
  close(): Promise<void>;
};

function createProxy(address: string, program: Program): Proxy {
  const pool = new Pool(`http://${address}:9090`, {connections: 1});
  return {
    address,
    async loadedHash() {
      const {body} = await pool.request({method: 'GET', path: '/loaded'});
      return ((await body.json()) as {hash: string}).hash;
    },
    async close() {
      await pool.destroy();
      await program.kill();
    },
  };
}

const isReady = async (address: string): Promise<boolean> => {
  const answer = await fetch(`http://${address}:9090/readyz`);
  await answer.text();
  return answer.ok;
};

export type FleetPlace = {server: ApiServer; program: string; namespace: string; account: Account};

/** All ready, and where the operator looks for them, as a cluster would tell it. */
export async function startProxies(count: number, {server, program, namespace, account}: FleetPlace): Promise<Proxy[]> {
  const addresses = Array.from({length: count}, (_, number) => addressOf(number));
  const gateway = `${namespace}/models`;
  const proxies = addresses.map((address) =>
    createProxy(address, startProxy(program, {server, account, gateway, address})),
  );
  await until(async () => (await Promise.all(addresses.map(isReady))).every(Boolean), 'all proxies are ready');
  await server.apply(slice(namespace, 'models', addresses, 8_080));
  const metadata = {namespace, name: 'models'};
  const status = {replicas: count, readyReplicas: count, availableReplicas: count};
  await server.merge({kind: 'Deployment', metadata, status}, 'status');
  return proxies;
}

/** Of a hash, as the proxy's log shows it. */
const shownDigits = 12;

export type Followers = {
  /** When all of them had taken it; undefined: they have not. */
  takenUs(hash: string): number | undefined;
  stop(): void;
};

export function startFollowers(count: number, {server, namespace, account}: FleetPlace): Followers {
  const order: FollowersOrder = {count, namespace, account: account.folder, folder: join(folder, 'followers')};
  const child = fork(join(import.meta.dirname, 'followers.ts'), [JSON.stringify(order)], {
    env: {...process.env, KUBERNETES_SERVICE_HOST: server.host, KUBERNETES_SERVICE_PORT: server.port},
  });
  const taken = new Map<string, number>();
  child.on('message', (message) => {
    const {hash, atUs} = message as Taken; // both ends are ours
    taken.set(hash, atUs);
  });
  return {takenUs: (hash) => taken.get(hash.slice(0, shownDigits)), stop: () => void child.kill('SIGKILL')};
}
