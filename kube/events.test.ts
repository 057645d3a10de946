import {describe, expect, it} from '@jest/globals';
import {createFakeClock} from '../test/fake-clock.ts';
import type {KubeRequest} from './client.ts';
import {KubeError} from './errors.ts';
import {createEventRecorder, type EventRecord} from './events.ts';

/** What becomes of one request: an answer, an error, or nothing. */
type Fate = 'Answered' | 'Silent' | KubeError;

const collection = '/apis/events.k8s.io/v1/namespaces/team-a/events';
const wallClockStart = Date.UTC(2030, 0, 1);

const chat = {apiVersion: 'modelroute.dev/v1alpha1', kind: 'ModelRoute', namespace: 'team-a', name: 'chat', uid: 'u1'};
const refused: EventRecord = {
  object: chat,
  type: 'Warning',
  reason: 'ModelNameConflict',
  message: 'taken by team-b/chat',
  action: 'Accept',
};

type Body = {metadata: {name: string}; note: string; series?: {count: number; lastObservedTime: string}};

function start() {
  const clock = createFakeClock(0);
  const requests: KubeRequest[] = [];
  const failures: unknown[] = [];
  const server = {fates: [] as Fate[], fate: 'Answered' as Fate};
  let dice = 0;
  const recorder = createEventRecorder({
    client: {
      request(request) {
        const {signal: _, ...sent} = request;
        requests.push(structuredClone(sent));
        const fate = server.fates.shift() ?? server.fate;
        if (fate === 'Silent') return new Promise(() => {});
        return fate === 'Answered' ? Promise.resolve({}) : Promise.reject(fate);
      },
      stream: () => {
        throw new Error('not asked for');
      },
      close: () => Promise.resolve(),
    },
    component: 'modelroute.dev/operator',
    instance: 'operator-0',
    clock,
    wallClock: () => new Date(wallClockStart + clock.now()),
    random: () => {
      dice += 1;
      return (dice % 1_000) / 1_000;
    },
    onFailed: ({object, reason}, error) => void failures.push({name: object.name, reason, error}),
  });
  const settle = () => clock.advance(0);
  const bodies = () => requests.map(({body}) => body as Body);
  const methods = () => requests.map(({method}) => method);
  const counts = () => bodies().map(({series}) => series?.count ?? 1);
  return {clock, server, recorder, requests, failures, settle, bodies, methods, counts};
}

const lost = new KubeError('connection lost', {status: 0});
const answers = (status: number, retryAfterMs?: number) => new KubeError(`${status}`, {status, retryAfterMs});

