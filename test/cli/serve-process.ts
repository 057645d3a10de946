/** The real command in a process of its own. */
import {spawn, type ChildProcess} from 'node:child_process';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {until} from '../until.ts';

export type Line = {level: string; message: string; [field: string]: unknown};

export type Serving = {
  /** `http://127.0.0.1:PORT`, without `/v1`. */
  url: string;
  admin: string;
  process: ChildProcess;
  log: Line[];
  /** What it wrote where nothing should be written. */
  stderr(): string;
  untilSays(message: string, times?: number): Promise<Line>;
  /** Undefined while it runs. */
  exitCode(): number | string | undefined;
  close(): Promise<void>;
};

const noVariables = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('MODELROUTE_') && !name.startsWith('NODE_')),
);

/** `file`: what `serve -f` is given. */
export const startServe = (file: string): Promise<Serving> => startServing(['serve', '-f', file]);

/** A sub-command that serves, on free ports, with these variables and no others that it would read. */
export async function startServing(args: readonly string[], variables: Record<string, string> = {}): Promise<Serving> {
  const command = ['cli/main.ts', ...args, '--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'];
  const env = {...noVariables, ...variables};
  const child = spawn(process.execPath, command, {env, stdio: ['ignore', 'pipe', 'pipe']});
  const log: Line[] = [];
  let rest = '';
  let stderr = '';
  let exit: number | string | undefined;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) log.push(JSON.parse(line) as Line);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.on('exit', (code, signal) => (exit = code ?? signal ?? 'gone'));
  const untilSays = async (message: string, times = 1): Promise<Line> => {
    const said = (): Line[] => log.filter((line) => line.message === message);
    await until(
      () => {
        if (exit !== undefined && said().length < times) throw new Error(`it has ended: ${stderr}`);
        return said().length >= times;
      },
      `the log to say "${message}"`,
      15_000,
    );
    return said()[times - 1]!;
  };
  const {url, admin} = (await untilSays('serving')) as Line & {url: string; admin: string};
  return {
    url: url.replace(/\/v1$/, ''),
    admin,
    process: child,
    log,
    stderr: () => stderr,
    untilSays,
    exitCode: () => exit,
    async close() {
      if (exit === undefined) child.kill('SIGKILL');
      await until(() => exit !== undefined, 'the process to end', 15_000);
    },
  };
}

export type Folder = {path(name: string): string; write(name: string, text: string): string; close(): Promise<void>};

export function createFolder(): Folder {
  const folder = mkdtempSync(join(tmpdir(), 'modelroute-serve-'));
  const path = (name: string): string => join(folder, name);
  return {
    path,
    write(name, text) {
      writeFileSync(path(name), text);
      return path(name);
    },
    close: async () => rmSync(folder, {recursive: true}),
  };
}

export const routeFile = (url: string, model = 'chat'): string => `apiVersion: modelroute.dev/v1alpha1
kind: ModelRoute
metadata: {name: chat}
spec:
  modelNames: [${model}]
  backends:
  - {name: local, url: "${url}", model: chat}
`;
