import {afterEach, describe, expect, it} from '@jest/globals';
import {startSimulator, type BehaviourInput, type Simulator} from '../../simulator/index.ts';
import {createFakeClock, type FakeClock} from '../fake-clock.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, startUpstream} from './harness.ts';
import {errorOf, patientBreaker, podsBackend, podsOf, startLadder} from './ladder.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const broken: BehaviourInput = {do: 'status', status: 503};
const circuitBreaker = patientBreaker;
const asked = (...upstreams: Simulator[]): number[] => upstreams.map((upstream) => upstream.requests().length);

/** Lets time pass until it has happened. */
const passTime = (clock: FakeClock, condition: () => boolean, what: string): Promise<void> =>
  until(async () => {
    await clock.advance(5);
    return condition();
  }, what);

/** A pod set of its own kind of failure each, and a rung behind it. */
async function startPods(behaviours: (BehaviourInput | undefined)[], spec: object = {}) {
  const pods: Simulator[] = [];
  for (const behaviour of behaviours) {
    const pod = await keep(startUpstream({name: 'pod'}));
    if (behaviour !== undefined) pod.behave(behaviour);
    pods.push(pod);
  }
  const cloud = await keep(startUpstream({name: 'cloud'}));
  const proxy = await keep(
    startHarness({
      routes: {
        backends: [podsBackend(pods), {name: 'cloud', url: cloud.url, priority: 1}],
        circuitBreaker,
        loadBalancing: {strategy: 'RoundRobin'},
        ...spec,
      },
      slices: podsOf(pods),
      clock: createFakeClock(), // stands still: nothing here may wait
    }),
  );
  return {pods, cloud, proxy};
}

describe('on its own rung a request is retried', () => {
  it('at once on another endpoint', async () => {
    const {pods, cloud, proxy} = await startPods([broken, undefined]);
    const response = await post(proxy.url, chatBody());
    expect(response.status).toBe(200);
    expect(response.headers.get('x-modelroute-backend')).toBe('pods');
    expect(response.headers.get('x-modelroute-attempts')).toBe('2');
    expect(asked(...pods, cloud)).toEqual([1, 1, 0]);
  });

  it('once at most, however many endpoints it has', async () => {
    const {pods, proxy} = await startPods([broken, broken, broken, broken]);
    const response = await post(proxy.url, chatBody());
    expect(response.headers.get('x-modelroute-backend')).toBe('cloud');
    expect(response.headers.get('x-modelroute-attempts')).toBe('3');
    expect(asked(...pods).toSorted((a, b) => a - b)).toEqual([0, 0, 1, 1]);
  });

  it('on the same endpoint after a jittered back-off', async () => {
    const clock = createFakeClock();
    const {proxy, upstreams} = await startLadder(keep, [{name: 'local'}], {
      clock,
      random: () => 0.9,
      spec: {circuitBreaker},
    });
    const times: number[] = [];
    upstreams[0]?.behave(() => {
      times.push(clock.now());
      return times.length === 1 ? broken : undefined;
    });
    const asking = post(proxy.url, chatBody());
    await until(() => times.length === 1, 'the first try');
    await passTime(clock, () => times.length === 2, 'the second try');
    const response = await asking;
    expect(response.status).toBe(200);
    expect(response.headers.get('x-modelroute-attempts')).toBe('2');
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(90);
  });

  it('on the same endpoint once its Retry-After has passed, if that is within maxWait', async () => {
    const clock = createFakeClock();
    const {proxy, upstreams} = await startLadder(keep, [{name: 'local'}, {name: 'cloud'}], {
      clock,
      spec: {circuitBreaker, retry: {maxWait: '2s'}},
    });
    const times: number[] = [];
    upstreams[0]?.behave(() => {
      times.push(clock.now());
      return times.length === 1 ? {do: 'status', status: 429, headers: {'retry-after': '2'}} : undefined;
    });
    const asking = post(proxy.url, chatBody());
    await until(() => times.length === 1, 'the first try');
    await passTime(clock, () => times.length === 2, 'the second try');
    expect((await asking).headers.get('x-modelroute-backend')).toBe('local');
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(2_000);
  });
});

