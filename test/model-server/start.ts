/** llama.cpp's server over random weights: what it says is noise, how it serves is real. */
import {spawn, spawnSync, type ChildProcess} from 'node:child_process';
import {existsSync, readFileSync} from 'node:fs';
import {createServer, type AddressInfo} from 'node:net';
import {homedir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {until} from '../until.ts';

const build = fileURLToPath(new URL('build', import.meta.url));

function cacheFolder(): string {
  const version = /^version=(\S+)/m.exec(readFileSync(build, 'utf8'))?.[1];
  if (version === undefined) throw new Error(`bug: ${build} names no version`);
  return join(process.env['MODEL_SERVER_CACHE'] ?? join(homedir(), '.cache/modelroute-model-server'), version);
}

const isBuilt = (folder: string): boolean =>
  ['llama-server', 'tiny.gguf'].every((file) => existsSync(join(folder, file)));

const missingTools = (): string[] =>
  ['cmake', 'ninja', 'g++', 'python3'].filter((tool) => spawnSync(tool, ['--version']).status !== 0);

export type Availability = {
  /** Otherwise the tests are skipped. */
  available: boolean;
  /** How long `prepare` may take: a build is 5 minutes of two cores. */
  prepareMs: number;
  /** The folder with the server and its model, built if it has to be. */
  prepare: () => Promise<string>;
};

async function runBuild(): Promise<string> {
  process.stderr.write(`building a model server, once: ${build}, about 5 minutes\n`);
  const running = spawn(build, {stdio: ['ignore', 'pipe', 'inherit']});
  let printed = '';
  running.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text));
  const code = await new Promise((resolve) => running.once('close', resolve));
  if (code !== 0) throw new Error(`${build} failed with ${String(code)}`);
  return printed.trim();
}

/** `say` gets one line if there is none and none can be built. On CI that is an error, for a skipped proof proves nothing. */
export function findModelServer(say: (line: string) => void): Availability {
  const folder = cacheFolder();
  if (isBuilt(folder)) return {available: true, prepareMs: 30_000, prepare: () => Promise.resolve(folder)};
  const missing = missingTools();
  if (missing.length === 0 || process.env['CI'] === 'true')
    return {available: true, prepareMs: 20 * 60_000, prepare: runBuild};
  say(
    `skipped: no model server, and to build one (test/model-server/build) this machine lacks ${missing.join(', ')}\n`,
  );
  return {available: false, prepareMs: 0, prepare: () => Promise.reject(new Error('bug: there is no model server'))};
}

export type ModelServer = {
  port: number;
  /** With `/v1`. */
  url: string;
  /** Requests that it computes now. */
  busySlots(): Promise<number>;
  /** As the out-of-memory killer does it. */
  kill(): Promise<void>;
  close(): Promise<void>;
};

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const {port} = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });

const ended = (server: ChildProcess): boolean => server.exitCode !== null || server.signalCode !== null;

async function end(server: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (ended(server)) return;
  const closed = new Promise((resolve) => server.once('close', resolve));
  server.kill(signal);
  await closed;
}

const isHealthy = async (port: number): Promise<boolean> =>
  fetch(`http://127.0.0.1:${port}/health`).then(
    ({ok}) => ok,
    () => false,
  );

export type StartOptions = {
  /** A free one unless given. */
  port?: number;
  /** Tokens that one prompt with its answer may have; an answer may go on for ever unless it has to stop there. */
  contextTokens?: number;
  args?: string[];
};

const slots = 2;

const serverArgs = (folder: string, port: number, {contextTokens = 1024, args = []}: StartOptions): string[] => [
  '-m',
  join(folder, 'tiny.gguf'),
  '--alias',
  'tiny',
  '--host',
  '127.0.0.1',
  '--port',
  String(port),
  '-c',
  String(contextTokens * slots),
  '--parallel',
  String(slots),
  '--threads',
  '1',
  '--no-warmup',
  '--context-shift',
  ...args,
];

/** Resolves when it is ready. */
export async function startModelServer(folder: string, options: StartOptions = {}): Promise<ModelServer> {
  const port = options.port ?? (await freePort());
  const server = spawn(join(folder, 'llama-server'), serverArgs(folder, port, options), {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  server.stderr.setEncoding('utf8').on('data', (text: string) => (log = (log + text).slice(-4_000)));
  await until(async () => ended(server) || (await isHealthy(port)), 'llama-server is ready', 20_000);
  if (ended(server)) throw new Error(`llama-server has ended:\n${log}`);

  return {
    port,
    url: `http://127.0.0.1:${port}/v1`,
    async busySlots() {
      const response = await fetch(`http://127.0.0.1:${port}/slots`);
      const all = (await response.json()) as {is_processing: boolean}[];
      return all.filter((slot) => slot.is_processing).length;
    },
    kill: () => end(server, 'SIGKILL'),
    close: () => end(server, 'SIGKILL'), // on SIGTERM it would wait for callers that have left
  };
}
