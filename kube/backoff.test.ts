import {describe, expect, it} from '@jest/globals';
import {createBackoff} from './backoff.ts';

const start = (random: number) => createBackoff({firstMs: 1_000, longestMs: 30_000, random: () => random});

const waits = (random: number): number[] => {
  const backoff = start(random);
  return Array.from({length: 7}, () => backoff.next());
};

describe('the back-off', () => {
  it('lies between half a step and the whole', () => {
    expect(waits(0)).toEqual([1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
    expect(waits(0.999_999).map(Math.round)).toEqual([2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  });

  it('starts again when it went well', () => {
    const backoff = start(0);
    backoff.next();
    backoff.next();
    expect(backoff.failures).toBe(2);
    backoff.reset();
    expect(backoff.failures).toBe(0);
    expect(backoff.next()).toBe(1_000);
  });

  it.each([
    ['waits for as long as it is asked to', 7_000, 7_000],
    ['waits no shorter than by itself', 100, 1_000],
    ['waits no longer than five minutes, whatever is asked', 86_400_000, 300_000],
    ['takes nonsense for nothing', NaN, 1_000],
  ])('%s', (_what, asked, waited) => {
    expect(start(0).next(asked)).toBe(waited);
  });

  it('stays at the longest wait, however often it fails', () => {
    const backoff = start(0);
    for (let failure = 0; failure < 2_000; failure += 1) backoff.next();
    expect(backoff.next()).toBe(15_000);
  });
});
