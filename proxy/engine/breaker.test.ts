/** opossum's timers are the process's own, so these tests hold those, and our clock with them. */
import {afterEach, beforeEach, describe, expect, it, jest} from '@jest/globals';
import type {CircuitBreakerConfig} from '../config/schema.ts';
import {createBreaker, type Breaker, type BreakerState, type Outcome} from './breaker.ts';

const policy: CircuitBreakerConfig = {
  failurePercent: 50,
  minRequests: 4,
  consecutiveFailures: 100,
  windowMs: 30_000,
  openDurationMs: 5_000,
  maxOpenDurationMs: 20_000,
  maxEjectionPercent: 50,
  whenAllOpen: 'FailFast',
};

const clock = {now: () => performance.now(), after: () => ({cancel: () => {}})};

type Subject = Breaker & {
  changes: BreakerState[];
  /** One whole attempt; opossum decides in a microtask. */
  attempt(outcome: Outcome): Promise<void>;
  attempts(...outcomes: Outcome[]): Promise<void>;
  isAdmitting(): boolean;
};

const started: Breaker[] = [];

function start(changedPolicy: Partial<CircuitBreakerConfig> = {}): Subject {
  const changes: BreakerState[] = [];
  const breaker = createBreaker({...policy, ...changedPolicy}, clock, (state) => changes.push(state));
  started.push(breaker);
  const attempt = async (outcome: Outcome): Promise<void> => {
    breaker.admit(clock.now()).finish(outcome);
    await settled();
  };
  return Object.assign(Object.create(breaker) as Breaker, {
    changes,
    attempt,
    async attempts(...outcomes: Outcome[]) {
      for (const outcome of outcomes) await attempt(outcome);
    },
    isAdmitting: () => breaker.admits(clock.now()),
  });
}

const settled = (): Promise<void> => jest.advanceTimersByTimeAsync(0);
const pass = (ms: number): Promise<void> => jest.advanceTimersByTimeAsync(ms);
const times = (count: number, outcome: Outcome): Outcome[] => Array.from({length: count}, () => outcome);

/** Open, after one failure. */
async function open(changedPolicy: Partial<CircuitBreakerConfig> = {}): Promise<Subject> {
  const breaker = start({consecutiveFailures: 1, ...changedPolicy});
  await breaker.attempt('Failure');
  expect(breaker.state).toBe('Open');
  return breaker;
}

async function halfOpen(changedPolicy: Partial<CircuitBreakerConfig> = {}): Promise<Subject> {
  const breaker = await open(changedPolicy);
  await pass(policy.openDurationMs);
  expect(breaker.state).toBe('HalfOpen');
  return breaker;
}

beforeEach(() => {
  jest.useFakeTimers();
});
afterEach(() => {
  for (const breaker of started.splice(0)) breaker.retire();
  expect(jest.getTimerCount()).toBe(0); // a breaker that is closed for good leaves nothing behind
  jest.useRealTimers();
});

