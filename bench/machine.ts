/** Whether this machine can measure at all, and now. */
import {spawnSync} from 'node:child_process';
import {availableParallelism, loadavg} from 'node:os';
import {pass} from './clock.ts';
import {allProcesses, type Process, readCores, treeOf} from './cpu.ts';

/** Shares of one core. More than this from others, and the numbers are theirs too. */
const othersMay = 0.1;
const watchMs = 2_000;

/** Programs that run, with what they use of a core: those that use most first. */
function busiest(before: Process[], after: Process[], spanUs: number): string[] {
  const own = new Set(treeOf(process.pid, after).map(({pid}) => pid));
  const used = new Map(before.map(({pid, ownUs}) => [pid, ownUs]));
  return after
    .map(({pid, name, ownUs}) => ({pid, name, share: (ownUs - (used.get(pid) ?? 0)) / spanUs}))
    .filter(({pid, share}) => !own.has(pid) && share >= 0.02)
    .sort((one, other) => other.share - one.share)
    .slice(0, 5)
    .map(({pid, name, share}) => `${name} (${pid}) ${Math.round(share * 100)} %`);
}

/** Why not to measure here and now; empty if nothing speaks against it. */
export async function reasonsAgainst(): Promise<string[]> {
  const reasons: string[] = [];
  if (process.platform !== 'linux') return [`this is ${process.platform}: CPU is read from Linux' /proc`];
  if (availableParallelism() < 2) reasons.push('there is 1 core: the proxy needs one, load and upstream another');
  if (spawnSync('taskset', ['-V']).error) reasons.push('taskset is missing: install util-linux');
  const [cores, before] = [readCores(), allProcesses()];
  const started = performance.now();
  await pass(watchMs);
  const spanUs = (performance.now() - started) * 1e3;
  const [coresAfter, after] = [readCores(), allProcesses()];
  const others = (coresAfter.busyUs - cores.busyUs) / spanUs;
  const stolen = (coresAfter.stolenUs - cores.stolenUs) / spanUs;
  const names = busiest(before, after, spanUs);
  if (others > othersMay)
    reasons.push(
      `others use ${Math.round(others * 100)} % of a core: ${names.join(', ') || 'many short-lived processes'}`,
    );
  if (stolen > othersMay / 2) reasons.push(`the host takes ${Math.round(stolen * 100)} % of a core away`);
  const [minute = 0] = loadavg();
  if (minute > availableParallelism())
    reasons.push(`the load average is ${minute.toFixed(1)}: something has just run, or waits`);
  return reasons;
}