describe('the next rung is tried at once', () => {
  it.each<[why: string, behaviour: BehaviourInput]>([
    ['the Retry-After is longer than maxWait', {do: 'status', status: 429, headers: {'retry-after': '3'}}],
    ['the reply makes no sense', {do: 'notJson'}],
    ['the credential is refused', {do: 'status', status: 401}],
  ])('where %s', async (_, behaviour) => {
    const {proxy, upstreams} = await startLadder(keep, [{name: 'local', behaves: behaviour}, {name: 'cloud'}], {
      clock: createFakeClock(),
      spec: {circuitBreaker},
    });
    const response = await post(proxy.url, chatBody());
    expect(response.headers.get('x-modelroute-backend')).toBe('cloud');
    expect(asked(...upstreams)).toEqual([1, 1]);
  });

  it('where nothing listens', async () => {
    const gone = await startUpstream();
    await gone.close();
    const {proxy} = await startLadder(keep, [{name: 'local', backend: {url: gone.url}}, {name: 'cloud'}], {
      clock: createFakeClock(),
      spec: {circuitBreaker},
    });
    expect((await post(proxy.url, chatBody())).headers.get('x-modelroute-backend')).toBe('cloud');
  });

  it('where the failure has opened the breaker', async () => {
    const {proxy, upstreams} = await startLadder(keep, [{name: 'local', behaves: broken}, {name: 'cloud'}], {
      clock: createFakeClock(),
      spec: {circuitBreaker: {consecutiveFailures: 1}},
    });
    expect((await post(proxy.url, chatBody())).headers.get('x-modelroute-backend')).toBe('cloud');
    expect(asked(...upstreams)).toEqual([1, 1]);
  });

  it('where somebody else has taken the last place during the back-off', async () => {
    const clock = createFakeClock();
    const {proxy, upstreams} = await startLadder(
      keep,
      [{name: 'local', backend: {maxConcurrentRequests: 1}}, {name: 'cloud'}],
      {clock, random: () => 0.9, spec: {circuitBreaker}},
    );
    const [local] = upstreams;
    local?.behave(broken, {times: 1});
    local?.behave({do: 'hang'});
    const first = post(proxy.url, chatBody());
    await until(() => local?.requests()[0]?.endedAt !== undefined, 'the first try has failed');
    const second = post(proxy.url, chatBody());
    await until(() => asked(...upstreams)[0] === 2, 'the second request has the place');
    await passTime(clock, () => asked(...upstreams)[1] === 1, 'the next rung');
    expect((await first).headers.get('x-modelroute-backend')).toBe('cloud');
    expect(asked(...upstreams)).toEqual([2, 1]);
    await proxy.close();
    await second.catch(() => {});
  });
});

describe('maxAttempts', () => {
  it('ends retries on a rung, but every rung is still tried once', async () => {
    const names = ['a', 'b', 'c', 'd'];
    const {proxy, upstreams} = await startLadder(
      keep,
      names.map((name) => ({name, behaves: broken})),
      {clock: createFakeClock(), spec: {circuitBreaker, retry: {maxAttempts: 1}}},
    );
    const response = await post(proxy.url, chatBody());
    expect(response.status).toBe(502);
    expect(response.headers.get('x-modelroute-attempts')).toBe('4');
    expect(asked(...upstreams)).toEqual([1, 1, 1, 1]);
  });

  it('counts the tries of all rungs', async () => {
    const {proxy, upstreams} = await startLadder(
      keep,
      ['a', 'b', 'c'].map((name) => ({name, behaves: broken})),
      {random: () => 0, spec: {circuitBreaker, retry: {maxAttempts: 3}}},
    );
    await post(proxy.url, chatBody());
    expect(asked(...upstreams)).toEqual([2, 1, 1]); // with the third try they are used up
  });
});

describe('retryOn', () => {
  it('ends it where a reason is left out, though another rung is free', async () => {
    const {proxy, upstreams} = await startLadder(keep, [{name: 'local', behaves: broken}, {name: 'cloud'}], {
      clock: createFakeClock(),
      spec: {circuitBreaker, retry: {retryOn: ['ConnectFailure']}},
    });
    const response = await post(proxy.url, chatBody());
    expect(response.status).toBe(502);
    expect((await errorOf(response)).message).toContain('local answered 503');
    expect(asked(...upstreams)).toEqual([1, 0]);
  });
});

describe('the retry budget', () => {
  it('ends retries on a rung, and outlives a change of config', async () => {
    const {proxy, upstreams, setup} = await startLadder(keep, [{name: 'local', behaves: broken}], {
      random: () => 0,
      spec: {circuitBreaker, retry: {budgetPercent: 0}},
    });
    const ask = async (times: number): Promise<void> => {
      for (let time = 0; time < times; time += 1) expect((await post(proxy.url, chatBody())).status).toBe(502);
    };
    await ask(15);
    expect(asked(...upstreams)).toEqual([15 + 10]);
    proxy.update(setup);
    await ask(5);
    expect(asked(...upstreams)).toEqual([20 + 10]);
  });

  it('costs nothing to go to another rung', async () => {
    const {proxy, upstreams} = await startLadder(keep, [{name: 'local', behaves: broken}, {name: 'cloud'}], {
      random: () => 0,
      spec: {circuitBreaker, retry: {budgetPercent: 0}},
    });
    for (let request = 0; request < 15; request += 1) expect((await post(proxy.url, chatBody())).status).toBe(200);
    expect(asked(...upstreams)).toEqual([15 + 10, 15]);
  });
});

describe('a connection that went stale', () => {
  it('is no attempt and no failure: a new one is tried', async () => {
    const upstream = await keep(startSimulator({models: ['chat'], tokens: 5}));
    upstream.behave({do: 'closeIdle', onNextRequest: true}, {times: 1});
    const proxy = await keep(
      startHarness({
        routes: {
          backends: [{name: 'local', url: upstream.url}],
          circuitBreaker: {consecutiveFailures: 1},
          retry: {maxAttempts: 1},
        },
      }),
    );
    expect((await post(proxy.url, chatBody())).status).toBe(200);
    const response = await post(proxy.url, chatBody());
    expect(response.status).toBe(200);
    expect(response.headers.get('x-modelroute-attempts')).toBe('1');
    expect(upstream.requests().length).toBe(3);
  });
});
