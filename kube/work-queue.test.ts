import {describe, expect, it} from '@jest/globals';
import {createFakeClock} from '../test/fake-clock.ts';
import type {Clock} from './clock.ts';
import {createWorkQueue, type Observation, type Outcome} from './work-queue.ts';

type Job = {key: string; end: (outcome: Outcome) => Promise<void>; fail: (error: unknown) => Promise<void>};

const done: Outcome = {type: 'Done'};

function start({maxConcurrent = 1, random = () => 0} = {}) {
  const clock = createFakeClock(0);
  const settled = () => clock.advance(0);
  const seen: Observation<string>[] = [];
  const queue = createWorkQueue<string>({clock, random, maxConcurrent, observe: (what) => void seen.push(what)});
  const started: string[] = [];
  const jobs: Job[] = [];
  const work = (key: string): Promise<Outcome> => {
    started.push(key);
    const {promise, resolve, reject} = Promise.withResolvers<Outcome>();
    jobs.push({
      key,
      end: (outcome) => {
        resolve(outcome);
        return settled();
      },
      fail: (error) => {
        reject(error);
        return settled();
      },
    });
    return promise;
  };
  /** Ends the one that has run longest. */
  const end = async (outcome: Outcome = done): Promise<string> => {
    const job = jobs.shift();
    if (job === undefined) throw new Error('nothing runs');
    await job.end(outcome);
    return job.key;
  };
  return {clock, settled, seen, queue, started, jobs, work, end};
}

/** On a clock whose timers are due at once; `delays` are theirs. */
function startImpatient(random = () => 0) {
  const delays: number[] = [];
  const clock: Clock = {
    now: () => 0,
    after(ms, run) {
      delays.push(ms);
      queueMicrotask(run);
      return {cancel() {}};
    },
  };
  const queue = createWorkQueue<string>({clock, random, maxConcurrent: 1});
  const failTimes = async (key: string, times: number) => {
    for (let time = 0; time < times; time += 1) {
      queue.addRateLimited(key);
      await Promise.resolve();
    }
  };
  return {queue, delays, failTimes};
}

