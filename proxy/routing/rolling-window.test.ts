import {describe, expect, it} from '@jest/globals';
import {createRollingWindow} from './rolling-window.ts';

describe('a rolling window', () => {
  it('counts all and, of them, the failures', () => {
    const window = createRollingWindow(1_000);
    window.add(10, false);
    window.add(20, true);
    expect(window.read(30)).toEqual({total: 2, failures: 1});
  });

  it('lets go of one bucket after the other', () => {
    const window = createRollingWindow(1_000);
    for (let at = 0; at < 1_000; at += 100) window.add(at, true);
    expect(window.read(999)).toEqual({total: 10, failures: 10});
    expect(window.read(1_000)).toEqual({total: 9, failures: 9});
    expect(window.read(1_450)).toEqual({total: 5, failures: 5});
    expect(window.read(1_900)).toEqual({total: 0, failures: 0});
  });

  it('is empty after a long silence, and counts again', () => {
    const window = createRollingWindow(1_000);
    window.add(50, true);
    window.add(3_600_000, false);
    expect(window.read(3_600_000)).toEqual({total: 1, failures: 0});
  });

  it('may be as short as a millisecond', () => {
    const window = createRollingWindow(1);
    window.add(5, true);
    expect(window.read(5)).toEqual({total: 1, failures: 1});
    expect(window.read(500)).toEqual({total: 0, failures: 0});
  });
});
