/** Leader election on a real API server, in real time. */
import {afterAll, afterEach, beforeAll, describe, expect, it} from '@jest/globals';
import {createKubeClient, type KubeClient} from '../../kube/client.ts';
import {createElector, type Elector, type ElectorSettings} from '../../kube/lease.ts';
import {systemClock} from '../../proxy/engine/clock.ts';
import {findAssets} from '../api-server/assets.ts';
import {type ApiServer, startApiServer} from '../api-server/start.ts';
import {until} from '../until.ts';

type Lease = {spec: {holderIdentity?: string; leaseTransitions: number; acquireTime: string; renewTime: string}};

type Member = {elector: Elector; elections: number; losses: string[]; warnings: string[]; silent: boolean};

const assets = findAssets((line) => process.stderr.write(line));
const describeWithServer = assets === undefined ? describe.skip : describe;

describeWithServer('electors on a real API server', () => {
  let server: ApiServer;
  const clients: KubeClient[] = [];
  let members: Member[] = [];

  beforeAll(async () => {
    server = await startApiServer(assets ?? '');
  }, 120_000);

  afterEach(async () => {
    for (const member of members) member.silent = false;
    await Promise.all(members.map(({elector}) => elector.stop()));
    await Promise.all(clients.splice(0).map((client) => client.close()));
    members = [];
  });

  afterAll(() => server.stop());

  const path = (name: string) => `/apis/coordination.k8s.io/v1/namespaces/default/leases/${name}`;
  const lease = async (name: string) => (await server.request('GET', path(name))).body as Lease;

  const enter = (name: string, identity: string, times: Partial<ElectorSettings> = {}): Member => {
    const {url, ca, token} = server;
    const {random} = Math;
    const client = createKubeClient({config: {server: url, caFile: ca, token}, clock: systemClock, random});
    clients.push(client);
    const member: Omit<Member, 'elector'> = {elections: 0, losses: [], warnings: [], silent: false};
    const elector = createElector({
      client: {
        ...client,
        request: (request) => (entered.silent ? new Promise(() => {}) : client.request(request)),
      },
      namespace: 'default',
      name,
      identity,
      clock: systemClock,
      wallClock: () => new Date(),
      random,
      retryPeriodMs: 100,
      ...times,
      onElected() {
        entered.elections += 1;
      },
      onLost: (reason) => void entered.losses.push(reason),
      log: {
        info() {},
        warn: (message, fields) => void entered.warnings.push(`${message} ${JSON.stringify(fields)}`),
      },
    });
    const entered = Object.assign(member, {elector});
    members.push(entered);
    elector.start();
    return entered;
  };

  const leaders = () => members.filter(({elector}) => elector.isLeader());

  /** Never two, however often one looks. */
  const untilOneLeads = async (what: string, isRight: (leader: Member) => boolean): Promise<Member> => {
    let found: Member | undefined;
    await until(
      () => {
        const [leader, ...others] = leaders();
        expect(others).toEqual([]);
        found = leader !== undefined && isRight(leader) ? leader : undefined;
        return found !== undefined;
      },
      what,
      12_000,
    );
    if (found === undefined) throw new Error('bug: nobody leads');
    return found;
  };

  it('makes a lease that the API server takes, and renews it', async () => {
    const a = enter('renewed', 'a');
    await until(() => a.elector.isLeader(), 'a leads');
    const first = (await lease('renewed')).spec;
    expect(first).toMatchObject({holderIdentity: 'a', leaseDurationSeconds: 15, leaseTransitions: 0});
    await until(async () => (await lease('renewed')).spec.renewTime > first.renewTime, 'the lease is renewed');
    expect((await lease('renewed')).spec).toMatchObject({acquireTime: first.acquireTime, leaseTransitions: 0});
    expect(a).toMatchObject({elections: 1, losses: [], warnings: []});
  });

  it('hands over at once when the holder stops', async () => {
    const a = enter('released', 'a');
    await until(() => a.elector.isLeader(), 'a leads');
    const b = enter('released', 'b');
    await until(() => b.elector.holder() === 'a', 'b sees a');
    await a.elector.stop();
    expect(a.warnings).toEqual([]);
    // 15 s are the lease's: until gives up after 5
    await until(() => b.elector.isLeader(), 'b leads');
    expect((await lease('released')).spec).toMatchObject({holderIdentity: 'b', leaseTransitions: 1});
  });

  it('passes on when the holder hears no more of the API server', async () => {
    const times = {leaseDurationMs: 2_000, renewDeadlineMs: 1_500};
    const a = enter('expired', 'a', times);
    await until(() => a.elector.isLeader(), 'a leads');
    const b = enter('expired', 'b', times);
    await until(() => b.elector.holder() === 'a', 'b sees a');
    a.silent = true;
    const before = (await lease('expired')).spec;
    expect(before.holderIdentity).toBe('a');
    await untilOneLeads('b leads', (leader) => leader === b);
    expect(a.losses).toContain('RenewDeadlineExceeded');
    const after = (await lease('expired')).spec;
    expect(after).toMatchObject({holderIdentity: 'b', leaseTransitions: before.leaseTransitions + 1});
    a.silent = false;
    await until(() => a.elector.holder() === 'b', 'a sees b');
    expect(leaders()).toEqual([b]);
  });

  it('has one holder at a time among 20, each after the other', async () => {
    for (let at = 0; at < 20; at += 1) enter('crowd', `member-${at}`);
    const led: Member[] = [];
    while (led.length < 20) {
      const leader = await untilOneLeads('the next leads', (member) => !led.includes(member));
      expect((await lease('crowd')).spec.holderIdentity).toBe(`member-${members.indexOf(leader)}`);
      led.push(leader);
      await leader.elector.stop();
    }
    expect(members.map(({elections}) => elections)).toEqual(Array.from({length: 20}, () => 1));
    expect(members.flatMap(({losses}) => losses)).toEqual([]);
    const {holderIdentity = '', leaseTransitions} = (await lease('crowd')).spec;
    expect({holderIdentity, leaseTransitions}).toEqual({holderIdentity: '', leaseTransitions: 19});
  }, 60_000);
});