describe('a closed breaker', () => {
  it('opens when the failures reach failurePercent, not only above it', async () => {
    const breaker = start();
    await breaker.attempts('Success', 'Success', 'Failure');
    expect(breaker.state).toBe('Closed');
    await breaker.attempt('Failure');
    expect(breaker.state).toBe('Open');
  });

  it('stays closed just below failurePercent', async () => {
    const breaker = start({failurePercent: 51});
    await breaker.attempts(...times(50, 'Success'), ...times(50, 'Failure'));
    expect(breaker.state).toBe('Closed');
    await breaker.attempts(...times(2, 'Failure'));
    expect(breaker.state).toBe('Closed'); // 52 of 102
    await breaker.attempts(...times(1, 'Failure'));
    expect(breaker.state).toBe('Open'); // 53 of 103
  });

  it('can be told to open only when everything fails', async () => {
    const breaker = start({failurePercent: 100});
    await breaker.attempts(...times(4, 'Failure'));
    expect(breaker.state).toBe('Open');
  });

  it('counts the percentage only from minRequests on', async () => {
    const breaker = start({minRequests: 20});
    await breaker.attempts(...times(19, 'Failure'));
    expect(breaker.state).toBe('Closed');
    await breaker.attempt('Failure');
    expect(breaker.state).toBe('Open');
  });

  it('forgets failures that are older than the window', async () => {
    const breaker = start();
    await breaker.attempts('Failure', 'Failure', 'Failure');
    await pass(policy.windowMs + policy.windowMs / 10);
    await breaker.attempts('Success', 'Success', 'Success', 'Failure');
    expect(breaker.state).toBe('Closed');
  });

  it('opens after consecutiveFailures, however small their share', async () => {
    const breaker = start({consecutiveFailures: 3});
    await breaker.attempts(...times(100, 'Success'), 'Failure', 'Failure');
    expect(breaker.state).toBe('Closed');
    await breaker.attempt('Failure');
    expect(breaker.state).toBe('Open');
  });

  it('counts consecutive failures anew only after an answer that was completed', async () => {
    const breaker = start({consecutiveFailures: 3, minRequests: 1_000});
    await breaker.attempts('Failure', 'Failure');
    breaker.admit(clock.now()).contentCame(); // content alone may still be cut
    await breaker.attempt('NoVerdict');
    await breaker.attempt('Failure');
    expect(breaker.state).toBe('Open');

    const other = start({consecutiveFailures: 3, minRequests: 1_000});
    await other.attempts('Failure', 'Failure', 'Success', 'Failure', 'Failure');
    expect(other.state).toBe('Closed');
  });

  it('takes no record of attempts without verdict, which would dilute the rate', async () => {
    const breaker = start();
    await breaker.attempts(...times(1_000, 'NoVerdict'), ...times(3, 'Failure'));
    expect(breaker.state).toBe('Closed'); // minRequests does not count them either
    await breaker.attempt('Failure');
    expect(breaker.state).toBe('Open');
  });

  it('is not diluted by streams that still run', async () => {
    const breaker = start();
    for (let stream = 0; stream < 100; stream += 1) breaker.admit(clock.now()).contentCame();
    await breaker.attempts('Success', 'Success', 'Failure', 'Failure');
    expect(breaker.state).toBe('Open');
  });

  it('counts a stream that is cut after the window in which it began as one failure of one', async () => {
    const breaker = start({minRequests: 1});
    const stream = breaker.admit(clock.now());
    await pass(2 * policy.windowMs);
    stream.finish('Failure');
    await settled();
    expect(breaker.state).toBe('Open');
  });
});

describe('an open breaker', () => {
  it('admits nothing until openDuration has passed, and says how long that is', async () => {
    const breaker = await open();
    expect(breaker.opensAgainInMs(clock.now())).toBe(5_000);
    await pass(4_999);
    expect({admits: breaker.isAdmitting(), left: breaker.opensAgainInMs(clock.now())}).toEqual({
      admits: false,
      left: 1,
    });
    await pass(1);
    expect({admits: breaker.isAdmitting(), left: breaker.opensAgainInMs(clock.now())}).toEqual({admits: true, left: 0});
  });

  it('is not diluted by what it turns away', async () => {
    const breaker = start({failurePercent: 100});
    await breaker.attempts(...times(4, 'Failure'));
    for (let asked = 0; asked < 1_000; asked += 1) expect(breaker.isAdmitting()).toBe(false);
    await pass(policy.openDurationMs);
    await breaker.attempts('Success', ...times(4, 'Failure'));
    expect(breaker.state).toBe('Open');
  });

  it('closes when an attempt that was made in spite of it succeeds', async () => {
    const breaker = await open();
    await breaker.attempt('Failure');
    expect(breaker.state).toBe('Open');
    await breaker.attempt('Success');
    expect(breaker.state).toBe('Closed');
  });
});

