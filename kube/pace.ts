/** When a reflector tries again, and whether from a new list: never at once without end, whatever the API server does. */
import {createBackoff, type Backoff} from './backoff.ts';
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
  /** The connection broke, and no watch has had an event since: the next one may go on from a resourceVersion of the future. */
  readonly isDoubtful: boolean;
  listWorked(): void;
  listFailed(error: unknown): Next;
  /** At its first event, and at any. */
  watchWorks(): void;
  watchEnded(ending: Ending): Next;
};

const firstBackoffMs = 1_000;
const longestBackoffMs = 30_000;
/** An API server that is away is overloaded by nobody, and whoever waits for it wants to know soon that it is back. */
const longestUnansweredMs = 4_000;
/** A watch that ends sooner, without an event, is no working watch; and working ones follow each other no faster. */
const shortestWatchMs = 1_000;
/**
 * Watches of so much time in all without an event may be deaf: one from a resourceVersion of the future, as there is after etcd has been
 * restored, is accepted, brings nothing, and ends in good order. Mostly there is a bookmark each minute.
 */
export const longestQuietMs = 120_000;
/** A watch without an event that broke later than that is taken to have worked: making a connection does not take so long. */
const surelyConnectedMs = 15_000;

export const isAnswer = (error: unknown): error is KubeError => error instanceof KubeError && error.status !== 0;

/** The connection broke. What is no KubeError is a fault of another kind, which another connection does not cure. */
const isBroken = (error: unknown): boolean => error instanceof KubeError && error.status === 0;

/** What is wanted may not be read, or there is no such thing: at its start an API server says so before it knows its own rules. */
const isRefused = (error: unknown): boolean => isAnswer(error) && (error.status === 403 || error.status === 404);

/** The API server has forgotten this resourceVersion, or what was at the time of this `continue`. */
const isOutdated = (error: unknown): boolean => isAnswer(error) && error.status === 410;

export function createPace(random: () => number, listener: ProblemListener): Pace {
  const refused = createBackoff({firstMs: firstBackoffMs, longestMs: longestBackoffMs, random});
  const unanswered = createBackoff({firstMs: firstBackoffMs, longestMs: longestUnansweredMs, random});
  /** While nothing is known, whoever waits for it wants to know soon that it is allowed. */
  const refusedEarly = createBackoff({firstMs: firstBackoffMs, longestMs: longestUnansweredMs, random});
  const problem = createProblem(listener);

  /** A list was made because the resourceVersion was outdated, and no watch has worked since. */
  let isCured = false;
  let hasListed = false;
  /** Of watches, since the last event or list. */
  let quietMs = 0;
  let isDoubtful = false;

  const backoffFor = (error: unknown): Backoff => {
    if (isBroken(error)) return unanswered;
    return !hasListed && isRefused(error) ? refusedEarly : refused;
  };

  const reset = (): void => {
    isCured = false;
    refused.reset();
    unanswered.reset();
  };

  const failed = (stage: Stage, error: unknown): Next => {
    const newList = isOutdated(error);
    if (isAnswer(error)) unanswered.reset();
    const isCure = newList && !isCured; // a list; if it does not help, this is a failure like others
    isCured = isCured || newList;
    if (isCure) return {waitMs: 0, newList};
    const waitMs = backoffFor(error).next(isAnswer(error) ? error.retryAfterMs : undefined);
    problem.failed(stage, error);
    return {waitMs, newList};
  };

  const watchWorks = (): void => {
    reset();
    problem.worked('watch');
  };

  const hasEnded = (error: unknown): boolean => error === undefined || isBroken(error);

  /** How a watch without an event adds to the quiet. */
  const isDeaf = ({livedMs, events, error}: Ending): boolean => {
    isDoubtful = isBroken(error) || (isDoubtful && events === 0);
    if (events > 0) quietMs = 0;
    else if (hasEnded(error) && livedMs >= surelyConnectedMs) quietMs += livedMs;
    return quietMs >= longestQuietMs;
  };

  return {
    get isDoubtful() {
      return isDoubtful;
    },
    listWorked() {
      hasListed = true;
      quietMs = 0;
      isDoubtful = false;
      problem.worked('list'); // no reset: a list that works before each watch that does not would be a busy loop
    },
    listFailed: (error) => failed('list', error),
    watchWorks,
    watchEnded(ending) {
      const {livedMs, events, error} = ending;
      const paceMs = Math.max(0, shortestWatchMs - livedMs);
      const newList = isDeaf(ending);
      const worked = events > 0 || (error === undefined && livedMs >= shortestWatchMs);
      if (worked && hasEnded(error)) {
        watchWorks();
        return {waitMs: paceMs, newList};
      }
      if (livedMs >= surelyConnectedMs) reset();
      const next = failed('watch', error ?? new Error('the watch ended at once, without an event'));
      return {waitMs: events > 0 ? Math.max(next.waitMs, paceMs) : next.waitMs, newList: next.newList || newList};
    },
  };
}
