import {afterEach, describe, expect, it} from '@jest/globals';
import type {ModelRouteSpec} from '../../operator/api/generated.ts';
import type {Simulator} from '../../simulator/index.ts';
import {createFakeClock, type FakeClock} from '../fake-clock.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, startUpstream, type Harness, type Setup} from './harness.ts';
import {podsBackend, podsOf} from './ladder.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

type Strategy = NonNullable<NonNullable<ModelRouteSpec['loadBalancing']>['strategy']>;

/** A linear congruential generator: the same run every time. */
const seeded = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 4_294_967_296;
  };
};

type Pods = {pods: Simulator[]; proxy: Harness; clock: FakeClock; setup: (some: Simulator[]) => Setup};

async function startPods(strategy: Strategy, count: number): Promise<Pods> {
  const clock = createFakeClock();
  const pods = await Promise.all(Array.from({length: count}, () => keep(startUpstream())));
  const setup = (some: Simulator[]): Setup => ({
    routes: {backends: [podsBackend(pods)], loadBalancing: {strategy}, retry: {maxAttempts: 1}},
    slices: podsOf(some),
    clock,
    random: seeded(7),
  });
  return {pods, proxy: await keep(startHarness(setup(pods))), clock, setup};
}

const countsOf = (pods: Simulator[]): number[] => pods.map((pod) => pod.requests().length);

const sum = (numbers: number[]): number => numbers.reduce((total, each) => total + each, 0);

async function ask(proxy: Harness, times: number, fields: (time: number) => object = () => ({})): Promise<void> {
  for (let time = 0; time < times; time += 1) {
    const response = await post(proxy.url, chatBody(fields(time)));
    expect(response.status).toBe(200);
    await response.text();
  }
}

/** Starts requests one after the other that all stay open, and returns once the last has reached a pod. */
async function hold(
  proxy: Harness,
  pods: Simulator[],
  times: number,
  fields: object = {},
): Promise<() => Promise<void>> {
  const callers = new AbortController();
  const open: Promise<unknown>[] = [];
  const before = sum(pods.map((pod) => pod.activeRequests()));
  for (let time = 1; time <= times; time += 1) {
    open.push(post(proxy.url, chatBody(fields), {signal: callers.signal}).catch(() => {}));
    await until(() => sum(pods.map((pod) => pod.activeRequests())) === before + time, `request ${time} at a pod`);
  }
  return async () => {
    callers.abort();
    await Promise.all(open);
    await until(() => sum(pods.map((pod) => pod.activeRequests())) === before, 'the pods idle again');
  };
}

const hang = {do: 'hang'} as const;

describe('RoundRobin', () => {
  it('gives each endpoint its turn', async () => {
    const {pods, proxy} = await startPods('RoundRobin', 3);
    await ask(proxy, 3);
    expect(countsOf(pods)).toEqual([1, 1, 1]);
    await ask(proxy, 9);
    expect(countsOf(pods)).toEqual([4, 4, 4]);
  });

  it('takes up an endpoint that comes and gives none to one that is gone', async () => {
    const {pods, proxy, setup} = await startPods('RoundRobin', 3);
    proxy.update(setup(pods.slice(0, 2)));
    await ask(proxy, 6);
    expect(countsOf(pods)).toEqual([3, 3, 0]);
    proxy.update(setup(pods));
    await ask(proxy, 9);
    expect(countsOf(pods)).toEqual([6, 6, 3]);
  });
});

describe('LeastRequest', () => {
  it('spreads what comes one by one over all endpoints', async () => {
    const {pods, proxy} = await startPods('LeastRequest', 3);
    await ask(proxy, 60);
    for (const count of countsOf(pods)) expect(count).toBeGreaterThan(8);
  });

  it('spreads what stays open evenly', async () => {
    const {pods, proxy} = await startPods('LeastRequest', 4);
    for (const pod of pods) pod.behave(hang);
    const release = await hold(proxy, pods, 24);
    for (const pod of pods) expect(Math.abs(pod.activeRequests() - 6)).toBeLessThanOrEqual(2);
    await release();
  });

  it('gives nothing more to an endpoint that has more open than all others', async () => {
    const {pods, proxy, setup} = await startPods('LeastRequest', 2);
    const [stuck, free] = pods as [Simulator, Simulator];
    proxy.update(setup([stuck]));
    stuck.behave(hang);
    const release = await hold(proxy, pods, 3);
    proxy.update(setup(pods));
    await ask(proxy, 20);
    expect(countsOf([stuck, free])).toEqual([3, 20]);

    stuck.behave({do: 'answer'});
    await release();
    await ask(proxy, 20);
    expect(stuck.requests().length).toBeGreaterThan(3);
  });
});

