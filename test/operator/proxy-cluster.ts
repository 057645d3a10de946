/** A proxy in a cluster of its own: its namespace on a real API server, and a network in between that a test can break. */
import {once} from 'node:events';
import {mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {connect, createServer, type AddressInfo, type Socket} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {gzipSync} from 'node:zlib';
import type {KubeConfig} from '../../kube/credentials.ts';
import {startClusterProxy} from '../../proxy/cluster-proxy.ts';
import type {ApiServer} from '../api-server/start.ts';
import {
  configMap,
  configMapsIn,
  credentialsSecret,
  credentialsText,
  endpointSlice,
  secretsIn,
  slicesIn,
  type SliceOptions,
} from '../cluster-objects.ts';
import {linesOf, toInput, type LogLine, type Setup} from '../proxy/harness.ts';
import {until} from '../until.ts';

export type Network = {port: number; breakDown(): void; mend(): void; close(): Promise<void>};

/** To a port of this machine. Broken down it resets what stands and what comes. */
export async function startNetwork(targetPort: number): Promise<Network> {
  const standing = new Set<Socket>();
  let isDown = false;
  const server = createServer((near) => {
    near.on('error', () => {});
    if (isDown) {
      near.resetAndDestroy();
      return;
    }
    const far = connect(targetPort, '127.0.0.1').on('error', () => {});
    standing.add(near);
    near.on('close', () => {
      standing.delete(near);
      far.destroy();
    });
    far.on('close', () => near.destroy());
    near.pipe(far).pipe(near);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = (): void => {
    for (const socket of standing) socket.resetAndDestroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    breakDown() {
      isDown = true;
      cut();
    },
    mend() {
      isDown = false;
    },
    async close() {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}

export type Folders = {config: string; credentials: string; state: string};

/** As the kubelet mounts them. */
export function createMounts(): {folders: Folders; mount(stored: Stored): void; close(): Promise<void>} {
  const root = mkdtempSync(join(tmpdir(), 'modelroute-mounts-'));
  const folders = {config: join(root, 'config'), credentials: join(root, 'credentials'), state: join(root, 'state')};
  for (const folder of Object.values(folders)) mkdirSync(folder);
  return {
    folders,
    mount({text, credentials}) {
      writeFileSync(join(folders.config, 'config.json.gz'), gzipSync(text));
      writeFileSync(join(folders.credentials, 'credentials.json'), credentials);
    },
    close: async () => rmSync(root, {recursive: true}),
  };
}

/** Both as texts. */
export type Stored = {text: string; credentials: string};

/** What the operator makes of it in this namespace. */
export function stored(namespace: string, setup: Setup): Stored {
  const {config, credentials} = toInput(setup);
  const inNamespace = (text: string): string => text.replaceAll('team-a', namespace);
  return {text: inNamespace(JSON.stringify(config)), credentials: inNamespace(credentialsText(credentials))};
}

export type Cluster = {
  namespace: string;
  /** Throws unless it succeeds. */
  must: (method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown) => Promise<unknown>;
  /** Creates it, or replaces it. */
  put(collection: string, object: {metadata: {name: string}}): Promise<void>;
  putConfig(text: string): Promise<void>;
  putCredentials(text: string): Promise<void>;
  putSlice(options: SliceOptions): Promise<void>;
};

export function createCluster(server: ApiServer, namespace: string): Cluster {
  const must: Cluster['must'] = async (method, path, body) => {
    const answer = await server.request(method, path, body);
    if (answer.status > 299) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  const put: Cluster['put'] = async (collection, object) => {
    const path = `${collection}/${object.metadata.name}`;
    const exists = (await server.request('GET', path)).status === 200;
    await must(exists ? 'PUT' : 'POST', exists ? path : collection, object);
  };
  return {
    namespace,
    must,
    put,
    putConfig: (text) => put(configMapsIn(namespace), configMap(text)),
    putCredentials: (text) => put(secretsIn(namespace), credentialsSecret(text)),
    putSlice: (options) => put(slicesIn(options.namespace ?? namespace), endpointSlice({namespace, ...options})),
  };
}

export type Running = {
  url: string;
  admin: string;
  log: LogLine[];
  ready(): Promise<string>;
  untilReady(): Promise<void>;
  loaded(): Promise<{hash: string; rejected: {hash: string; reason: string} | null; missingCredentials: string[]}>;
  /** Waits for the log. */
  untilSays(message: string, times?: number): Promise<LogLine>;
  /** Addresses of the endpoints of the first backend of the first route. */
  addresses(): Promise<string[]>;
  drain(): Promise<void>;
  close(): Promise<void>;
};

const patienceMs = 40_000;

export type RunOptions = {namespace: string; apiServer: KubeConfig; folders: Folders; podIp?: string};

export async function runProxy({namespace, ...options}: RunOptions): Promise<Running> {
  const {log, lines} = linesOf();
  const anywhere = {host: '127.0.0.1', port: 0};
  const proxy = await startClusterProxy({
    ...options,
    gateway: {namespace, name: 'models'},
    listen: anywhere,
    admin: anywhere,
    log,
    random: Math.random,
    drainGraceMs: 0,
  });
  const admin = `http://127.0.0.1:${proxy.adminPort}`;
  const ask = async (path: string): Promise<string> => (await fetch(`${admin}${path}`)).text();
  const ready = async (): Promise<string> => (await ask('/readyz')).trim();
  type Backends = {routes: {backends: {endpoints: {address: string}[]}[]}[]};
  return {
    url: `http://127.0.0.1:${proxy.port}`,
    admin,
    log: lines,
    ready,
    untilReady: () => until(async () => (await ready()) === 'ok', 'it is ready', patienceMs),
    loaded: async () => JSON.parse(await ask('/loaded')) as Awaited<ReturnType<Running['loaded']>>,
    async untilSays(message, times = 1) {
      const said = (): LogLine[] => lines.filter((line) => line.message === message);
      await until(() => said().length >= times, `the log to say "${message}"`, patienceMs);
      return said()[times - 1]!;
    },
    async addresses() {
      const {routes} = JSON.parse(await ask('/backends')) as Backends;
      return (routes[0]?.backends[0]?.endpoints ?? []).map(({address}) => address).sort();
    },
    drain: () => proxy.drain(),
    close: () => proxy.stopNow(),
  };
}

export const apiServerAt = (server: ApiServer, port: number, token = server.token): KubeConfig => ({
  server: `https://127.0.0.1:${port}`,
  ca: readFileSync(server.ca, 'utf8'),
  token,
});
