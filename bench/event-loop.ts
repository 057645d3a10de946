/**
 * Preloaded into a Node peer: writes each turn of its event loop that took longer than 0.2 ms to the file BENCH_TURNS, as
 * `begin length cpu`, microseconds of `nowUs`. `cpu` is the main thread's own, without what the system gave to others meanwhile.
 * The loop never sleeps then, so CPU is not to be measured in the same run.
 */
import {openSync, writeSync} from 'node:fs';
import {isMainThread} from 'node:worker_threads';
import {nowUs} from './clock.ts';

const path = process.env['BENCH_TURNS'];

const cpuUs = (): number => {
  const {user, system} = process.threadCpuUsage();
  return user + system;
};

function watch(file: number): void {
  let begin = nowUs();
  let cpu = cpuUs();
  const turn = (): void => {
    const length = nowUs() - begin;
    if (length > 200) writeSync(file, `${Math.round(begin)} ${Math.round(length)} ${Math.round(cpuUs() - cpu)}\n`);
    begin = nowUs();
    cpu = cpuUs();
    setImmediate(turn);
  };
  setImmediate(turn);
}

if (path !== undefined && isMainThread) watch(openSync(path, 'a'));
