/** When a reflector tries again, and whether from a new list: never at once without end, whatever the API server does. */
import {createBackoff} from './backoff.ts';
import {KubeError} from './errors.ts';
import {createProblem, type ProblemListener, type Stage} from './problem.ts';

export type Next = {
  waitMs: number;
  /** What is known of where a watch could go on is of no use. */
  newList: boolean;
};

/** How a watch ended. */
export type Ending = {
  livedMs: number;
  /** Those that got it on. */
  events: number;
  /** Undefined: the API server closed it in good order. */
  error: unknown;
};

export type Pace = {
  listWorked(): void;
  listFailed(error: unknown): Next;
  /** At its first event, and at any. */
  watchWorks(): void;
  watchEnded(ending: Ending): Next;
};

const firstBackoffMs = 1_000;
const longestBackoffMs = 30_000;
/** A watch that ends sooner, without an event, is no working watch; and working ones follow each other no faster. */
const shortestWatchMs = 1_000;
/** A watch without an event that broke later than that is taken to have worked: making a connection does not take so long. */
const surelyConnectedMs = 15_000;

export const isAnswer = (error: unknown): error is KubeError => error instanceof KubeError && error.status !== 0;

/** The connection broke. What is no KubeError is a fault of another kind, which another connection does not cure. */
const isBroken = (error: unknown): boolean => error instanceof KubeError && error.status === 0;

/** The API server has forgotten this resourceVersion, or what was at the time of this `continue`. */
const isOutdated = (error: unknown): boolean => isAnswer(error) && error.status === 410;

export function createPace(random: () => number, listener: ProblemListener): Pace {
  const backoff = createBackoff({firstMs: firstBackoffMs, longestMs: longestBackoffMs, random});
  const problem = createProblem(listener);

  const failed = (stage: Stage, error: unknown): Next => {
    const newList = isOutdated(error);
    const isFirst = backoff.failures === 0;
    const waitMs = backoff.next(isAnswer(error) ? error.retryAfterMs : undefined);
    if (newList && isFirst) return {waitMs: 0, newList}; // the cure; if it does not help, this is a failure like others
    problem.failed(stage, error);
    return {waitMs, newList};
  };

  const watchWorks = (): void => {
    backoff.reset();
    problem.worked('watch');
  };

  return {
    listWorked: () => problem.worked('list'), // no reset: a list that works before each watch that does not would be a busy loop
    listFailed: (error) => failed('list', error),
    watchWorks,
    watchEnded({livedMs, events, error}) {
      const paceMs = Math.max(0, shortestWatchMs - livedMs);
      const worked = events > 0 || (error === undefined && livedMs >= shortestWatchMs);
      if (worked && (error === undefined || isBroken(error))) {
        watchWorks();
        return {waitMs: paceMs, newList: false};
      }
      if (livedMs >= surelyConnectedMs) backoff.reset();
      const next = failed('watch', error ?? new Error('the watch ended at once, without an event'));
      return events > 0 ? {...next, waitMs: Math.max(next.waitMs, paceMs)} : next;
    },
  };
}
