/** Processes that the benchmark starts, each on its core; none outlives it. */
import {type ChildProcess, spawn} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import {connect, createServer} from 'node:net';
import {tmpdir} from 'node:os';
import {delimiter, dirname, join} from 'node:path';
import {pass} from './clock.ts';

export type Command = {file: string; args: readonly string[]; env?: Record<string, string>};
export type Child = {
  process: ChildProcess;
  pid: number;
  /** The line of its stderr that names the error. */ lastWords: () => string;
  isGone(): boolean;
  stop(): Promise<void>;
};

/** The load and the upstream share a core; the peer has the other to itself. */
export const cores = {load: 0, peer: 1};

const running = new Set<ChildProcess>();

/** Files of this run. */
export const folder = mkdtempSync(join(tmpdir(), 'modelroute-bench-'));

export function killAll(): void {
  for (const child of running) child.kill('SIGKILL');
  rmSync(folder, {recursive: true, force: true, maxRetries: 3});
}

const ownEnvironment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(MODELROUTE_|NODE_|PORT$)/.test(name)),
);

/** First of all this Node: a command that starts with `env node` has to get no other. */
const path = [dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter);

/** What it writes is read and dropped, but for the end of its stderr. */
export function start({file, args, env = {}}: Command, core: number, ipc = false): Child {
  const child = spawn('taskset', ['-c', String(core), file, ...args], {
    cwd: folder,
    env: {...ownEnvironment, PATH: path, NODE_ENV: 'production', ...env},
    stdio: ['ignore', 'pipe', 'pipe', ...(ipc ? ['ipc' as const] : [])],
  });
  let stderr = '';
  let gone = false;
  running.add(child);
  child.stdout?.resume();
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr = (stderr + text).slice(-2_000)));
  const exited = new Promise<void>((resolve) => {
    const end = (): void => {
      gone = true;
      running.delete(child);
      resolve();
    };
    child.on('exit', end).on('error', (error) => {
      stderr += error.message;
      end();
    });
  });
  return {
    process: child,
    pid: child.pid ?? 0, // taskset becomes the command: it is the peer's own
    lastWords: () => stderr.split('\n').find((line) => /error/i.test(line)) ?? stderr,
    isGone: () => gone,
    async stop() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject).listen(0, '127.0.0.1', () => {
      const {port} = server.address() as {port: number};
      server.close(() => resolve(port));
    });
  });

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => resolve(false));
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });

/** Until it accepts connections. */
export async function untilListens(child: Child, port: number, name: string): Promise<void> {
  const end = performance.now() + 15_000;
  while (!(await answers(port))) {
    if (child.isGone()) throw new Error(`${name} has ended: ${child.lastWords()}`);
    if (performance.now() > end) throw new Error(`${name} does not listen after 15 s: ${child.lastWords()}`);
    await pass(20);
  }
}
