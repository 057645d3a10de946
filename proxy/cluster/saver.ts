/** Keeps a file as something last was: soon, not too often, and again if it could not be written. */
import {open, rename} from 'node:fs/promises';
import type {Clock, Timer} from '../engine/clock.ts';
import type {Log} from './log.ts';

export type Content = string | Uint8Array;

export type Saver = {
  /** Soon, and not too often; the last content counts. The first that `isWhole` is written at once. */
  save(content: Content, isWhole: boolean): void;
  /** Writes what is still to be written. Never rejects. */
  stop(): Promise<void>;
};

export type SaverOptions = {
  path: string;
  /** In the log: "endpoints cannot be saved". */
  what: 'endpoints' | 'config';
  longest: number;
  clock: Clock;
  log: Log;
};

const pauseMs = 3_000;
const pauseAfterFailureMs = 10_000;

/** Either the old content or the new one is there, also after a power failure. */
async function replaceFile(path: string, content: Content): Promise<void> {
  const beside = `${path}.new`;
  const file = await open(beside, 'w', 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(beside, path);
}

export function createSaver({path, what, longest, clock, log}: SaverOptions): Saver {
  let wanted: Content = '';
  let written: Content = '';
  let hasFailed = false;
  let wasWhole = false;
  let isStopped = false;
  let lastAt = -Infinity;
  let timer: Timer | undefined;
  let writing = Promise.resolve();

  const write = async (): Promise<void> => {
    const content = wanted;
    if (content === written) return;
    try {
      if (content.length > longest) throw new Error(`${content.length} bytes are more than ${longest}`);
      await replaceFile(path, content);
      written = content;
      if (hasFailed) log.info(`${what} saved again`, {path});
      hasFailed = false;
    } catch (error) {
      if (!hasFailed) log.warn(`${what} cannot be saved`, {path, error: (error as Error).message});
      hasFailed = true;
    }
    // It failed, or something else has come meanwhile, be it what was there before.
    if (wanted !== written) startAfter(hasFailed ? pauseAfterFailureMs : pauseMs);
  };
  const start = (): void => {
    timer?.cancel();
    timer = undefined;
    lastAt = clock.now();
    writing = writing.then(write);
  };
  const startAfter = (ms: number): void => {
    if (!isStopped) timer ??= clock.after(ms, start);
  };
  return {
    save(content, isWhole) {
      wanted = content;
      const waitMs = isWhole && !wasWhole ? 0 : Math.max(0, lastAt + pauseMs - clock.now());
      wasWhole ||= isWhole;
      if (wanted === written) return; // if something else is being written now, it is written again after that
      if (waitMs === 0) start();
      else startAfter(waitMs);
    },
    async stop() {
      isStopped = true;
      timer?.cancel();
      await writing;
      await write();
    },
  };
}
