import {describe, expect, it} from '@jest/globals';
import {createFakeClock} from '../../test/fake-clock.ts';
import {createCoalescer} from './coalescer.ts';

function start() {
  const clock = createFakeClock();
  let workMs = 0;
  let spentMs = 0;
  let runs = 0;
  /** Work takes time on it. */
  const busy = {...clock, now: () => clock.now() + spentMs};
  const coalescer = createCoalescer(busy, () => {
    runs += 1;
    spentMs += workMs;
  });
  return {clock, coalescer, runs: () => runs, work: (ms: number) => (workMs = ms)};
}

describe('changes', () => {
  it('become one after 25 ms, however many come', async () => {
    const {clock, coalescer, runs} = start();
    for (let times = 0; times < 5; times += 1) {
      coalescer.changed();
      await clock.advance(5);
    }
    expect(runs()).toBe(1);
    await clock.advance(1_000);
    expect(runs()).toBe(1);
  });

  it.each([
    [1, 25],
    [30, 120],
    [1_000, 500],
  ])('that take %i ms have %i ms in between', async (workMs, waitMs) => {
    const {clock, coalescer, runs, work} = start();
    work(workMs);
    coalescer.changed();
    await clock.advance(25);
    expect(runs()).toBe(1);
    coalescer.changed();
    await clock.advance(waitMs - 1);
    expect(runs()).toBe(1);
    await clock.advance(1);
    expect(runs()).toBe(2);
  });

  it('are none once it is stopped', async () => {
    const {clock, coalescer, runs} = start();
    coalescer.changed();
    coalescer.stop();
    coalescer.changed();
    await clock.advance(1_000);
    expect([runs(), clock.pending]).toEqual([0, 0]);
  });
});