describe('PeakEWMA', () => {
  it('sends nearly all to the quick endpoint once the slow one has shown itself', async () => {
    const {pods, proxy, clock} = await startPods('PeakEWMA', 2);
    const [slow, quick] = pods as [Simulator, Simulator];
    const isHeld = (): boolean => slow.activeRequests() > 0;
    slow.behave({do: 'delay', ms: 40});
    for (let time = 0; time < 40 && slow.requests().length === 0; time += 1) {
      const answer = post(proxy.url, chatBody()).then((response) => response.text());
      await until(() => isHeld() || quick.requests().length > time, 'the request at a pod');
      if (isHeld()) await clock.advance(900); // on the proxy's clock this answer takes 0.9 s, every other one none
      await answer;
    }
    expect(slow.requests().length).toBe(1);
    const before = countsOf(pods);
    await ask(proxy, 30);
    expect(slow.requests().length).toBe(before[0]);
    expect(quick.requests().length).toBe((before[1] ?? 0) + 30);
  });
});

describe('PrefixHash', () => {
  const user = (text: string): object => ({
    messages: [
      {role: 'system', content: 'Be kind.'},
      {role: 'user', content: text},
    ],
  });
  const later = (text: string): object => ({
    messages: [
      {role: 'system', content: 'Be kind.'},
      {role: 'user', content: text},
      {role: 'assistant', content: 'Hello.'},
      {role: 'user', content: `And ${text.length}?`},
    ],
  });
  const podOf = (pods: Simulator[], before: number[]): number =>
    pods.findIndex((pod, index) => pod.requests().length > (before[index] ?? 0));

  /** Which pod each of these conversations goes to. */
  async function placesOf(proxy: Harness, pods: Simulator[], bodies: object[]): Promise<number[]> {
    const places: number[] = [];
    for (const body of bodies) {
      const before = countsOf(pods);
      await ask(proxy, 1, () => body);
      places.push(podOf(pods, before));
    }
    return places;
  }

  const talks = Array.from({length: 30}, (_, talk) => `Conversation ${talk}`);

  it('keeps a conversation on one endpoint, and many conversations on all', async () => {
    const {pods, proxy} = await startPods('PrefixHash', 3);
    const places = await placesOf(proxy, pods, talks.map(user));
    expect(await placesOf(proxy, pods, talks.map(later))).toEqual(places);
    expect(new Set(places).size).toBe(3);
  });

  it('goes by prompt_cache_key, if that is sent, and not by the prompt', async () => {
    const {pods, proxy} = await startPods('PrefixHash', 3);
    const keyed = talks.map((talk) => ({...user(talk), prompt_cache_key: 'one-user'}));
    expect(new Set(await placesOf(proxy, pods, keyed)).size).toBe(1);
  });

  it('moves only the conversations of an endpoint that leaves, and brings them back with it', async () => {
    const {pods, proxy, setup} = await startPods('PrefixHash', 3);
    const before = await placesOf(proxy, pods, talks.map(user));
    proxy.update(setup(pods.slice(0, 2)));
    const during = await placesOf(proxy, pods, talks.map(later));
    before.forEach((place, talk) => {
      if (place === 2) expect([0, 1]).toContain(during[talk]);
      else expect(during[talk]).toBe(place);
    });
    expect(before).toContain(2);
    proxy.update(setup(pods));
    expect(await placesOf(proxy, pods, talks.map(later))).toEqual(before);
  });

  it('gives no endpoint more than 1.25 times its share of what runs, though all share one prefix', async () => {
    const {pods, proxy} = await startPods('PrefixHash', 3);
    for (const pod of pods) pod.behave(hang);
    const release = await hold(proxy, pods, 12, user('the same'));
    expect(pods.map((pod) => pod.activeRequests()).sort((a, b) => b - a)[0]).toBe(5); // ceil(1.25 × 12 / 3)
    await release();
  });
});
