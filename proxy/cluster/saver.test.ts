import {existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals';
import {createFakeClock} from '../../test/fake-clock.ts';
import {until} from '../../test/until.ts';
import {createSaver} from './saver.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'modelroute-saved-'));
  file = join(folder, 'endpoints.json');
});
afterEach(() => rmSync(folder, {recursive: true}));

const read = (): string => (existsSync(file) ? readFileSync(file, 'utf8') : '');
/** Files are written in their own time. */
const patienceMs = 30_000;

describe('saving', () => {
  const start = (into = folder) => {
    const clock = createFakeClock();
    const log: string[] = [];
    const say = (message: string): void => void log.push(message);
    const path = join(into, 'endpoints.json');
    const saver = createSaver({
      path,
      what: 'endpoints',
      longest: 1_000,
      clock,
      log: {info: say, warn: say, error: say},
    });
    return {clock, log, saver};
  };

  it('writes at once, then after a pause what came last', async () => {
    const {saver, clock, log} = start();
    saver.save('one', false);
    await until(() => read() === 'one', 'the first');
    saver.save('two', false);
    saver.save('three', false);
    await clock.advance(2_000);
    expect(read()).toBe('one');
    await clock.advance(1_100);
    await until(() => read() === 'three', 'the last');
    expect(log).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it('does not pause before the first text that is whole', async () => {
    const {saver} = start();
    saver.save('some', false);
    saver.save('all', true);
    await until(() => read() === 'all', 'the whole one');
  });

  it('writes what waits when it stops', async () => {
    const {saver} = start();
    saver.save('one', true);
    saver.save('two', true);
    await saver.stop();
    expect(read()).toBe('two');
  });

  it('tells once that it cannot, goes on, and tells when it can again', async () => {
    const into = join(folder, 'later');
    const {saver, clock, log} = start(into);
    for (const text of ['one', 'two', 'three']) {
      saver.save(text, false);
      await clock.advance(3_100);
      await until(() => log.length > 0, 'it is told');
    }
    expect(log).toEqual(['endpoints cannot be saved']);
    mkdirSync(into);
    saver.save('four', false);
    await saver.stop();
    expect(readFileSync(join(into, 'endpoints.json'), 'utf8')).toBe('four');
    expect(log).toEqual(['endpoints cannot be saved', 'endpoints saved again']);
  });

  it('writes again what was there before, when that comes back while something else is being written', async () => {
    const {saver, clock} = start();
    saver.save('one', true);
    await until(() => read() === 'one', 'the first', patienceMs);
    await clock.advance(3_100);
    saver.save('two', true);
    await Promise.resolve(); // it has begun
    saver.save('one', true);
    await until(() => read() === 'two', 'the second', patienceMs);
    await until(
      async () => {
        await clock.advance(3_100);
        return read() === 'one';
      },
      'the first again',
      patienceMs,
    );
    await saver.stop();
    expect(read()).toBe('one');
  });

  it('stops with what was there before, if that has come back', async () => {
    const {saver, clock} = start();
    saver.save('one', true);
    await until(() => read() === 'one', 'the first', patienceMs);
    await clock.advance(3_100);
    saver.save('two', true);
    await Promise.resolve(); // it has begun
    saver.save('one', true);
    await saver.stop();
    expect([read(), clock.pending]).toEqual(['one', 0]);
  });

  it('tries again what could not be written, though nothing else comes', async () => {
    const into = join(folder, 'later');
    const {saver, clock, log} = start(into);
    saver.save('one', true);
    await until(() => log.length > 0, 'it is told', patienceMs);
    mkdirSync(into);
    await until(
      async () => {
        await clock.advance(10_000);
        return log.length > 1;
      },
      'it is written',
      patienceMs,
    );
    expect(readFileSync(join(into, 'endpoints.json'), 'utf8')).toBe('one');
    expect(log).toEqual(['endpoints cannot be saved', 'endpoints saved again']);
  });

  it('writes bytes, and nothing that is longer than it may be', async () => {
    const {saver, log} = start();
    saver.save(new Uint8Array([0xc3, 0xa4]), true);
    await until(() => read() === 'ä', 'the bytes', patienceMs);
    saver.save('a'.repeat(1_001), true);
    await saver.stop();
    expect([read(), log]).toEqual(['ä', ['endpoints cannot be saved']]);
  });
});
