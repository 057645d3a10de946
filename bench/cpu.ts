/** What the kernel says a process and its children have used. */
import {readdirSync, readFileSync} from 'node:fs';

/** USER_HZ, which is 100 on every Linux that Node runs on. */
const microsecondsPerTick = 10_000;

export type Process = {
  pid: number;
  parent: number;
  name: string;
  ownUs: number;
  /** Of children that have ended. */ childrenUs: number;
};

/** Undefined if it has gone meanwhile. */
function readProcess(pid: number): Process | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const nameEnd = stat.lastIndexOf(')');
    const fields = stat
      .slice(nameEnd + 2)
      .split(' ')
      .map(Number);
    const [utime = 0, stime = 0, childrenUtime = 0, childrenStime = 0] = fields.slice(11, 15);
    return {
      pid,
      parent: fields[1] ?? 0,
      name: stat.slice(stat.indexOf('(') + 1, nameEnd),
      ownUs: (utime + stime) * microsecondsPerTick,
      childrenUs: (childrenUtime + childrenStime) * microsecondsPerTick,
    };
  } catch {
    return undefined;
  }
}

export const allProcesses = (): Process[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => readProcess(Number(name)) ?? []);

/** The process itself, its children, theirs. */
export function treeOf(root: number, processes = allProcesses()): Process[] {
  const tree = processes.filter(({pid}) => pid === root);
  for (const {pid} of tree) tree.push(...processes.filter(({parent}) => parent === pid)); // also walks what it has just added
  return tree;
}

export const cpuOf = (root: number): number =>
  treeOf(root).reduce((sum, {ownUs, childrenUs}) => sum + ownUs + childrenUs, 0);

const sumOf = (root: number, line: RegExp): number =>
  treeOf(root).reduce((sum, {pid}) => {
    try {
      return sum + Number(line.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0);
    } catch {
      return sum;
    }
  }, 0);

/** Resident memory of the tree, KB. */
export const memoryOf = (root: number): number => sumOf(root, /^VmRSS:\s+(\d+) kB/m);

/** The most that it ever was, each process by itself, KB. */
export const peakMemoryOf = (root: number): number => sumOf(root, /^VmHWM:\s+(\d+) kB/m);

export type Cores = {busyUs: number; stolenUs: number};

/** All cores together; stolen: what the host gave to other machines. */
export function readCores(): Cores {
  const [user = 0, nice = 0, system = 0, , , interrupt = 0, soft = 0, steal = 0] = readFileSync('/proc/stat', 'latin1')
    .slice(5, 200)
    .trim()
    .split(/\s+/)
    .map(Number);
  return {
    busyUs: (user + nice + system + interrupt + soft) * microsecondsPerTick,
    stolenUs: steal * microsecondsPerTick,
  };
}

/** From now until it is called: percent of one core that went to other processes, and to other machines. */
export function startAccount(): () => {othersPercent: number; stolenPercent: number} {
  const [before, own, started] = [readCores(), cpuOf(process.pid), performance.now()];
  return () => {
    const [after, spanUs] = [readCores(), (performance.now() - started) * 1e3];
    const others = after.busyUs - before.busyUs - (cpuOf(process.pid) - own);
    const percent = (us: number): number => Math.max(0, (us / spanUs) * 100);
    return {othersPercent: percent(others), stolenPercent: percent(after.stolenUs - before.stolenUs)};
  };
}
