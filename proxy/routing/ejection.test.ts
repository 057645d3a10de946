import {describe, expect, it} from '@jest/globals';
import type {CircuitBreakerConfig} from '../config/schema.ts';
import {createEjection, maxEjected, type Ejection} from './ejection.ts';

const policy: CircuitBreakerConfig = {
  failurePercent: 50,
  minRequests: 20,
  consecutiveFailures: 3,
  windowMs: 30_000,
  openDurationMs: 5_000,
  maxOpenDurationMs: 12_000,
  maxEjectionPercent: 50,
  whenAllOpen: 'TryAll',
};
const always = (): boolean => true;

function failTimes(ejection: Ejection, times: number, now: number): void {
  for (let time = 0; time < times; time += 1) ejection.failed({beganAt: now, now}, always);
}

describe('an endpoint', () => {
  it('is ejected by consecutive failures, for openDuration', () => {
    const ejection = createEjection(policy);
    failTimes(ejection, 2, 100);
    expect(ejection.isEjected(100)).toBe(false);
    failTimes(ejection, 1, 100);
    expect(ejection.isEjected(100)).toBe(true);
    expect(ejection.isEjected(5_099)).toBe(true);
    expect(ejection.isEjected(5_100)).toBe(false);
  });

  it('starts counting anew after each success', () => {
    const ejection = createEjection(policy);
    failTimes(ejection, 2, 100);
    ejection.succeeded({beganAt: 100, now: 100});
    failTimes(ejection, 2, 100);
    expect(ejection.isEjected(100)).toBe(false);
  });

  it('is ejected by its share of failures once there are enough requests', () => {
    const ejection = createEjection(policy);
    for (let pair = 0; pair < 9; pair += 1) {
      ejection.succeeded({beganAt: 0, now: 0});
      failTimes(ejection, 1, 0);
    }
    expect(ejection.isEjected(0)).toBe(false);
    ejection.succeeded({beganAt: 0, now: 0});
    failTimes(ejection, 1, 0); // the twentieth
    expect(ejection.isEjected(0)).toBe(true);
  });

  it('is out for twice as long each time, up to maxOpenDuration, and as briefly as at first after a success', () => {
    const ejection = createEjection(policy);
    failTimes(ejection, 3, 0);
    failTimes(ejection, 3, 5_000);
    expect([ejection.isEjected(14_999), ejection.isEjected(15_000)]).toEqual([true, false]);
    failTimes(ejection, 3, 15_000);
    expect([ejection.isEjected(26_999), ejection.isEjected(27_000)]).toEqual([true, false]);
    ejection.succeeded({beganAt: 27_000, now: 27_000});
    failTimes(ejection, 3, 27_000);
    expect([ejection.isEjected(31_999), ejection.isEjected(32_000)]).toEqual([true, false]);
  });

  it('is not ejected where that would leave too few, but is as soon as it may be', () => {
    const ejection = createEjection(policy);
    for (let time = 0; time < 5; time += 1) ejection.failed({beganAt: 0, now: 0}, () => false);
    expect(ejection.isEjected(0)).toBe(false);
    expect(ejection.failed({beganAt: 1, now: 1}, always)).toBe(true);
  });

  it('does not answer for what began before it was ejected', () => {
    const ejection = createEjection(policy);
    failTimes(ejection, 3, 100);
    for (let late = 0; late < 5; late += 1) ejection.failed({beganAt: 50, now: 200}, always);
    ejection.succeeded({beganAt: 50, now: 300});
    expect(ejection.isEjected(300)).toBe(true);
    for (let late = 0; late < 5; late += 1) ejection.failed({beganAt: 50, now: 6_000}, always);
    expect(ejection.isEjected(6_000)).toBe(false);
  });

  it('is back at once when a try in spite of the ejection succeeds', () => {
    const ejection = createEjection(policy);
    failTimes(ejection, 3, 100);
    ejection.succeeded({beganAt: 200, now: 300});
    expect(ejection.isEjected(300)).toBe(false);
  });

  it('follows a changed policy and stays in the state it is in', () => {
    const ejection = createEjection(policy);
    failTimes(ejection, 2, 0);
    ejection.setPolicy({...policy, consecutiveFailures: 10, windowMs: 60_000});
    failTimes(ejection, 7, 0);
    expect(ejection.isEjected(0)).toBe(false);
    failTimes(ejection, 1, 0);
    expect(ejection.isEjected(0)).toBe(true);
    ejection.setPolicy(policy);
    expect(ejection.isEjected(4_999)).toBe(true);
  });
});

describe('maxEjected', () => {
  it.each([
    [0, 50, 0],
    [1, 100, 0],
    [2, 50, 1],
    [2, 49, 0],
    [3, 50, 1],
    [4, 50, 2],
    [10, 34, 3],
    [3, 100, 3],
    [10, 0, 0],
  ])('of %i endpoints at %i %% lets %i be out', (endpoints, percent, out) => {
    expect(maxEjected(endpoints, percent)).toBe(out);
  });
});
