/** Retries on the same rung, as a share of a route's requests of the last ten seconds, so that retries never become the load. */
import {createRollingWindow} from './rolling-window.ts';

export type RetryBudget = {
  countRequest(now: number): void;
  countRetry(now: number): void;
  /** For one more retry, under the percentage that the route has at this moment. */
  hasRoom(now: number, budgetPercent: number): boolean;
};

const windowMs = 10_000;
const alwaysAllowed = 10;

export function createRetryBudget(): RetryBudget {
  const requests = createRollingWindow(windowMs);
  const retries = createRollingWindow(windowMs);
  return {
    countRequest: (now) => requests.add(now, false),
    countRetry: (now) => retries.add(now, false),
    hasRoom: (now, budgetPercent) =>
      retries.read(now).total + 1 <= Math.max(alwaysAllowed, (requests.read(now).total * budgetPercent) / 100),
  };
}
