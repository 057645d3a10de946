/** `modelroute serve` as its own process, on free ports. */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {until} from './until.ts';

export type ServeProcess = {
  url: string;
  admin: string;
  pid: number;
  /** Lines of its log. */
  log: {level: string; message: string; [field: string]: unknown}[];
  /** Sends the signal; resolves with the exit code. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
};

export async function startServe(...paths: string[]): Promise<ServeProcess> {
  const args = [
    'cli/main.ts',
    'serve',
    '--listen',
    '127.0.0.1:0',
    '--admin',
    '127.0.0.1:0',
    ...paths.flatMap((path) => ['-f', path]),
  ];
  const child = spawn(process.execPath, args, {stdio: ['ignore', 'pipe', 'pipe']});
  const exited = once(child, 'exit');
  const log: ServeProcess['log'] = [];
  let rest = '';
  let errors = '';
  child.stdout.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) log.push(JSON.parse(line) as ServeProcess['log'][number]);
  });
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const serving = (): ServeProcess['log'][number] | undefined => log.find(({message}) => message === 'serving');
  await until(() => serving() !== undefined || child.exitCode !== null, 'serve to start', 15_000);
  const line = serving();
  if (line === undefined || child.pid === undefined) throw new Error(`serve ended with ${child.exitCode}: ${errors}`);
  return {
    url: String(line['url']).replace(/\/v1$/, ''),
    admin: String(line['admin']),
    pid: child.pid,
    log,
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      const [code] = (await exited) as [number | null];
      return code;
    },
  };
}
