import {execFile, spawn, type ChildProcess} from 'node:child_process';
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals';
import {tourSteps} from '../tour-steps.ts';
import {until} from '../until.ts';

/** The README's tour as its reader takes it: `make run`, then every command, in order, with what it says comes back. */
const steps = tourSteps('Tour, two minutes');

const run = (command: string): Promise<string> =>
  new Promise((resolve) => {
    execFile('bash', ['-c', command], {timeout: 60_000}, (_error, stdout) => resolve(stdout));
  });

let demo: ChildProcess;
let stderr = '';

beforeAll(async () => {
  demo = spawn('make', ['run'], {detached: true, stdio: ['ignore', 'ignore', 'pipe']});
  demo.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const isUp = async (url: string): Promise<boolean> => (await fetch(url).catch(() => undefined))?.ok === true;
  await until(
    async () =>
      (await isUp('http://127.0.0.1:9090/readyz')) &&
      (await isUp('http://127.0.0.1:8001/health')) &&
      (await isUp('http://127.0.0.1:8002/health')),
    `make run to be up ${stderr}`,
    30_000,
  );
}, 40_000);

afterAll(() => {
  if (demo.pid !== undefined) process.kill(-demo.pid, 'SIGINT'); // as Ctrl-C does: the whole foreground group
});

describe('the README’s tour', () => {
  it('has its steps', () => expect(steps.length).toBeGreaterThan(6));

  it.each(steps)(
    'does what it says: $command',
    async ({command, expected}) => {
      const output = await run(command);
      for (const piece of expected) expect(output).toContain(piece);
    },
    70_000,
  );
});
