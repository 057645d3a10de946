/** The README's tour on a cluster as its reader takes it: one shell, every command in order, and what it says comes back. */
import {type ChildProcess, execFileSync, spawn} from 'node:child_process';
import {once} from 'node:events';
import {existsSync} from 'node:fs';
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals';
import {tourSteps} from '../tour-steps.ts';
import {until} from '../until.ts';
import {canRunCluster} from './machine.ts';

const say = (line: string): void => void process.stderr.write(line);
const isTaken = existsSync('.run/cluster') && process.env['CI'] !== 'true';
if (isTaken) say('skipped: the tour on a cluster: there is one already; make cluster-down ends it\n');
const describeOnTour = canRunCluster(say) && !isTaken ? describe : describe.skip;

const minute = 60_000;
const mark = 'the step has ended';

describeOnTour('the README’s tour on a cluster', () => {
  let shell: ChildProcess;
  let output = '';

  beforeAll(() => {
    shell = spawn('bash', ['--norc'], {stdio: ['pipe', 'pipe', 'pipe']});
    shell.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()));
    shell.stderr?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  });

  afterAll(async () => {
    shell.stdin?.end('kill $(jobs -p)\n');
    await once(shell, 'exit');
    execFileSync('make', ['cluster-down']);
  }, 2 * minute);

  it.each(tourSteps('Tour on a cluster'))(
    'does what it says: $command',
    async ({command, expected}) => {
      const before = output.length;
      shell.stdin?.write(`${command}\necho "${mark}"\n`);
      await until(() => output.slice(before).includes(mark), `an end of: ${command}`, 40 * minute);
      for (const piece of expected) expect(output.slice(before)).toContain(piece);
    },
    41 * minute,
  );
});
