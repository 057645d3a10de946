import {afterEach, describe, expect, it} from '@jest/globals';
import type {Backend, ModelRouteSpec} from '../../operator/api/generated.ts';
import {chatBody, keeper, post, startHarness, startUpstream, type Harness} from './harness.ts';
import {errorOf, patientBreaker, podsBackend, podsOf} from './ladder.ts';
import type {Simulator} from '../../simulator/index.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

/** mulberry32: the same numbers in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

type Wanted = Partial<Backend> & {name: string};

async function start(wanted: Wanted[], spec: Partial<ModelRouteSpec> = {}) {
  const upstreams = new Map<string, Simulator>();
  const backends: Backend[] = [];
  for (const backend of wanted) {
    const upstream = await keep(startUpstream({name: backend.name}));
    upstreams.set(backend.name, upstream);
    backends.push({url: upstream.url, ...backend});
  }
  const proxy = await keep(
    startHarness({routes: {backends, circuitBreaker: patientBreaker, ...spec}, random: seeded(7)}),
  );
  return {proxy, upstreams};
}

async function shares(proxy: Harness, requests: number): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (let request = 0; request < requests; request += 1) {
    const response = await post(proxy.url, chatBody());
    await response.arrayBuffer();
    const name = response.headers.get('x-modelroute-backend') ?? String(response.status);
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

describe('priority', () => {
  it('orders the rungs, whatever the order of the backends', async () => {
    const {proxy, upstreams} = await start([
      {name: 'last', priority: 20},
      {name: 'first'},
      {name: 'second', priority: 3},
    ]);
    expect(await shares(proxy, 3)).toEqual({first: 3});
    upstreams.get('first')?.behave({do: 'status', status: 401});
    expect(await shares(proxy, 3)).toEqual({second: 3});
    upstreams.get('second')?.behave({do: 'status', status: 401});
    expect(await shares(proxy, 3)).toEqual({last: 3});
  });
});

describe('weight', () => {
  it('of 90 to 10 shares the requests of a rung like that', async () => {
    const {proxy} = await start([
      {name: 'stable', weight: 90},
      {name: 'canary', weight: 10},
    ]);
    const {stable = 0, canary = 0} = await shares(proxy, 300);
    expect(stable + canary).toBe(300);
    expect(canary).toBeGreaterThan(15);
    expect(canary).toBeLessThan(45);
  });

  it('is kept exactly by RoundRobin on a rung that takes over', async () => {
    const {proxy, upstreams} = await start(
      [{name: 'down'}, {name: 'three', priority: 1, weight: 3}, {name: 'one', priority: 1, weight: 1}],
      {loadBalancing: {strategy: 'RoundRobin'}, circuitBreaker: patientBreaker},
    );
    upstreams.get('down')?.behave({do: 'status', status: 401});
    expect(await shares(proxy, 8)).toEqual({three: 6, one: 2});
  });

  it('is kept exactly by RoundRobin over changes of config', async () => {
    const upstreams = [await keep(startUpstream()), await keep(startUpstream())];
    const setup = {
      routes: {
        backends: upstreams.map(({url}, index) => ({name: `b${index}`, url, weight: index === 0 ? 3 : 1})),
        loadBalancing: {strategy: 'RoundRobin' as const},
      },
    };
    const proxy = await keep(startHarness(setup));
    const counts: Record<string, number> = {};
    for (let round = 0; round < 20; round += 1) {
      proxy.update(setup);
      for (const [name, count] of Object.entries(await shares(proxy, 1))) counts[name] = (counts[name] ?? 0) + count;
    }
    expect(counts).toEqual({b0: 15, b1: 5});
  });

  it('is the backend’s, however many endpoints it has', async () => {
    const pods = await Promise.all(Array.from({length: 4}, () => keep(startUpstream())));
    const canary = await keep(startUpstream());
    const proxy = await keep(
      startHarness({
        routes: {
          backends: [podsBackend(pods, {weight: 1}), {name: 'canary', url: canary.url, weight: 1}],
          loadBalancing: {strategy: 'RoundRobin'},
        },
        slices: podsOf(pods),
      }),
    );
    expect(await shares(proxy, 16)).toEqual({pods: 8, canary: 8});
    expect(pods.map((pod) => pod.requests().length)).toEqual([2, 2, 2, 2]);
  });

  it('of 0 gets nothing, even when the others fail', async () => {
    const {proxy, upstreams} = await start([{name: 'live'}, {name: 'parked', weight: 0}]);
    expect(await shares(proxy, 10)).toEqual({live: 10});
    upstreams.get('live')?.behave({do: 'status', status: 401});
    expect(await shares(proxy, 3)).toEqual({live: 3}); // whose error it is
    expect(upstreams.get('parked')?.requests()).toEqual([]);
  });

  it('of 0 everywhere leaves nobody to take a request', async () => {
    const {proxy} = await start([{name: 'parked', weight: 0}]);
    const response = await post(proxy.url, chatBody());
    expect(response.status).toBe(503);
    expect((await errorOf(response)).code).toBe('no_backend_available');
  });
});

describe('a rung without endpoints', () => {
  it('is passed over', async () => {
    const cloud = await keep(startUpstream({name: 'cloud'}));
    const proxy = await keep(
      startHarness({
        routes: {backends: [podsBackend([{port: 8000}]), {name: 'cloud', url: cloud.url, priority: 1}]},
        slices: podsOf([{port: 8000}]).map((slice) => ({...slice, endpoints: []})),
      }),
    );
    expect(await shares(proxy, 2)).toEqual({cloud: 2});
  });
});
