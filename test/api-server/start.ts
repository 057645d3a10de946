/** A real API server on loopback ports, without root: etcd and kube-apiserver, nothing that would act on what they store. */
import {type ChildProcess, spawn} from 'node:child_process';
import {generateKeyPairSync, randomUUID} from 'node:crypto';
import {once} from 'node:events';
import {createWriteStream, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {createServer} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {Pool} from 'undici';

export type Answer = {status: number; body: unknown; warnings: string[]};

export type ApiServer = {
  url: string;
  /** The file with the certificate to trust. */
  ca: string;
  /** Of one who may do everything. */
  token: string;
  /** `body` is sent as JSON. */
  request: (method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown) => Promise<Answer>;
  stop: () => Promise<void>;
};

const readyWithinMs = 90_000;

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('bug: a TCP server without a port');
  return address.port;
};

type Program = {child: ChildProcess; log: string};

const run = (assets: string, folder: string, name: string, flags: string[]): Program => {
  const log = join(folder, `${name}.log`);
  const child = spawn(join(assets, name), flags, {stdio: ['ignore', 'pipe', 'pipe']});
  const file = createWriteStream(log);
  child.stdout.pipe(file, {end: false});
  child.stderr.pipe(file, {end: false});
  return {child, log};
};

const end = async ({child}: Program, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  child.kill(signal);
  await once(child, 'exit');
};

const startEtcd = (assets: string, folder: string, client: number, peer: number): Program =>
  run(assets, folder, 'etcd', [
    `--data-dir=${join(folder, 'etcd')}`,
    `--listen-client-urls=http://127.0.0.1:${client}`,
    `--advertise-client-urls=http://127.0.0.1:${client}`,
    `--listen-peer-urls=http://127.0.0.1:${peer}`,
    '--unsafe-no-fsync', // nothing here outlives the test
  ]);

const startKubeApiserver = (assets: string, folder: string, etcd: number, port: number): Program =>
  run(assets, folder, 'kube-apiserver', [
    `--etcd-servers=http://127.0.0.1:${etcd}`,
    '--bind-address=127.0.0.1',
    `--secure-port=${port}`,
    `--cert-dir=${join(folder, 'certificates')}`, // it makes its own serving certificate there
    `--token-auth-file=${join(folder, 'tokens.csv')}`,
    '--authorization-mode=RBAC',
    `--service-account-issuer=https://kubernetes.default.svc`,
    `--service-account-key-file=${join(folder, 'service-accounts.key')}`,
    `--service-account-signing-key-file=${join(folder, 'service-accounts.key')}`,
    '--service-cluster-ip-range=10.0.0.0/24',
    '--endpoint-reconciler-type=none', // it refuses to advertise a loopback address
    // No controller makes service accounts here, and examples name namespaces that nobody has made.
    '--disable-admission-plugins=ServiceAccount,NamespaceLifecycle',
  ]);

const writeCredentials = (folder: string, token: string): void => {
  const {privateKey} = generateKeyPairSync('rsa', {modulusLength: 2048});
  writeFileSync(join(folder, 'service-accounts.key'), privateKey.export({type: 'pkcs8', format: 'pem'}), {mode: 0o600});
  writeFileSync(join(folder, 'tokens.csv'), `${token},test,test,"system:masters"\n`, {mode: 0o600});
};

const lastLines = ({log}: Program): string => readFileSync(log, 'utf8').split('\n').slice(-15).join('\n');

/** Asks again and again until `isSo`, gives up when one of the programs ends or the time is over. */
const waitUntil = async (what: string, programs: Program[], isSo: () => Promise<boolean>): Promise<void> => {
  const deadline = Date.now() + readyWithinMs;
  while (!(await isSo().catch(() => false))) {
    const ended = programs.find(({child}) => child.exitCode !== null || child.signalCode !== null);
    if (ended !== undefined) throw new Error(`${what}: ${ended.child.spawnfile} has ended\n${lastLines(ended)}`);
    if (Date.now() > deadline)
      throw new Error(`${what}: not within ${readyWithinMs} ms\n${programs.map(lastLines).join('\n')}`);
    await delay(50);
  }
};

type Client = Pick<ApiServer, 'request'> & {close: () => Promise<void>};

const connect = (url: string, certificate: string, token: string): Client => {
  const pool = new Pool(url, {connections: 4, connect: {ca: readFileSync(certificate)}});
  return {
    request: async (method, path, body) => {
      const headers = {
        authorization: `Bearer ${token}`,
        accept: 'application/json',
        'content-type': 'application/json',
      };
      const answer = await pool.request({
        method,
        path,
        headers,
        body: body === undefined ? null : JSON.stringify(body),
      });
      const text = await answer.body.text();
      const isJson = String(answer.headers['content-type']).includes('json');
      const parsed: unknown = isJson ? JSON.parse(text) : text;
      return {status: answer.statusCode, body: parsed, warnings: [answer.headers['warning'] ?? []].flat()};
    },
    close: () => pool.destroy(),
  };
};

const startOnce = async (assets: string): Promise<ApiServer> => {
  const folder = mkdtempSync(join(tmpdir(), 'modelroute-api-server-'));
  const programs: Program[] = [];
  const killAll = (): void => programs.forEach(({child}) => child.kill('SIGKILL'));
  process.once('exit', killAll);
  let client: Client | undefined;
  const stop = async (): Promise<void> => {
    await client?.close();
    for (const program of programs.toReversed()) await end(program, 'SIGKILL'); // nothing to save, so no 60 s of draining
    process.off('exit', killAll);
    rmSync(folder, {recursive: true, force: true, maxRetries: 5});
  };
  try {
    const token = randomUUID();
    writeCredentials(folder, token);
    const [etcdPort, peerPort, port] = [await freePort(), await freePort(), await freePort()];
    programs.push(startEtcd(assets, folder, etcdPort, peerPort));
    programs.push(startKubeApiserver(assets, folder, etcdPort, port));
    const url = `https://127.0.0.1:${port}`;
    const certificate = join(folder, 'certificates/apiserver.crt');
    await waitUntil('serving certificate', programs, () => Promise.resolve(existsSync(certificate)));
    await waitUntil('API server', programs, async () => {
      client ??= connect(url, certificate, token);
      return (await client.request('GET', '/readyz')).status === 200;
    });
    if (client === undefined) throw new Error('bug: ready without a client');
    return {url, ca: certificate, token, request: client.request, stop};
  } catch (error) {
    await stop();
    throw error;
  }
};

/** Ready when it answers. Its folder and processes are gone after `stop`, also when starting fails. */
export const startApiServer = async (assets: string): Promise<ApiServer> => {
  for (let triesLeft = 2; ; triesLeft -= 1) {
    try {
      return await startOnce(assets);
    } catch (error) {
      if (triesLeft === 0 || !String(error).includes('address already in use')) throw error; // another took a port that had been free
    }
  }
};