describe('the work queue', () => {
  it('keeps what was added before there is work, in order, each key once', async () => {
    const {queue, started, jobs, work, end, settled} = start();
    for (const key of ['a', 'b', 'a', 'c', 'b']) queue.add(key);
    expect(queue.depth).toBe(3);
    queue.process(work);
    await settled();
    while (jobs.length > 0) await end();
    expect(started).toEqual(['a', 'b', 'c']);
    expect(queue.depth).toBe(0);
  });

  it('works once more on a key that was added while it was worked on, and never on one key twice at a time', async () => {
    const {queue, started, jobs, work, end, settled} = start({maxConcurrent: 4});
    queue.process(work);
    queue.add('a');
    await settled();
    queue.add('a');
    queue.add('a');
    await settled();
    expect(started).toEqual(['a']);
    expect(queue.depth).toBe(0);
    await end();
    expect(started).toEqual(['a', 'a']);
    await end();
    expect(jobs).toEqual([]);
    expect(started).toEqual(['a', 'a']);
  });

  it('works on as many keys at a time as it may', async () => {
    const {queue, started, work, end, settled} = start({maxConcurrent: 2});
    queue.process(work);
    for (const key of ['a', 'b', 'c', 'd']) queue.add(key);
    await settled();
    expect(started).toEqual(['a', 'b']);
    expect(queue.depth).toBe(2);
    await end();
    expect(started).toEqual(['a', 'b', 'c']);
  });

  it('begins no work inside the call that adds', async () => {
    const {queue, started, work, settled} = start();
    queue.process(work);
    queue.add('a');
    expect(started).toEqual([]);
    await settled();
    expect(started).toEqual(['a']);
  });

  it('is not told twice what to do', () => {
    const {queue, work} = start();
    queue.process(work);
    expect(() => queue.process(work)).toThrow('bug: process called twice');
  });

  describe('addAfter', () => {
    it('adds when the time has come', async () => {
      const {clock, queue} = start();
      queue.addAfter('a', 100);
      await clock.advance(99);
      expect(queue.depth).toBe(0);
      await clock.advance(1);
      expect(queue.depth).toBe(1);
      expect(clock.pending).toBe(0);
    });

    for (const [order, waits] of [
      ['the later wish comes last', [50, 100]],
      ['the later wish comes first', [100, 50]],
    ] as const)
      it(`takes the earliest wish, once, when ${order}`, async () => {
        const {clock, queue} = start();
        for (const ms of waits) queue.addAfter('a', ms);
        expect(clock.pending).toBe(1);
        await clock.advance(49);
        expect(queue.numbers().adds).toBe(0);
        await clock.advance(1);
        expect(queue.numbers().adds).toBe(1);
        await clock.advance(1_000);
        expect(queue.numbers().adds).toBe(1);
      });

    it('adds at once what is due', () => {
      const {clock, queue} = start();
      queue.addAfter('a', 0);
      queue.addAfter('b', -1);
      expect(queue.depth).toBe(2);
      expect(clock.pending).toBe(0);
    });

    it('is not undone by an add before', async () => {
      const {clock, queue, started, work, end} = start();
      queue.process(work);
      queue.addAfter('a', 100);
      queue.add('a');
      await clock.advance(0);
      await end();
      await clock.advance(100);
      expect(started).toEqual(['a', 'a']);
    });

    it('does not overflow a timer', () => {
      const {queue, delays} = startImpatient();
      queue.addAfter('a', 1e12);
      expect(delays).toEqual([2_147_483_647]);
    });
  });

  describe('a key that fails', () => {
    it('comes back after 5 ms, and each time after twice as long, up to 5 min', async () => {
      const {delays, failTimes} = startImpatient();
      await failTimes('a', 2_000); // 2^2000 is no number
      expect(delays.slice(0, 4)).toEqual([5, 10, 20, 40]);
      expect(delays.slice(15, 18)).toEqual([163_840, 300_000, 300_000]);
      expect(delays.at(-1)).toBe(300_000);
    });

    it('comes back a little earlier by chance', async () => {
      const {delays, failTimes} = startImpatient(() => 0.5);
      await failTimes('a', 20);
      expect(delays.slice(0, 2)).toEqual([4.75, 9.5]);
      expect(delays.at(-1)).toBe(285_000);
    });

    it('counts for itself, until it is forgotten', async () => {
      const {queue, delays, failTimes} = startImpatient();
      await failTimes('a', 3);
      await failTimes('b', 1);
      queue.forget('a');
      await failTimes('a', 1);
      await failTimes('b', 1);
      expect(delays).toEqual([5, 10, 20, 5, 5, 10]);
    });

    it('comes back when the work says that it failed', async () => {
      const {clock, queue, started, work, end} = start();
      queue.process(work);
      queue.add('a');
      await clock.advance(0);
      for (const waitMs of [5, 10, 20]) {
        const before = started.length;
        await end({type: 'Failed', error: new Error('no')});
        await clock.advance(waitMs - 1);
        expect(started).toHaveLength(before);
        await clock.advance(1);
        expect(started).toHaveLength(before + 1);
      }
    });

    for (const [title, outcome] of [
      ['was done', {type: 'Done'}],
      ['is to come again', {type: 'Again', afterMs: 1e6}],
      ['failed for good', {type: 'FailedForGood', error: new Error('no')}],
    ] as const)
      it(`starts anew once it ${title}`, async () => {
        const {clock, queue, started, work, end} = start();
        queue.process(work);
        queue.add('a');
        await clock.advance(0);
        for (const waitMs of [5, 10, 20]) {
          await end({type: 'Failed', error: new Error('no')});
          await clock.advance(waitMs);
        }
        await end(outcome);
        queue.add('a');
        await clock.advance(0);
        await end({type: 'Failed', error: new Error('no')});
        expect(started).toHaveLength(5);
        await clock.advance(5);
        expect(started).toHaveLength(6);
      });
  });

  describe('an outcome', () => {
    it('Done ends it', async () => {
      const {clock, queue, started, work, end, settled} = start();
      queue.process(work);
      queue.add('a');
      await settled();
      await end();
      expect(clock.pending).toBe(0);
      expect(queue.depth).toBe(0);
      expect(started).toEqual(['a']);
    });

    it('Again brings it back after its time', async () => {
      const {clock, queue, started, work, end, settled} = start();
      queue.process(work);
      queue.add('a');
      await settled();
      await end({type: 'Again', afterMs: 1_000});
      await clock.advance(999);
      expect(started).toEqual(['a']);
      await clock.advance(1);
      expect(started).toEqual(['a', 'a']);
    });

    it('Again after 0 ms brings it back once, behind what waits', async () => {
      const {queue, started, jobs, work, end, settled} = start();
      queue.process(work);
      queue.add('a');
      queue.add('b');
      await settled();
      await end({type: 'Again', afterMs: 0});
      await end();
      await end();
      expect(jobs).toEqual([]);
      expect(started).toEqual(['a', 'b', 'a']);
    });

    it('FailedForGood ends it', async () => {
      const {clock, queue, work, end, settled} = start();
      queue.process(work);
      queue.add('a');
      await settled();
      await end({type: 'FailedForGood', error: new Error('no')});
      expect(clock.pending).toBe(0);
      expect(queue.numbers().outcomes).toEqual({Done: 0, Again: 0, Failed: 0, FailedForGood: 1});
    });

    it('is Failed if the work rejects or throws', async () => {
      const {clock, queue, seen, jobs, work, settled} = start();
      const cause = new Error('broken');
      queue.process((key) => {
        if (key === 'throws') throw cause;
        return work(key);
      });
      queue.add('rejects');
      await settled();
      await jobs[0]!.fail(cause);
      queue.add('throws');
      await settled();
      const ended = seen.filter(({type}) => type === 'Ended');
      expect(ended).toEqual([
        {type: 'Ended', key: 'rejects', outcome: {type: 'Failed', error: cause}, workedMs: 0},
        {type: 'Ended', key: 'throws', outcome: {type: 'Failed', error: cause}, workedMs: 0},
      ]);
      expect(clock.pending).toBe(2); // both come back
    });
  });

  it('tells how long a key waited, from its first add, and was worked on', async () => {
    const {clock, queue, seen, work, end} = start();
    queue.add('a');
    await clock.advance(10);
    queue.add('a');
    await clock.advance(20);
    queue.process(work);
    queue.add('b');
    await clock.advance(0);
    await clock.advance(300);
    await end();
    expect(seen).toEqual([
      {type: 'Started', key: 'a', waitedMs: 30},
      {type: 'Ended', key: 'a', outcome: done, workedMs: 300},
      {type: 'Started', key: 'b', waitedMs: 300},
    ]);
  });

  it('has the numbers that the metrics show', async () => {
    const {clock, queue, work, end} = start({maxConcurrent: 2});
    queue.process(work);
    for (const key of ['a', 'b', 'c', 'c']) queue.add(key);
    await clock.advance(100);
    await end();
    await clock.advance(50);
    queue.addAfter('d', 10_000);
    queue.addRateLimited('e');
    expect(queue.numbers()).toEqual({
      adds: 3,
      retries: 2,
      outcomes: {Done: 1, Again: 0, Failed: 0, FailedForGood: 0},
      depth: 0,
      active: 2,
      unfinishedMs: 200,
      longestRunningMs: 150,
    });
    await end();
    await end();
    expect(queue.numbers()).toMatchObject({active: 0, unfinishedMs: 0, longestRunningMs: 0});
  });

  describe('stop', () => {
    it('resolves when what runs has ended, and starts nothing more', async () => {
      const {clock, queue, started, work, end, settled} = start({maxConcurrent: 2});
      queue.process(work);
      for (const key of ['a', 'b', 'c']) queue.add(key);
      queue.addAfter('d', 10);
      await settled();
      let stopped = false;
      const stopping = queue.stop().then(() => {
        stopped = true;
      });
      queue.add('e');
      queue.addAfter('f', 10);
      expect(clock.pending).toBe(0);
      await end();
      expect(stopped).toBe(false);
      await end({type: 'Failed', error: new Error('no')});
      await stopping;
      expect(clock.pending).toBe(0);
      expect(started).toEqual(['a', 'b']);
    });

    it('resolves at once when nothing runs, however often it is asked', async () => {
      const {queue} = start();
      queue.add('a');
      await queue.stop();
      await queue.stop();
    });
  });
});
