import {describe, expect, it} from '@jest/globals';
import {createFakeClock} from '../test/fake-clock.ts';
import type {KubeClient, KubeRequest} from './client.ts';
import type {Clock} from './clock.ts';
import {KubeError} from './errors.ts';
import {createElector, type Elector, type ElectorSettings, microTime} from './lease.ts';
import type {KubeObject} from './objects.ts';

type Spec = Record<string, unknown>;
type Lease = KubeObject & {spec: Spec};

/** What becomes of one request: it is answered, never, refused by the network before or after it had its effect, or held for some ms. */
type Fate = 'Answered' | 'Silent' | 'Lost' | 'AnswerLost' | number;

const collection = '/apis/coordination.k8s.io/v1/namespaces/ns/leases';
const lostConnection = () => new KubeError('connection lost', {status: 0});

/** The API server's rules for one Lease, in memory. */
function createLeaseServer(clock: Clock) {
  let lease: Lease | undefined;
  let version = 0;
  const store = (body: unknown): Lease => {
    version += 1;
    const given = structuredClone(body) as Lease;
    lease = {...given, metadata: {...given.metadata, resourceVersion: `${version}`}};
    return structuredClone(lease);
  };
  const answer = ({method, body}: KubeRequest): unknown => {
    if (method === 'POST') {
      if (lease !== undefined) throw new KubeError('exists', {status: 409, reason: 'AlreadyExists'});
      return store(body);
    }
    if (lease === undefined) throw new KubeError('not found', {status: 404, reason: 'NotFound'});
    if (method === 'GET') return structuredClone(lease);
    const {metadata} = body as Lease;
    if (metadata.resourceVersion !== lease.metadata.resourceVersion)
      throw new KubeError('conflict', {status: 409, reason: 'Conflict'});
    return store(body);
  };
  const carry = async (request: KubeRequest, fate: Fate): Promise<unknown> => {
    if (fate === 'Silent') return new Promise(() => {});
    if (fate === 'Lost') throw lostConnection();
    if (typeof fate === 'number') await new Promise<void>((resolve) => void clock.after(fate, resolve));
    const body = answer(request);
    if (fate === 'AnswerLost') throw lostConnection();
    return body;
  };
  const createClient = (fateOf: (request: KubeRequest) => Fate): KubeClient & {requests: string[]} => {
    const requests: string[] = [];
    return {
      requests,
      request(request) {
        requests.push(request.method);
        const expected = request.method === 'POST' ? collection : `${collection}/operator`;
        if (request.path !== expected) throw new Error(`asked for ${request.path}`);
        return carry(request, fateOf(request));
      },
      stream: () => {
        throw new Error('not asked for');
      },
      close: () => Promise.resolve(),
    };
  };
  return {
    createClient,
    get spec() {
      return lease?.spec;
    },
    get lease() {
      return lease;
    },
    /** Someone else writes it. */
    change(spec: Spec, labels?: Record<string, string>) {
      store({metadata: {name: 'operator', ...(labels && {labels})}, spec: {...lease?.spec, ...spec}});
    },
    delete() {
      lease = undefined;
    },
  };
}

const wallClockStart = Date.UTC(2030, 0, 1);

type Member = {elector: Elector; events: string[]; requests: string[]; fates: Fate[]; fate: Fate; logged: string[]};

function start() {
  const clock = createFakeClock(0);
  const server = createLeaseServer(clock);
  const join = (identity: string, changes: Partial<ElectorSettings> = {}): Member => {
    const member = {events: [], fates: [], fate: 'Answered', logged: []} as unknown as Member;
    const client = server.createClient(() => member.fates.shift() ?? member.fate);
    const log = (message: string) => void member.logged.push(message);
    const elector = createElector({
      client,
      namespace: 'ns',
      name: 'operator',
      identity,
      clock,
      wallClock: () => new Date(wallClockStart + clock.now()),
      random: () => 0,
      onElected: () => void member.events.push('elected'),
      onLost: (reason) => void member.events.push(reason),
      log: {info: log, warn: log},
      ...changes,
    });
    return Object.assign(member, {elector, requests: client.requests});
  };
  /** In steps, so that what was promised in between is done in between. */
  const pass = async (ms: number, each = () => {}): Promise<void> => {
    for (let left = ms; left > 0; left -= 100) {
      await clock.advance(Math.min(left, 100));
      each();
    }
  };
  const enter = async (
    identity: string,
    changes: Partial<ElectorSettings> = {},
    fates: Fate[] = [],
  ): Promise<Member> => {
    const member = join(identity, changes);
    member.fates = fates;
    member.elector.start();
    await clock.advance(0);
    return member;
  };
  return {clock, server, join, enter, pass};
}

