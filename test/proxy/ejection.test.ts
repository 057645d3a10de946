import {afterEach, describe, expect, it} from '@jest/globals';
import type {CircuitBreaker} from '../../operator/api/generated.ts';
import type {Simulator} from '../../simulator/index.ts';
import {createFakeClock} from '../fake-clock.ts';
import {chatBody, keeper, post, startHarness, startUpstream, type Harness, type Setup} from './harness.ts';
import {liveView, podsBackend, podsOf} from './ladder.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const policy: CircuitBreaker = {consecutiveFailures: 2, minRequests: 1_000, openDuration: '5s', maxOpenDuration: '20s'};

async function startPods(count: number, circuitBreaker: CircuitBreaker = policy) {
  const clock = createFakeClock();
  const pods = await Promise.all(Array.from({length: count}, () => keep(startUpstream())));
  const cloud = await keep(startUpstream({name: 'cloud'}));
  const setup = (some: Simulator[] = pods, changed = circuitBreaker): Setup => ({
    routes: {
      backends: [podsBackend(pods), {name: 'cloud', url: cloud.url, priority: 1}],
      circuitBreaker: changed,
      loadBalancing: {strategy: 'RoundRobin'},
    },
    slices: podsOf(some),
    clock,
  });
  return {clock, pods, cloud, setup, proxy: await keep(startHarness(setup()))};
}

const ask = async (proxy: Harness, times: number): Promise<void> => {
  for (let time = 0; time < times; time += 1) expect((await post(proxy.url, chatBody())).status).toBe(200);
};

const ejectedPorts = async (proxy: Harness): Promise<number[]> =>
  (await liveView(proxy, 'pods')).endpoints
    .filter(({ejected}) => ejected)
    .map(({address}) => Number(address.split(':')[1]));

const broken = {do: 'status', status: 500} as const;

describe('an endpoint that fails', () => {
  it('is left out for openDuration, while the others serve and the breaker stays closed', async () => {
    const {clock, pods, cloud, proxy} = await startPods(3);
    pods[1]?.behave(broken);
    await ask(proxy, 9);
    expect(await ejectedPorts(proxy)).toEqual([pods[1]?.port]);
    expect(pods[1]?.requests().length).toBe(2);
    expect((await liveView(proxy, 'pods')).breaker).toBe('Closed');
    expect(cloud.requests()).toEqual([]);

    pods[1]?.behave({do: 'answer'});
    await clock.advance(4_999);
    await ask(proxy, 4);
    expect(pods[1]?.requests().length).toBe(2);
    await clock.advance(1);
    await ask(proxy, 3);
    expect(pods[1]?.requests().length).toBe(3);
  });

  it.each([
    ['2 of 4 at 50 %', 4, 50, 2],
    ['1 of 3 at 50 %, rounded down', 3, 50, 1],
    ['none of 3 at 30 %', 3, 30, 0],
  ])('is left out only as far as maxEjectionPercent allows: %s', async (_, count, maxEjectionPercent, most) => {
    // In turn, all but the last fail: too few in a row for the breaker, enough for each endpoint after so many rounds.
    const {pods, proxy} = await startPods(count, {...policy, consecutiveFailures: count + 2, maxEjectionPercent});
    for (const pod of pods.slice(0, -1)) pod.behave({do: 'status', status: 401});
    await ask(proxy, 3 * count * (count + 2));
    expect((await liveView(proxy, 'pods')).breaker).toBe('Closed');
    expect((await ejectedPorts(proxy)).length).toBe(most);
  });

  it('is never left out where it is the only one: its breaker opens', async () => {
    const {pods, proxy} = await startPods(1, {...policy, maxEjectionPercent: 100});
    pods[0]?.behave({do: 'notJson'});
    await ask(proxy, 2); // from the next rung
    expect(await ejectedPorts(proxy)).toEqual([]);
    expect((await liveView(proxy, 'pods')).breaker).toBe('Open');
  });
});

describe('a change of config', () => {
  it('takes ejections along, with the thresholds of the new policy', async () => {
    const {pods, proxy, setup} = await startPods(4);
    pods[0]?.behave(broken);
    await ask(proxy, 8);
    expect(await ejectedPorts(proxy)).toEqual([pods[0]?.port]);
    proxy.update(setup(pods, {...policy, consecutiveFailures: 3}));
    expect(await ejectedPorts(proxy)).toEqual([pods[0]?.port]);

    pods[1]?.reset();
    pods[1]?.behave(broken, {times: 2});
    await ask(proxy, 12);
    expect(pods[1]?.requests().length).toBeGreaterThan(2); // two failures are no longer enough
    expect(await ejectedPorts(proxy)).toEqual([pods[0]?.port]);
  });

  it('that leaves one endpoint leaves none ejected', async () => {
    const {pods, proxy, setup} = await startPods(2);
    pods[0]?.behave(broken);
    await ask(proxy, 4);
    expect(await ejectedPorts(proxy)).toEqual([pods[0]?.port]);
    proxy.update(setup(pods.slice(0, 1)));
    expect(await ejectedPorts(proxy)).toEqual([]);
  });
});
