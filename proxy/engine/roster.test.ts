import {describe, expect, it} from '@jest/globals';
import {createRoster} from './roster.ts';

describe('a roster', () => {
  it('has whoever was added and not taken off, whatever the order', () => {
    const roster = createRoster<number>();
    const leave = new Map<number, () => void>();
    const there = new Set<number>();
    for (let step = 0; step < 2_000; step += 1) {
      const number = (step * 7_919) % 23; // comes and goes in an order of no pattern
      if (there.delete(number)) leave.get(number)?.();
      else {
        there.add(number);
        leave.set(number, roster.add(number));
      }
      expect([...roster.members].sort((a, b) => a - b)).toEqual([...there].sort((a, b) => a - b));
    }
  });
});