const at = (ms: number): string => microTime(new Date(wallClockStart + ms));

describe('microTime', () => {
  it('has six digits, without which the API server refuses it', () => {
    expect(microTime(new Date(Date.UTC(2030, 11, 31, 23, 59, 59, 7)))).toBe('2030-12-31T23:59:59.007000Z');
  });
});

describe('the elector', () => {
  describe('alone', () => {
    it('makes the lease and leads', async () => {
      const {server, enter} = start();
      const a = await enter('a');
      expect(a.events).toEqual(['elected']);
      expect(a.elector.isLeader()).toBe(true);
      expect(a.elector.holder()).toBe('a');
      expect(server.lease).toEqual({
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: {name: 'operator', namespace: 'ns', resourceVersion: '1'},
        spec: {
          holderIdentity: 'a',
          leaseDurationSeconds: 15,
          leaseTransitions: 0,
          acquireTime: at(0),
          renewTime: at(0),
        },
      });
    });

    it('renews it every 2 s with one request, and keeps when it was won', async () => {
      const {server, enter, pass} = start();
      const a = await enter('a');
      await pass(20_000);
      expect(a.requests).toEqual(['GET', 'POST', ...Array.from({length: 10}, () => 'PUT')]);
      expect(server.spec).toMatchObject({acquireTime: at(0), renewTime: at(20_000), leaseTransitions: 0});
      expect(a.events).toEqual(['elected']);
    });

    it('leaves alone what others have put on the lease', async () => {
      const {server, enter, pass} = start();
      server.change({holderIdentity: '', strategy: 'OldestEmulationVersion'}, {team: 'a'});
      await enter('a');
      await pass(2_000);
      expect(server.lease?.metadata.labels).toEqual({team: 'a'});
      expect(server.spec).toMatchObject({
        holderIdentity: 'a',
        strategy: 'OldestEmulationVersion',
        renewTime: at(2_000),
      });
    });

    it('rounds the duration that it writes up to a second', async () => {
      const {server, enter} = start();
      await enter('a', {leaseDurationMs: 1_001, renewDeadlineMs: 700, retryPeriodMs: 200});
      expect(server.spec).toMatchObject({leaseDurationSeconds: 2});
    });

    for (const [title, times] of Object.entries({
      'lease not longer than deadline': {leaseDurationMs: 10_000},
      'deadline not longer than a retry with its jitter': {renewDeadlineMs: 2_400},
      'no retry period': {retryPeriodMs: 0},
    }))
      it(`refuses times with which two could lead: ${title}`, () => {
        const {join} = start();
        expect(() => join('a', times)).toThrow('must be greater than');
      });
  });

  describe('that does not hold the lease', () => {
    it('waits as long as the holder renews', async () => {
      const {enter, pass} = start();
      const a = await enter('a');
      const b = await enter('b');
      await pass(120_000, () => expect(b.elector.isLeader()).toBe(false));
      expect(b.events).toEqual([]);
      expect(b.elector.holder()).toBe('a');
      expect(new Set(b.requests)).toEqual(new Set(['GET']));
      expect(a.events).toEqual(['elected']);
    });

    for (const [title, renewTime] of [
      ['an hour ago', -3_600_000],
      ['in an hour', 3_600_000],
    ] as const)
      it(`takes it over when it saw no change for the lease's duration, though the holder renewed it ${title} by its own clock`, async () => {
        const {clock, server, enter, pass} = start();
        server.change({
          holderIdentity: 'gone',
          leaseDurationSeconds: 15,
          leaseTransitions: 6,
          renewTime: at(renewTime),
        });
        const b = await enter('b');
        await pass(14_900);
        expect(b.events).toEqual([]);
        await pass(2_000);
        expect(b.events).toEqual(['elected']);
        expect(clock.now()).toBe(16_900); // looked at 14 s and at 16 s
        expect(server.spec).toMatchObject({
          holderIdentity: 'b',
          leaseTransitions: 7,
          acquireTime: at(16_000),
          renewTime: at(16_000),
        });
      });

    it('starts to count anew with every change', async () => {
      const {server, enter, pass} = start();
      server.change({holderIdentity: 'x', leaseDurationSeconds: 15, renewTime: at(0)});
      const b = await enter('b');
      await pass(13_000);
      server.change({renewTime: at(1)});
      await pass(15_900); // seen at 14 s
      expect(b.events).toEqual([]);
      await pass(2_000);
      expect(b.events).toEqual(['elected']);
    });

    it("does not count a change that is not the record's", async () => {
      const {server, enter, pass} = start();
      server.change({holderIdentity: 'x', leaseDurationSeconds: 15});
      const b = await enter('b');
      await pass(13_000);
      server.change({}, {team: 'a'});
      await pass(3_000);
      expect(b.events).toEqual(['elected']);
    });

    it('goes by the duration that the holder wrote', async () => {
      const {server, enter, pass} = start();
      server.change({holderIdentity: 'x', leaseDurationSeconds: 60});
      const b = await enter('b');
      await pass(59_000);
      expect(b.events).toEqual([]);
      await pass(2_000);
      expect(b.events).toEqual(['elected']);
    });

    it('goes by its own duration where the holder wrote none', async () => {
      const {server, enter, pass} = start();
      server.change({holderIdentity: 'x'});
      const b = await enter('b');
      await pass(14_900);
      expect(b.events).toEqual([]);
      await pass(2_000);
      expect(b.events).toEqual(['elected']);
    });

    it('does not take what someone took a moment before', async () => {
      const {clock, server, enter, pass} = start();
      server.change({holderIdentity: ''});
      const c = await enter('c', {}, ['Answered', 100]);
      await clock.advance(50);
      server.change({holderIdentity: 'faster', leaseDurationSeconds: 15});
      await pass(3_000);
      expect(c.events).toEqual([]);
      expect(c.elector.holder()).toBe('faster');
      expect(c.logged).toEqual(['the lease has a new holder']); // a conflict is no fault
    });

    it('spreads its tries', async () => {
      const {server, enter, pass} = start();
      server.change({holderIdentity: 'x', leaseDurationSeconds: 3_600});
      const b = await enter('b', {random: () => 0.5});
      await pass(32_000); // every 3.2 s
      expect(b.requests).toHaveLength(11);
    });

    it('waits for a lease that was deleted: its holder has not heard of it yet', async () => {
      const {server, enter, pass} = start();
      const a = await enter('a');
      const b = await enter('b');
      await pass(1_900);
      server.delete();
      a.fate = 'Silent';
      await pass(13_000, () => expect(b.events).toEqual([]));
      expect(a.events).toEqual(['elected', 'RenewDeadlineExceeded']);
      await pass(4_000);
      expect(b.events).toEqual(['elected']);
    });

    it('goes on asking when it gets no answer', async () => {
      const {enter, pass} = start();
      const b = await enter('b', {}, ['Lost', 'Silent']);
      await pass(2_000 + 5_000 + 2_000);
      expect(b.events).toEqual(['elected']);
      expect(b.logged).toEqual([
        'no answer about the lease',
        'no answer about the lease',
        'the lease has a new holder',
        'holds the lease',
      ]);
    });
  });

  describe('that leads', () => {
    for (const [title, fates] of [
      ['broken connections', ['Lost', 'Lost', 'AnswerLost']],
      ['a silence', ['Silent']],
      ['slow answers', [3_900, 3_900]],
    ] as const)
      it(`leads on through ${title} that end before its deadline`, async () => {
        const {server, enter, pass} = start();
        const a = await enter('a', {}, ['Answered', 'Answered', ...fates]);
        await pass(30_000);
        expect(a.events).toEqual(['elected']);
        expect(server.spec).toMatchObject({leaseTransitions: 0, acquireTime: at(0)});
      });

    it('has lost it when it could not renew in time, counted from before it last asked', async () => {
      const {enter, pass} = start();
      const a = await enter('a');
      a.fates = [1_500]; // asked at 2 s, answered at 3.5 s
      a.fate = 'Lost';
      await pass(11_900);
      expect(a.events).toEqual(['elected']);
      expect(a.elector.isLeader()).toBe(true);
      await pass(100);
      expect(a.events).toEqual(['elected', 'RenewDeadlineExceeded']);
      expect(a.elector.isLeader()).toBe(false);
    });

    it('has lost it by the same time when the API server is silent', async () => {
      const {enter, pass} = start();
      const a = await enter('a');
      a.fate = 'Silent';
      await pass(9_900);
      expect(a.events).toEqual(['elected']);
      await pass(100);
      expect(a.events).toEqual(['elected', 'RenewDeadlineExceeded']);
    });

    it('no longer leads by the clock, even if no timer could tell', async () => {
      const {clock, enter} = start();
      let frozenMs = 0;
      const a = await enter('a', {clock: {...clock, now: () => clock.now() + frozenMs}});
      frozenMs = 9_999;
      expect(a.elector.isLeader()).toBe(true);
      frozenMs = 10_000;
      expect(a.elector.isLeader()).toBe(false);
    });

    it('does not believe an answer that comes after its time', async () => {
      const {clock, enter} = start();
      let frozenMs = 0;
      const frozen: Clock = {...clock, now: () => clock.now() + frozenMs};
      const a = await enter('a', {clock: frozen}, ['Answered', 100]);
      await clock.advance(50);
      frozenMs = 60_000;
      await clock.advance(50);
      expect(a.events).toEqual([]);
      await clock.advance(2_000);
      expect(a.events).toEqual(['elected']);
    });

    it('has lost it when it sees another holder', async () => {
      const {server, enter, pass} = start();
      const a = await enter('a');
      server.change({holderIdentity: 'x'});
      await pass(2_000);
      expect(a.events).toEqual(['elected', 'AnotherHolder']);
      expect(a.elector.isLeader()).toBe(false);
      expect(a.elector.holder()).toBe('x');
    });

    it('makes the lease again if it was deleted', async () => {
      const {server, enter, pass} = start();
      const a = await enter('a');
      server.delete();
      await pass(2_000);
      expect(a.events).toEqual(['elected']);
      expect(server.spec).toMatchObject({holderIdentity: 'a'});
    });

    it('competes again after a loss, once what it had to stop has stopped', async () => {
      const {enter, pass} = start();
      const events: string[] = [];
      let ended = () => {};
      const stopWork = (reason: string) => {
        events.push(reason);
        return new Promise<void>((resolve) => {
          ended = resolve;
        });
      };
      const a = await enter('a', {onLost: stopWork});
      a.fate = 'Silent';
      await pass(10_000);
      a.fate = 'Answered';
      const before = a.requests.length;
      await pass(30_000);
      expect(events).toEqual(['RenewDeadlineExceeded']);
      expect(a.requests).toHaveLength(before);
      ended();
      await pass(100);
      expect(a.events).toEqual(['elected', 'elected']);
    });

    it('is not elected by the answer to what it asked before its loss', async () => {
      const {server, clock, enter, pass} = start();
      const a = await enter('a', {onLost: () => new Promise(() => {})});
      a.fate = 'Lost';
      await pass(8_100);
      a.fate = 2_000; // asked at 10 s, the moment of the loss
      await pass(10_000);
      expect(clock.now()).toBe(18_100);
      expect(a.events).toEqual(['elected']);
      expect(a.elector.isLeader()).toBe(false);
      expect(server.spec).toMatchObject({holderIdentity: 'a'});
    });
  });

  describe('stop', () => {
    it('gives the lease up, so that the next one takes it with its next try', async () => {
      const {server, enter, pass} = start();
      const a = await enter('a');
      const b = await enter('b');
      await pass(5_000);
      await a.elector.stop();
      expect(server.spec).toMatchObject({holderIdentity: '', leaseDurationSeconds: 1, leaseTransitions: 0});
      expect(a.elector.isLeader()).toBe(false);
      expect(a.events).toEqual(['elected']);
      await pass(2_000);
      expect(b.events).toEqual(['elected']);
      expect(server.spec).toMatchObject({holderIdentity: 'b', leaseDurationSeconds: 15, leaseTransitions: 1});
    });

    it('ends all requests and timers', async () => {
      const {clock, enter, pass} = start();
      const a = await enter('a');
      await Promise.all([a.elector.stop(), a.elector.stop()]);
      const before = a.requests.length;
      await pass(60_000);
      expect(a.requests).toHaveLength(before);
      expect(a.requests.filter((method) => method === 'PUT')).toHaveLength(1);
      expect(clock.pending).toBe(0);
    });

    it('gives up a lease that was changed since', async () => {
      const {server, enter} = start();
      const a = await enter('a');
      server.change({}, {team: 'a'});
      await a.elector.stop();
      expect(server.lease).toMatchObject({metadata: {labels: {team: 'a'}}, spec: {holderIdentity: ''}});
    });

    it("leaves another's lease alone", async () => {
      const {server, enter} = start();
      const a = await enter('a');
      server.change({holderIdentity: 'x'});
      const b = await enter('b');
      await a.elector.stop();
      await b.elector.stop();
      expect(server.spec).toMatchObject({holderIdentity: 'x'});
      expect(b.requests).toEqual(['GET']);
    });

    it('waits for what it has asked, and gives up what that won', async () => {
      const {server, clock, enter} = start();
      const a = await enter('a', {}, ['Answered', 100]);
      await clock.advance(50);
      const stopping = a.elector.stop();
      await clock.advance(50);
      await stopping;
      expect(a.events).toEqual([]);
      expect(server.spec).toMatchObject({holderIdentity: ''});
    });

    it('ends within the renew deadline when the API server is silent', async () => {
      const {clock, enter, pass} = start();
      const a = await enter('a');
      a.fate = 'Silent';
      await pass(2_000);
      let endedAt: number | undefined;
      void a.elector.stop().then(() => {
        endedAt = clock.now();
      });
      await pass(20_000);
      expect(endedAt).toBe(12_000);
      expect(a.logged).toContain('could not release the lease');
      expect(clock.pending).toBe(0);
    });

    it('may be asked for by what ends after a loss, and then gives up what is still in its name', async () => {
      const {server, clock, enter, pass} = start();
      const a: Member = await enter('a', {
        async onLost(reason) {
          a.events.push(reason);
          await new Promise<void>((resolve) => void clock.after(1_000, resolve));
          await a.elector.stop();
          a.events.push('stopped');
        },
      });
      a.fate = 'Lost';
      await pass(10_500);
      a.fate = 'Answered';
      await pass(1_000);
      expect(a.events).toEqual(['elected', 'RenewDeadlineExceeded', 'stopped']);
      expect(server.spec).toMatchObject({holderIdentity: ''});
      expect(clock.pending).toBe(0);
    });

    it('may be asked for within the loss', async () => {
      const {server, clock, enter, pass} = start();
      const a: Member = await enter('a', {onLost: () => a.elector.stop()});
      server.change({holderIdentity: 'x'});
      await pass(10_000);
      expect(a.requests).toEqual(['GET', 'POST', 'PUT', 'GET']);
      expect(clock.pending).toBe(0);
    });

    it('asks for nothing if it never started', async () => {
      const {join} = start();
      const a = join('a');
      await a.elector.stop();
      expect(a.requests).toEqual([]);
    });
  });

  // Numerical Recipes' generator: every run the same
  const chance = (seed: number) => () => {
    seed = (seed * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return seed / 2 ** 32;
  };

  it('never leads beside another, whatever becomes of requests', async () => {
    let mostAtOnce = 0;
    let changes = 0;
    for (let seed = 1; seed <= 8; seed += 1) {
      const {join, pass} = start();
      const random = chance(seed);
      const fate = (): Fate => {
        const dice = random();
        if (dice < 0.6) return 'Answered';
        if (dice < 0.8) return Math.floor(random() * 12_000);
        return (['Silent', 'Lost', 'AnswerLost'] as const)[Math.floor(random() * 3)] ?? 'Lost';
      };
      const members = ['a', 'b', 'c', 'd', 'e'].map((identity) => {
        const member = join(identity, {random});
        Object.defineProperty(member, 'fate', {get: fate});
        member.elector.start();
        return member;
      });
      let last: Member | undefined;
      await pass(900_000, () => {
        const leaders = members.filter(({elector}) => elector.isLeader());
        mostAtOnce = Math.max(mostAtOnce, leaders.length);
        if (leaders[0] !== undefined && leaders[0] !== last) changes += 1;
        last = leaders[0] ?? last;
      });
    }
    expect(mostAtOnce).toBe(1);
    expect(changes).toBeGreaterThan(8); // or it would prove nothing
  });
});
