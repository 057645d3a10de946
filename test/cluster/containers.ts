/** Ends a container as the kernel would, on the node itself: no API server has to be there for it. */
import {readdirSync, readFileSync} from 'node:fs';
import {eventually} from './eventually.ts';

const cgroupOf = (pid: string): string => {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, 'utf8');
  } catch {
    return ''; // it has ended meanwhile
  }
};

/** `id`: as the container's status says it, `containerd://…`. */
const processesOf = (id: string): number[] => {
  const bare = id.replace(/^.*:\/\//, '');
  if (bare === '') throw new Error('bug: a container without an id');
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && cgroupOf(name).includes(bare))
    .map(Number);
};

export async function killContainer(id: string): Promise<void> {
  const pids = processesOf(id);
  if (pids.length === 0) throw new Error(`no process of container ${id} runs on this machine`);
  for (const pid of pids) process.kill(pid, 'SIGKILL');
  await eventually(() => processesOf(id).length === 0, `container ${id} has ended`, 60);
}
