/** Tells when files or folders have changed, by polling: a notification is lost where a mount or a symbolic link is swapped. */
import {readdirSync, statSync} from 'node:fs';
import {join} from 'node:path';
import {isConfigFileName} from './read.ts';

export type WatchOptions = {intervalMs?: number};
export type Watch = {close: () => void};

/** Who a file is and what it last was, links followed: other bytes, another file of the name and another target all differ. */
const stamp = (path: string): string => {
  try {
    const found = statSync(path, {bigint: true});
    if (found.isDirectory()) return path; // its files have stamps of their own, and others in it do not matter
    const {dev, ino, size, mtimeNs, ctimeNs, mode} = found;
    return [path, dev, ino, size, mtimeNs, ctimeNs, mode].join(' ');
  } catch (error) {
    return `${path} ${(error as NodeJS.ErrnoException).code ?? 'unreadable'}`; // stat throws nothing else
  }
};

const namesIn = (folder: string): string[] => {
  try {
    return readdirSync(folder).filter(isConfigFileName).sort();
  } catch {
    return []; // not a folder, or gone: its own stamp says so
  }
};

const fingerprint = (paths: readonly string[]): string =>
  paths.flatMap((path) => [stamp(path), ...namesIn(path).map((name) => stamp(join(path, name)))]).join('\n');

/**
 * Calls `onChange` after something about `paths` (files, or folders with the files in them) has changed and then stayed the
 * same for one whole interval, so that a file that is still being written is not read. What counts as the old state is that of
 * this call: start to watch, then read. The timer does not keep the process alive.
 *
 * @param options.intervalMs between two looks, 250; a change is told within two to three of them
 */
export const watchFiles = (paths: readonly string[], onChange: () => void, options: WatchOptions = {}): Watch => {
  let told = fingerprint(paths);
  let before = told;
  const look = (): void => {
    const now = fingerprint(paths);
    const isSettled = now === before;
    before = now;
    if (!isSettled || now === told) return;
    told = now;
    onChange();
  };
  const timer = setInterval(look, options.intervalMs ?? 250);
  timer.unref();
  return {close: () => clearInterval(timer)};
};
