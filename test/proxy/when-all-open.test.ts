import {afterEach, describe, expect, it} from '@jest/globals';
import {chatBody, keeper, post, readEvents, startHarness, startUpstream} from './harness.ts';
import {errorOf, liveView, podsBackend, podsOf, startLadder} from './ladder.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const broken = {do: 'status', status: 503} as const;
const breaker = {consecutiveFailures: 1, openDuration: '30s', maxOpenDuration: '60s'};

/** Two rungs whose breakers are both open. */
async function startOpen(whenAllOpen: 'TryAll' | 'FailFast') {
  const ladder = await startLadder(
    keep,
    [
      {name: 'local', behaves: broken},
      {name: 'cloud', behaves: broken},
    ],
    {spec: {circuitBreaker: {...breaker, whenAllOpen}}},
  );
  expect((await post(ladder.proxy.url, chatBody())).status).toBe(502);
  const breakers = async (): Promise<string[]> =>
    Promise.all(['local', 'cloud'].map(async (name) => (await liveView(ladder.proxy, name)).breaker));
  expect(await breakers()).toEqual(['Open', 'Open']);
  const [local, cloud] = ladder.upstreams;
  if (local === undefined || cloud === undefined) throw new Error('two were started');
  for (const upstream of [local, cloud]) {
    upstream.reset();
    upstream.behave(broken);
  }
  return {proxy: ladder.proxy, local, cloud, breakers};
}

describe('whenAllOpen: TryAll', () => {
  it('gives each rung one try, and no more', async () => {
    const {proxy, local, cloud, breakers} = await startOpen('TryAll');
    const response = await post(proxy.url, chatBody());
    expect(response.status).toBe(502);
    expect(response.headers.get('x-modelroute-attempts')).toBe('2');
    expect([local, cloud].map((upstream) => upstream.requests().length)).toEqual([1, 1]);
    expect(await breakers()).toEqual(['Open', 'Open']);
  });

  it.each([
    ['plain', {}],
    ['streamed', {stream: true}],
  ])('closes the breaker of the one that gives a %s answer', async (_, fields) => {
    const {proxy, cloud, breakers} = await startOpen('TryAll');
    cloud.behave({do: 'answer'});
    const response = await post(proxy.url, chatBody(fields));
    expect(response.status).toBe(200);
    expect(response.headers.get('x-modelroute-backend')).toBe('cloud');
    await readEvents(response);
    expect(await breakers()).toEqual(['Open', 'Closed']);
  });

  it('does not go past a backend that is closed', async () => {
    const {proxy, local, cloud} = await startOpen('TryAll');
    cloud.behave({do: 'answer'});
    await post(proxy.url, chatBody());
    local.behave({do: 'answer'});
    local.reset();
    expect((await post(proxy.url, chatBody())).headers.get('x-modelroute-backend')).toBe('cloud');
    expect(local.requests()).toEqual([]);
  });

  it('tries the last rung, though open, when the closed ones have failed', async () => {
    const {proxy, local, cloud} = await startOpen('TryAll');
    cloud.behave({do: 'answer'});
    await post(proxy.url, chatBody());
    cloud.behave(broken);
    local.behave({do: 'answer'});
    expect((await post(proxy.url, chatBody())).headers.get('x-modelroute-backend')).toBe('local');
  });

  it('tries a backend whose endpoints are all ejected', async () => {
    const pods = [await keep(startUpstream()), await keep(startUpstream())];
    for (const pod of pods) pod.behave(broken);
    const proxy = await keep(
      startHarness({
        routes: {
          backends: [podsBackend(pods)],
          circuitBreaker: {...breaker, consecutiveFailures: 2, maxEjectionPercent: 100},
          loadBalancing: {strategy: 'RoundRobin'},
        },
        slices: podsOf(pods),
      }),
    );
    for (let request = 0; request < 6; request += 1) await post(proxy.url, chatBody());
    expect((await liveView(proxy, 'pods')).endpoints.map(({ejected}) => ejected)).toEqual([true, true]);
    for (const pod of pods) pod.behave({do: 'answer'});
    expect((await post(proxy.url, chatBody())).status).toBe(200);
    expect((await liveView(proxy, 'pods')).endpoints.filter(({ejected}) => ejected)).toHaveLength(1);
  });
});

describe('whenAllOpen: FailFast', () => {
  it('asks nobody and says when to come back', async () => {
    const {proxy, local, cloud} = await startOpen('FailFast');
    const response = await post(proxy.url, chatBody());
    expect(response.status).toBe(503);
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(20);
    expect(Number(response.headers.get('retry-after'))).toBeLessThanOrEqual(30);
    expect(await errorOf(response)).toMatchObject({code: 'no_backend_available', type: 'overloaded_error'});
    expect([local, cloud].flatMap((upstream) => upstream.requests())).toEqual([]);
  });

  it('lets a probe through after openDuration, and closes on its success', async () => {
    const {proxy, upstreams} = await startLadder(keep, [{name: 'local', behaves: broken}], {
      spec: {circuitBreaker: {...breaker, openDuration: '100ms', whenAllOpen: 'FailFast'}, retry: {maxAttempts: 1}},
    });
    expect((await post(proxy.url, chatBody())).status).toBe(502);
    upstreams[0]?.behave({do: 'answer'});
    let last = await post(proxy.url, chatBody());
    const statuses = new Set<number>();
    for (const end = performance.now() + 4_000; last.status !== 200 && performance.now() < end;) {
      statuses.add(last.status);
      last = await post(proxy.url, chatBody());
    }
    expect(last.status).toBe(200);
    expect([...statuses].filter((status) => status !== 503)).toEqual([]);
    expect((await liveView(proxy, 'local')).breaker).toBe('Closed');
  });
});