describe('the event recorder', () => {
  it('writes what kubectl describe shows', async () => {
    const {recorder, requests, settle} = start();
    recorder.record(refused);
    await settle();
    expect(requests).toEqual([
      {
        method: 'POST',
        path: collection,
        contentType: 'application/json',
        body: {
          apiVersion: 'events.k8s.io/v1',
          kind: 'Event',
          metadata: {name: expect.stringMatching(/^chat\.[0-9a-f]+$/), namespace: 'team-a'},
          eventTime: '2030-01-01T00:00:00.000000Z',
          type: 'Warning',
          reason: 'ModelNameConflict',
          action: 'Accept',
          note: 'taken by team-b/chat',
          regarding: chat,
          reportingController: 'modelroute.dev/operator',
          reportingInstance: 'operator-0',
        },
      },
    ]);
    expect(recorder.numbers()).toEqual({written: 1, failed: 0, dropped: 0});
  });

  it('gives each Event a name of its own, which the API server takes for an object with the longest one', async () => {
    const {recorder, settle, bodies} = start();
    const name = `${'a'.repeat(219)}.${'b'.repeat(33)}`;
    for (const message of ['one', 'two']) recorder.record({...refused, object: {...chat, name}, message});
    await settle();
    const names = bodies().map(({metadata}) => metadata.name);
    expect(new Set(names).size).toBe(2);
    for (const given of names) {
      expect(given.length).toBeLessThanOrEqual(253);
      expect(given).toMatch(/^[a-z0-9]+(\.[a-z0-9]+)*$/);
    }
  });

  describe('a message', () => {
    for (const [title, message, expected] of [
      ['of 1,024 bytes stays whole', 'é'.repeat(512), 'é'.repeat(512)],
      ['past that is cut', 'a'.repeat(1_025), 'a'.repeat(1_024)],
      ['is not cut within a character of two bytes', `a${'é'.repeat(512)}`, `a${'é'.repeat(511)}`],
      ['is not cut within a character of four bytes', `aaa${'😀'.repeat(256)}`, `aaa${'😀'.repeat(255)}`],
    ] as const)
      it(title, async () => {
        const {recorder, settle, bodies} = start();
        recorder.record({...refused, message});
        await settle();
        expect(bodies()[0]?.note).toBe(expected);
      });
  });

  describe('of the same object, type, reason and message', () => {
    it('counts in the Event that is there', async () => {
      const {clock, recorder, requests, bodies, settle} = start();
      recorder.record(refused);
      await clock.advance(60_000);
      recorder.record(refused);
      await clock.advance(60_000);
      recorder.record({...refused, action: 'AcceptAgain'});
      await settle();
      const {name} = bodies()[0]!.metadata;
      const patch = {method: 'PATCH', path: `${collection}/${name}`, contentType: 'application/merge-patch+json'};
      expect(requests.slice(1)).toEqual([
        {...patch, body: {series: {count: 2, lastObservedTime: '2030-01-01T00:01:00.000000Z'}}},
        {...patch, body: {series: {count: 3, lastObservedTime: '2030-01-01T00:02:00.000000Z'}}},
      ]);
    });

    it('makes one request of what happened while one was under way', async () => {
      const {recorder, methods, counts, settle} = start();
      for (let time = 0; time < 5; time += 1) recorder.record(refused);
      await settle();
      expect(methods()).toEqual(['POST', 'PATCH']);
      expect(counts()).toEqual([1, 5]);
    });

    it('is a series as long as less than 10 min lie between', async () => {
      const {clock, recorder, methods, settle} = start();
      recorder.record(refused);
      await clock.advance(599_999);
      recorder.record(refused);
      await clock.advance(599_999);
      recorder.record(refused);
      await clock.advance(600_000);
      recorder.record(refused);
      await settle();
      expect(methods()).toEqual(['POST', 'PATCH', 'PATCH', 'POST']);
    });

    it('is a new Event if the old one is gone', async () => {
      const {recorder, server, methods, counts, bodies, settle} = start();
      recorder.record(refused);
      await settle();
      server.fates = [answers(404)];
      recorder.record(refused);
      await settle();
      expect(methods()).toEqual(['POST', 'PATCH', 'POST']);
      expect(counts()).toEqual([1, 2, 2]);
      expect(bodies()[2]).toMatchObject({note: refused.message, eventTime: '2030-01-01T00:00:00.000000Z'});
      expect(recorder.numbers()).toEqual({written: 2, failed: 0, dropped: 0});
    });
  });

  for (const [title, change] of Object.entries<Partial<EventRecord>>({
    'another object': {object: {...chat, name: 'other', uid: 'u2'}},
    'an object that was made again': {object: {...chat, uid: 'u3'}},
    'another reason': {reason: 'NameInUse'},
    'another message': {message: 'taken by team-c/chat'},
    'another type': {type: 'Normal'},
  }))
    it(`makes an Event of its own for ${title}`, async () => {
      const {recorder, methods, settle} = start();
      recorder.record(refused);
      recorder.record({...refused, ...change});
      await settle();
      expect(methods()).toEqual(['POST', 'POST']);
    });

  describe('too many of one object', () => {
    const flood = (recorder: {record(event: EventRecord): void}, times: number, object = chat) => {
      for (let time = 0; time < times; time += 1) recorder.record({...refused, object, message: `${time}`});
    };

    it('writes 25 at once, and drops the rest', async () => {
      const {recorder, requests, settle} = start();
      flood(recorder, 100);
      await settle();
      expect(requests).toHaveLength(25);
      expect(recorder.numbers()).toEqual({written: 25, failed: 0, dropped: 75});
    });

    it('leaves other objects theirs', async () => {
      const {recorder, requests, settle} = start();
      flood(recorder, 100);
      flood(recorder, 5, {...chat, uid: 'u2'});
      await settle();
      expect(requests).toHaveLength(30);
    });

    it('writes one more every 10 s, and 25 at most after a long silence', async () => {
      const {clock, recorder, requests, settle} = start();
      flood(recorder, 25);
      await clock.advance(9_999);
      recorder.record({...refused, message: 'too early'});
      await settle();
      expect(requests).toHaveLength(25);
      await clock.advance(1);
      recorder.record({...refused, message: 'in time'});
      recorder.record({...refused, message: 'too many'});
      await settle();
      expect(requests).toHaveLength(26);
      await clock.advance(3_600_000);
      flood(recorder, 100);
      await settle();
      expect(requests).toHaveLength(51);
    });

    it('counts a series on, and writes it when there is a token', async () => {
      const {clock, recorder, requests, counts, settle} = start();
      flood(recorder, 25);
      await settle();
      for (let time = 0; time < 40; time += 1) recorder.record({...refused, message: '0'});
      await clock.advance(9_999);
      expect(requests).toHaveLength(25);
      await clock.advance(1);
      expect(counts().at(-1)).toBe(41);
      expect(recorder.numbers()).toEqual({written: 26, failed: 0, dropped: 0});
      expect(clock.pending).toBe(0);
    });
  });

  describe('a failure', () => {
    for (const [title, error] of [
      ['no answer', lost],
      ['an error of the server', answers(500)],
      ['too many requests', answers(429)],
    ] as const)
      it(`is tried again, at most 12 times: ${title}`, async () => {
        const {clock, recorder, server, requests, failures, settle} = start();
        server.fate = error;
        recorder.record(refused);
        await settle();
        for (let time = 0; time < 100; time += 1) await clock.advance(2_500);
        expect(requests).toHaveLength(12);
        expect(failures).toEqual([{name: 'chat', reason: 'ModelNameConflict', error}]);
        expect(recorder.numbers()).toEqual({written: 0, failed: 1, dropped: 0});
        expect(clock.pending).toBe(0);
      });

    it('is tried again after 10 to 12.5 s, with what was counted since', async () => {
      const {clock, recorder, server, counts, methods, settle} = start();
      server.fates = [lost];
      recorder.record(refused);
      await settle();
      recorder.record(refused);
      await clock.advance(9_999);
      expect(methods()).toEqual(['POST']);
      await clock.advance(2_501);
      expect(methods()).toEqual(['POST', 'POST']);
      expect(counts()).toEqual([1, 2]);
      expect(recorder.numbers()).toEqual({written: 1, failed: 0, dropped: 0});
    });

    it('is tried again when the API server says so, but within a minute', async () => {
      const {clock, recorder, server, methods, settle} = start();
      server.fates = [answers(429, 30_000), answers(429, 3_600_000)];
      recorder.record(refused);
      await settle();
      await clock.advance(29_999);
      expect(methods()).toHaveLength(1);
      await clock.advance(1);
      expect(methods()).toHaveLength(2);
      await clock.advance(60_000);
      expect(methods()).toHaveLength(3);
    });

    for (const status of [400, 403, 404, 422])
      it(`is not tried again if it is a refusal: ${status}`, async () => {
        const {clock, recorder, server, requests, failures, settle} = start();
        server.fate = answers(status);
        recorder.record(refused);
        recorder.record({...refused, object: {...chat, name: 'other'}});
        await settle();
        expect(requests).toHaveLength(2);
        expect(failures).toHaveLength(2);
        expect(clock.pending).toBe(0);
        server.fate = 'Answered';
        recorder.record(refused);
        await settle();
        expect(requests.at(-1)).toMatchObject({method: 'POST', body: {series: {count: 2}}}); // not taken for known
      });

    it('whose request had its effect all the same is none', async () => {
      const {clock, recorder, server, methods, counts, settle} = start();
      server.fates = [lost, answers(409)];
      recorder.record(refused);
      await settle();
      recorder.record(refused);
      await clock.advance(12_500);
      await settle();
      expect(methods()).toEqual(['POST', 'POST', 'PATCH']);
      expect(counts()).toEqual([1, 2, 2]);
      expect(recorder.numbers()).toEqual({written: 1, failed: 0, dropped: 0});
    });

    it('of a client that throws does not reach who records', async () => {
      const {clock} = start();
      const failures: unknown[] = [];
      const broken = new KubeError('no such thing', {status: 400});
      const recorder = createEventRecorder({
        client: {
          request: () => {
            throw broken;
          },
          stream: () => {
            throw broken;
          },
          close: () => Promise.resolve(),
        },
        component: 'c',
        instance: 'i',
        clock,
        wallClock: () => new Date(0),
        random: () => 0,
        onFailed: (_, error) => void failures.push(error),
      });
      recorder.record(refused);
      await clock.advance(0);
      expect(failures).toEqual([broken]);
      expect(clock.pending).toBe(0);
    });

    it('is also a silence of 10 s', async () => {
      const {clock, recorder, server, methods, settle} = start();
      server.fates = ['Silent'];
      recorder.record(refused);
      await settle();
      await clock.advance(9_999);
      await clock.advance(1);
      await clock.advance(12_500);
      expect(methods()).toEqual(['POST', 'POST']);
      expect(recorder.numbers()).toMatchObject({written: 1});
    });
  });

  it('keeps 1,000 that wait, and drops the oldest beyond that', async () => {
    const {clock, recorder, server, requests, settle, bodies} = start();
    server.fates = [lost];
    for (let at = 0; at < 1_003; at += 1)
      recorder.record({...refused, object: {...chat, uid: `u${at}`}, message: `${at}`});
    await settle();
    expect(recorder.numbers()).toEqual({written: 0, failed: 0, dropped: 2});
    await clock.advance(12_500);
    expect(requests).toHaveLength(1_002);
    expect(bodies().map(({note}) => note)).not.toContain('1');
    expect(bodies().map(({note}) => note)).toEqual(expect.arrayContaining(['0', '3', '1002']));
    recorder.record({...refused, object: {...chat, uid: 'u1'}, message: '1'});
    await settle();
    expect(requests.at(-1)).toMatchObject({method: 'POST', body: {series: {count: 2}}}); // not taken for known
  });

  it('remembers 4,096 series, those that were used last', async () => {
    const {recorder, requests, settle} = start();
    const happens = async (at: number) => {
      recorder.record({...refused, object: {...chat, uid: `u${at}`}});
      if (at % 500 === 0) await settle();
    };
    for (let at = 0; at < 4_096; at += 1) await happens(at);
    await happens(0);
    await happens(4_096);
    await settle();
    const before = requests.length;
    await happens(0);
    await settle();
    await happens(1);
    await settle();
    expect(requests.slice(before).map(({method}) => method)).toEqual(['PATCH', 'POST']);
  });

  describe('flush', () => {
    it('resolves when all is written, what waits for a token included', async () => {
      const {clock, recorder, counts} = start();
      for (let at = 0; at < 25; at += 1) recorder.record({...refused, message: `${at}`});
      await recorder.flush();
      recorder.record({...refused, message: '0'});
      recorder.record({...refused, message: '0'});
      await recorder.flush();
      expect(counts().slice(24)).toEqual([1, 3]);
      expect(clock.pending).toBe(0);
    });

    it('resolves at once when there is nothing to write', async () => {
      const {clock, recorder, requests} = start();
      await recorder.flush();
      expect(requests).toEqual([]);
      expect(clock.pending).toBe(0);
    });

    it('tries once what failed before, and nothing twice', async () => {
      const {clock, recorder, server, requests, settle} = start();
      server.fate = lost;
      for (const message of ['one', 'two']) recorder.record({...refused, message});
      await settle();
      await recorder.flush();
      expect(requests).toHaveLength(3);
      expect(recorder.numbers()).toEqual({written: 0, failed: 2, dropped: 0});
      expect(clock.pending).toBe(0);
    });

    it('gives up after 5 s of silence', async () => {
      const {clock, recorder, server, requests, settle} = start();
      server.fate = 'Silent';
      for (const message of ['one', 'two', 'three']) recorder.record({...refused, message});
      let flushed = false;
      void recorder.flush().then(() => {
        flushed = true;
      });
      await clock.advance(4_999);
      expect(flushed).toBe(false);
      await clock.advance(1);
      await settle();
      expect(flushed).toBe(true);
      expect(requests).toHaveLength(1);
      expect(recorder.numbers()).toEqual({written: 0, failed: 1, dropped: 2});
      expect(clock.pending).toBe(0);
    });
  });
});
