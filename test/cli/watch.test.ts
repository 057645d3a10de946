import {mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals';
import {type Watch, watchFiles} from '../../operator/files/watch.ts';

/** What DESIGN promises: a changed file is picked up within a second. */
const promisedMs = 1000;

let folder: string;
let watch: Watch | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'modelroute-watch-'));
});
afterEach(() => {
  watch?.close();
  rmSync(folder, {recursive: true});
});

const write = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};

/** Resolves with the time from `change` until it was told; a jest timeout means that it never was. */
const toldAfter = async (path: string, change: () => void): Promise<number> => {
  const told = new Promise<void>((resolve) => {
    watch = watchFiles([path], resolve);
  });
  const start = performance.now();
  change();
  // A timer that is not unref'd: the watch alone does not keep the process alive.
  const alive = setInterval(() => undefined, 1000);
  await told;
  clearInterval(alive);
  return performance.now() - start;
};

describe('a watched path', () => {
  it('tells an edit in place', async () => {
    const path = write('route.yaml', 'a: 1\n');
    expect(await toldAfter(path, () => write('route.yaml', 'a: 2\n'))).toBeLessThan(promisedMs);
  });

  it('tells a file that was renamed over it', async () => {
    const path = write('route.yaml', 'a: 1\n');
    const next = write('next', 'a: 2\n');
    expect(await toldAfter(path, () => renameSync(next, path))).toBeLessThan(promisedMs);
  });

  it('tells a symbolic link that points elsewhere', async () => {
    write('one', 'a: 1\n');
    write('two', 'a: 2\n');
    const path = join(folder, 'route.yaml');
    symlinkSync('one', path);
    const swap = (): void => {
      symlinkSync('two', join(folder, 'next'));
      renameSync(join(folder, 'next'), path);
    };
    expect(await toldAfter(path, swap)).toBeLessThan(promisedMs);
  });

  it.each([
    ['the folder', '.'],
    ['a file in it', 'route.yaml'],
  ])('tells the swap of ..data that Kubernetes makes in a mounted volume, watching %s', async (_, watched) => {
    for (const version of ['..1', '..2']) {
      mkdirSync(join(folder, version));
      write(join(version, 'route.yaml'), 'a: 1\n');
    }
    symlinkSync('..1', join(folder, '..data'));
    symlinkSync(join('..data', 'route.yaml'), join(folder, 'route.yaml'));
    const swap = (): void => {
      symlinkSync('..2', join(folder, '..data_tmp'));
      renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
      rmSync(join(folder, '..1'), {recursive: true});
    };
    expect(await toldAfter(join(folder, watched), swap)).toBeLessThan(promisedMs);
  });

  it('tells a file added to a folder', async () => {
    write('a.yaml', 'a: 1\n');
    expect(await toldAfter(folder, () => write('b.yaml', 'b: 1\n'))).toBeLessThan(promisedMs);
  });

  it('tells a file removed from a folder', async () => {
    const path = write('a.yaml', 'a: 1\n');
    expect(await toldAfter(folder, () => rmSync(path))).toBeLessThan(promisedMs);
  });

  it('tells a file that comes after the watch', async () => {
    const path = join(folder, 'later.yaml');
    expect(await toldAfter(path, () => write('later.yaml', 'a: 1\n'))).toBeLessThan(promisedMs);
  });

  it('says nothing of a file that is still being written, and once when it is done', async () => {
    const path = write('route.yaml', 'a: 0\n');
    let calls = 0;
    let writes = 0;
    let callsWhileWriting = -1;
    await new Promise<void>((resolve) => {
      // Written at every look or oftener, so that no two looks find the same.
      const writing = setInterval(() => {
        writes += 1;
        write('route.yaml', `a: ${'x'.repeat(writes)}\n`);
        if (writes < 100) return;
        clearInterval(writing);
        callsWhileWriting = calls;
      }, 5);
      watch = watchFiles(
        [path],
        () => {
          calls += 1;
          if (callsWhileWriting >= 0) resolve();
        },
        {intervalMs: 50},
      );
    });
    expect({callsWhileWriting, calls}).toEqual({callsWhileWriting: 0, calls: 1});
  });

  it('says nothing of other files in a folder, and nothing after it was closed', async () => {
    write('a.yaml', 'a: 1\n');
    let calls = 0;
    watch = watchFiles([folder], () => (calls += 1), {intervalMs: 10});
    const closed = watchFiles([folder], () => (calls += 100), {intervalMs: 10});
    closed.close();
    write('README.md', 'nothing to read here\n');
    // Another watch at the same pace tells that both would have had their looks.
    await toldAfter(write('other', ''), () => write('other', 'changed'));
    expect(calls).toBe(0);
  });
});
