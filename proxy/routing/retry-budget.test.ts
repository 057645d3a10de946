import {describe, expect, it} from '@jest/globals';
import {createRetryBudget, type RetryBudget} from './retry-budget.ts';

/** How many retries it allows when nothing but retries happens. */
function spend(budget: RetryBudget, now: number, percent: number): number {
  let spent = 0;
  for (; budget.hasRoom(now, percent); spent += 1) budget.countRetry(now);
  return spent;
}

const afterRequests = (count: number, now: number): RetryBudget => {
  const budget = createRetryBudget();
  for (let index = 0; index < count; index += 1) budget.countRequest(now);
  return budget;
};

describe('the retry budget', () => {
  it('is never less than ten retries', () => {
    expect(spend(afterRequests(0, 0), 0, 20)).toBe(10);
    expect(spend(afterRequests(20, 0), 0, 20)).toBe(10);
    expect(spend(afterRequests(1000, 0), 0, 0)).toBe(10);
  });

  it('is that share of the requests, and never a part of a retry more', () => {
    expect(spend(afterRequests(1000, 0), 0, 20)).toBe(200);
    expect(spend(afterRequests(57, 0), 0, 20)).toBe(11);
  });

  it('forgets what is more than ten seconds old', () => {
    const budget = afterRequests(1000, 0);
    expect(spend(budget, 0, 20)).toBe(200);
    expect(spend(budget, 5_000, 20)).toBe(0);
    expect(spend(budget, 10_001, 20)).toBe(10);
  });

  it('takes the percentage of the moment', () => {
    const budget = afterRequests(1000, 0);
    expect(spend(budget, 0, 5)).toBe(50);
    expect(spend(budget, 0, 10)).toBe(50);
  });
});