describe('a half-open breaker', () => {
  it('lets one probe through at a time', async () => {
    const breaker = await halfOpen();
    breaker.admit(clock.now());
    expect(breaker.isAdmitting()).toBe(false);
  });

  it('closes at its probe’s first content: a probe that streams for minutes keeps nobody out', async () => {
    const breaker = await halfOpen();
    breaker.admit(clock.now()).contentCame();
    expect({state: breaker.state, admits: breaker.isAdmitting()}).toEqual({state: 'Closed', admits: true});
  });

  it('closes when its probe completes without having streamed', async () => {
    const breaker = await halfOpen();
    await breaker.attempt('Success');
    expect(breaker.state).toBe('Closed');
  });

  it('opens again when its probe fails', async () => {
    const breaker = await halfOpen();
    await breaker.attempt('Failure');
    expect(breaker.state).toBe('Open');
  });

  it('opens again when the very answer that closed it is cut, and for twice as long', async () => {
    const breaker = await halfOpen();
    const probe = breaker.admit(clock.now());
    probe.contentCame();
    await pass(60_000);
    probe.finish('Failure');
    expect({state: breaker.state, opensAgainIn: breaker.opensAgainInMs(clock.now())}).toEqual({
      state: 'Open',
      opensAgainIn: 10_000,
    });
  });

  it('stays closed when another answer than its probe’s is cut', async () => {
    const breaker = await halfOpen();
    breaker.setPolicy(policy);
    const probe = breaker.admit(clock.now());
    probe.contentCame();
    await breaker.attempt('Failure');
    expect(breaker.state).toBe('Closed');
    probe.finish('Success');
    expect(breaker.state).toBe('Closed');
  });

  it('neither closes nor opens when the caller of its probe errs or leaves, and lets the next one probe at once', async () => {
    const breaker = await halfOpen();
    await breaker.attempt('NoVerdict');
    expect({state: breaker.state, admits: breaker.isAdmitting()}).toEqual({state: 'HalfOpen', admits: true});
  });

  it('stays closed when the caller of its probe leaves after content', async () => {
    const breaker = await halfOpen();
    const probe = breaker.admit(clock.now());
    probe.contentCame();
    probe.finish('NoVerdict');
    expect(breaker.state).toBe('Closed');
  });

  it('lets another one probe when the first has come to nothing after openDuration', async () => {
    const breaker = await halfOpen();
    const silent = breaker.admit(clock.now());
    await pass(policy.openDurationMs - 1);
    expect(breaker.isAdmitting()).toBe(false);
    await pass(1);
    expect(breaker.isAdmitting()).toBe(true);
    breaker.admit(clock.now());
    silent.finish('NoVerdict'); // the place is the second one's now
    expect(breaker.isAdmitting()).toBe(false);
  });
});

describe('attempts that began before the breaker last changed state', () => {
  it('close nothing by a happy end', async () => {
    const breaker = start({consecutiveFailures: 1});
    const old = breaker.admit(clock.now());
    await breaker.attempt('Failure');
    await pass(policy.openDurationMs);
    old.contentCame();
    old.finish('Success');
    await settled();
    expect({state: breaker.state, admits: breaker.isAdmitting()}).toEqual({state: 'HalfOpen', admits: true});
  });

  it('open nothing by a bad one', async () => {
    const breaker = start({consecutiveFailures: 1});
    const [first, second] = [breaker.admit(clock.now()), breaker.admit(clock.now())];
    await breaker.attempt('Failure');
    await pass(policy.openDurationMs);
    first.finish('Failure');
    await settled();
    expect(breaker.state).toBe('HalfOpen');
    await breaker.attempt('Success');
    second.finish('Failure');
    await settled();
    expect(breaker.changes).toEqual(['Open', 'HalfOpen', 'Closed']);
  });

  it('give no probe’s place away', async () => {
    const breaker = start({consecutiveFailures: 1});
    const old = breaker.admit(clock.now());
    await breaker.attempt('Failure');
    await pass(policy.openDurationMs);
    breaker.admit(clock.now());
    old.finish('NoVerdict');
    expect(breaker.isAdmitting()).toBe(false);
  });
});

