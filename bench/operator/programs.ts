/** `modelroute` as processes, with the flags for V8 that its first line has. */
import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {folder} from '../children.ts';
import type {Account, ApiServer} from './api.ts';
import {until} from './wait.ts';

export type Line = {level?: string; message?: string; [field: string]: unknown};

export type Program = {
  pid: number;
  /** Waits until it has logged that. @throws with its last words if it has ended before */
  says(message: string): Promise<Line>;
  kill(): Promise<void>;
};

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Of `#!/usr/bin/env -S node --flag …`. */
const flagsOf = (program: string): string[] =>
  /^#!\S+ -S node(.*)/.exec(readFileSync(program, 'utf8'))?.[1]?.split(' ').filter(Boolean) ?? [];

const ownEnvironment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(MODELROUTE_|NODE_|KUBE)/.test(name)),
);

export function start(program: string, args: readonly string[], env: Record<string, string> = {}): Program {
  const child = spawn(process.execPath, [...flagsOf(program), program, ...args], {
    env: {...ownEnvironment, NODE_ENV: 'production', ...env},
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  child.on('exit', () => running.delete(child));
  /** The first of each message. */
  const said = new Map<string, Line>();
  let [rest, last] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const parsed = JSON.parse(line) as Line; // its log is one object per line
      if (parsed.level === 'error') last = line;
      if (parsed.message !== undefined && !said.has(parsed.message)) said.set(parsed.message, parsed);
    }
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (last = (last + text).slice(-2_000)));
  return {
    pid: child.pid ?? 0,
    async says(message) {
      const isOver = (): boolean => said.has(message) || child.exitCode !== null;
      await until(isOver, `"${args.join(' ')}" says "${message}", its last words being: ${last}`);
      const line = said.get(message);
      if (line === undefined) throw new Error(`"${args.join(' ')}" has ended: ${last}`);
      return line;
    },
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

export const operatorNamespace = 'modelroute-system';

export type Operator = Program & {
  identity: string;
  /** Of one series of its metrics, the sum over those that match. */
  metric(series: RegExp): Promise<number>;
};

export async function startOperator(program: string, account: Account, identity: string): Promise<Operator> {
  const child = start(program, [
    'operator',
    '--proxy-image=localhost/modelroute:bench',
    `--namespace=${operatorNamespace}`,
    `--identity=${identity}`,
    `--kubeconfig=${account.kubeconfig}`,
    '--admin=127.0.0.1:0',
  ]);
  const {admin} = await child.says('operator started');
  return {
    ...child,
    identity,
    async metric(series) {
      const text = await (await fetch(`http://127.0.0.1:${Number(admin)}/metrics`)).text();
      const lines = text.split('\n').filter((line) => !line.startsWith('#') && series.test(line));
      return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
    },
  };
}

export type ProxyPlace = {server: ApiServer; account: Account; gateway: string; address: string};

/** At `address`, on the ports that the operator gives to its pods; its mounts are empty. */
export function startProxy(program: string, {server, account, gateway, address}: ProxyPlace): Program {
  const mount = (name: string): string => {
    const path = join(folder, address, name);
    mkdirSync(path, {recursive: true});
    return path;
  };
  const flags = {
    gateway,
    'pod-ip': address,
    'service-account': account.folder,
    listen: `${address}:8080`,
    admin: `${address}:9090`,
    config: mount('config'),
    credentials: mount('credentials'),
    state: mount('state'),
  };
  const args = ['proxy', ...Object.entries(flags).map(([name, value]) => `--${name}=${value}`)];
  return start(program, args, {KUBERNETES_SERVICE_HOST: server.host, KUBERNETES_SERVICE_PORT: server.port});
}
