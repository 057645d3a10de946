/** `modelroute operator` in a process of its own. */
import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {stringify} from 'yaml';
import type {ApiServer} from '../api-server/start.ts';
import {until} from '../until.ts';
import {patienceMs, textOf, type LogLine} from './harness.ts';

export type Process = {
  child: ChildProcess;
  log: LogLine[];
  errors(): string;
  says(message: string): Promise<LogLine>;
  /** The status; once it has said that it has started. */
  ready(): Promise<number>;
  /** At once, if it still runs. */
  end(): Promise<void>;
};

const main = join(import.meta.dirname, '../../cli/main.ts');

/** The file, in this folder, of whoever has this token. */
export const writeKubeconfig = (folder: string, {url, ca}: ApiServer, token: string): string => {
  const file = join(folder, 'kubeconfig.yaml');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{name: 'c', cluster: {server: url, 'certificate-authority': ca}}],
    users: [{name: 'u', user: {token}}],
    contexts: [{name: 'x', context: {cluster: 'c', user: 'u'}}],
    'current-context': 'x',
  };
  writeFileSync(file, stringify(config));
  return file;
};

/** `variables`: besides those of this process. Its port is a free one unless they or `args` say otherwise. */
export function startProcess(args: readonly string[], variables: Readonly<Record<string, string>> = {}): Process {
  const child = spawn(process.execPath, [main, ...args], {
    env: {...process.env, MODELROUTE_ADMIN: '127.0.0.1:0', ...variables},
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const log: LogLine[] = [];
  let [rest, errors] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) log.push(JSON.parse(line) as LogLine);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text;
  });
  const find = (message: string): LogLine | undefined => log.find((line) => line.message === message);
  return {
    child,
    log,
    errors: () => errors,
    async says(message) {
      await until(() => find(message) !== undefined, `it says "${message}"`, patienceMs).catch((error: unknown) => {
        throw new Error(`${String(error)}\n${errors}${JSON.stringify(log, undefined, 1)}`);
      });
      return find(message) as LogLine;
    },
    async ready() {
      const {admin} = find('operator started') as {admin: number} & LogLine;
      return (await textOf(admin, '/readyz')).status;
    },
    async end() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}