describe('the open time', () => {
  it('doubles with each failed probe, up to maxOpenDuration', async () => {
    const breaker = await open();
    const lengths: number[] = [];
    for (let probe = 0; probe < 5; probe += 1) {
      const length = breaker.opensAgainInMs(clock.now());
      lengths.push(length);
      await pass(length - 1);
      expect(breaker.state).toBe('Open'); // it is opossum's timer that counts, not only what we say
      await pass(1);
      expect(breaker.state).toBe('HalfOpen');
      await breaker.attempt('Failure');
    }
    expect(lengths).toEqual([5_000, 10_000, 20_000, 20_000, 20_000]);
  });

  it('starts over after an answer that was completed, and not after content alone', async () => {
    const breaker = await halfOpen();
    await breaker.attempt('Failure');
    await pass(10_000);
    const probe = breaker.admit(clock.now());
    probe.contentCame();
    await breaker.attempt('Failure');
    expect(breaker.opensAgainInMs(clock.now())).toBe(20_000);
    await pass(20_000);
    await breaker.attempts('Success', 'Failure');
    expect(breaker.opensAgainInMs(clock.now())).toBe(5_000);
  });
});

describe('closing', () => {
  it('starts with an empty window, so that old failures do not open it again at once', async () => {
    const breaker = start();
    await breaker.attempts(...times(4, 'Failure'));
    await pass(policy.openDurationMs);
    await breaker.attempt('Success');
    await breaker.attempts('Failure', 'Failure');
    expect(breaker.state).toBe('Closed'); // 2 of 3, below minRequests
  });

  it('is told once for each change', async () => {
    const breaker = await halfOpen();
    await breaker.attempt('Success');
    await breaker.attempt('Failure');
    expect(breaker.changes).toEqual(['Open', 'HalfOpen', 'Closed', 'Open']);
  });
});

describe('a breaker that is retired', () => {
  it('lets those through who still have it, and counts nothing of theirs', async () => {
    const breaker = await halfOpen();
    const [running] = [breaker.admit(clock.now())];
    breaker.retire();
    expect(breaker.isAdmitting()).toBe(true);
    const late = breaker.admit(clock.now());
    late.contentCame();
    for (const ticket of [running, late]) ticket.finish('Success');
    await breaker.attempts(...times(policy.consecutiveFailures, 'Failure'));
    expect(breaker.isAdmitting()).toBe(true);
    expect(breaker.changes).toEqual(['Open', 'HalfOpen']);
  });
});

describe('another policy', () => {
  it('keeps what a closed breaker has counted', async () => {
    const breaker = start({consecutiveFailures: 3});
    await breaker.attempts('Success', 'Success', 'Failure', 'Failure');
    breaker.setPolicy({...policy, minRequests: 5, failurePercent: 60, consecutiveFailures: 4});
    await breaker.attempt('Failure');
    expect(breaker.state).toBe('Open'); // 3 of 5
  });

  it('keeps consecutive failures', async () => {
    const breaker = start({consecutiveFailures: 3});
    await breaker.attempts('Failure', 'Failure');
    breaker.setPolicy({...policy, minRequests: 1_000, consecutiveFailures: 3});
    await breaker.attempt('Failure');
    expect(breaker.state).toBe('Open');
  });

  it('leaves an open breaker open for the rest of its time, not longer', async () => {
    const breaker = await open();
    await pass(2_000);
    breaker.setPolicy({...policy, failurePercent: 80});
    expect({state: breaker.state, left: breaker.opensAgainInMs(clock.now())}).toEqual({state: 'Open', left: 3_000});
    await pass(2_999);
    expect(breaker.state).toBe('Open');
    await pass(1);
    expect(breaker.state).toBe('HalfOpen');
    await breaker.attempt('Failure');
    await pass(9_999);
    expect(breaker.state).toBe('Open');
    await pass(1);
    expect(breaker.state).toBe('HalfOpen');
  });

  it('leaves a half-open breaker its probe', async () => {
    const breaker = await halfOpen();
    const probe = breaker.admit(clock.now());
    breaker.setPolicy({...policy, failurePercent: 80});
    expect({state: breaker.state, admits: breaker.isAdmitting()}).toEqual({state: 'HalfOpen', admits: false});
    probe.contentCame();
    expect(breaker.state).toBe('Closed');
  });

  it('takes effect at once', async () => {
    const breaker = start();
    breaker.setPolicy({...policy, consecutiveFailures: 1});
    await breaker.attempt('Failure');
    expect(breaker.state).toBe('Open');
  });

  it('tells of no change', async () => {
    const breaker = await open();
    breaker.setPolicy({...policy, failurePercent: 80});
    expect(breaker.changes).toEqual(['Open']);
  });
});
