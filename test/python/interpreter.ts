/** The Python that has the official clients. */
import {spawnSync} from 'node:child_process';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

const prepare = fileURLToPath(new URL('prepare', import.meta.url));

/** `say` gets one line if there is none. Undefined: it cannot be had here. On CI that is an error, for a skipped proof proves nothing. */
export function findPython(say: (line: string) => void): string | undefined {
  const {status, stdout, stderr, error} = spawnSync(prepare, {encoding: 'utf8', timeout: 10 * 60_000});
  if (status === 0) return join(stdout.trim(), 'bin/python');
  const why = error?.message ?? stderr.trim().split('\n').at(-1) ?? '';
  const message = `no official Python clients (test/python/prepare): ${why}`;
  if (process.env['CI'] === 'true') throw new Error(message);
  say(`skipped: ${message}\n`);
  return undefined;
}
