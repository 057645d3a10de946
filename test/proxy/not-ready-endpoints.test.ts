/** After an outage of the API server Kubernetes may call every pod not ready for some seconds, although all of them run. */
import {afterEach, describe, expect, it} from '@jest/globals';
import type {ModelRouteSpec} from '../../operator/api/generated.ts';
import type {EndpointSlice} from '../../proxy/config/endpoint.ts';
import type {Simulator} from '../../simulator/index.ts';
import {createFakeClock} from '../fake-clock.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, startUpstream, type Harness, type Setup} from './harness.ts';
import {errorOf, liveView, podsBackend, podsOf} from './ladder.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const broken = {do: 'status', status: 503} as const;

const unready = (slices: readonly EndpointSlice[]): EndpointSlice[] =>
  slices.map((slice) => ({
    ...slice,
    endpoints: slice.endpoints.map((endpoint) => ({...endpoint, ready: false, serving: false, terminating: false})),
  }));

type Started = {
  proxy: Harness;
  pods: Simulator[];
  cloud: Simulator;
  setup: Setup;
  turn: (isReady: boolean) => void;
};

/** Two pods on rung 0, ready until they `turn`; with `hasCloud` a URL on rung 1. */
async function start(spec: Partial<ModelRouteSpec> = {}, hasCloud = false): Promise<Started> {
  const pods = [await keep(startUpstream()), await keep(startUpstream())];
  const cloud = await keep(startUpstream());
  const backends = [podsBackend(pods), ...(hasCloud ? [{name: 'cloud', url: cloud.url, priority: 1}] : [])];
  const slices = podsOf(pods);
  const routes = {loadBalancing: {strategy: 'RoundRobin'}, ...spec, backends} satisfies Partial<ModelRouteSpec>;
  const setup = {routes, slices, clock: createFakeClock()};
  const proxy = await keep(startHarness(setup));
  const turn = (isReady: boolean): void => proxy.update({...setup, slices: isReady ? slices : unready(slices)});
  return {proxy, pods, cloud, setup, turn};
}

type Answer = {status: number; backend: string | null; attempts: string | null};

async function ask(proxy: Harness, fields: object = {}): Promise<Answer> {
  const response = await post(proxy.url, chatBody(fields));
  await response.text();
  const {headers, status} = response;
  return {status, backend: headers.get('x-modelroute-backend'), attempts: headers.get('x-modelroute-attempts')};
}

const countsOf = (pods: readonly Simulator[]): number[] => pods.map((pod) => pod.requests().length);

const seriesOf = async ({admin}: Harness, name: string): Promise<string[]> =>
  (await (await fetch(`${admin}/metrics`)).text()).split('\n').filter((line) => line.startsWith(name));

describe('where no endpoint of a Service is ready', () => {
  it.each([
    ['plain', {}],
    ['streamed', {stream: true}],
  ])('all of them still answer %s requests, and an answer makes none of them ready', async (_, fields) => {
    const {proxy, pods, turn} = await start();
    turn(false);
    for (let asked = 0; asked < 4; asked += 1)
      expect(await ask(proxy, fields)).toEqual({status: 200, backend: 'pods', attempts: '1'});
    expect(countsOf(pods)).toEqual([2, 2]);
    expect(await liveView(proxy, 'pods')).toMatchObject({lastResort: true, breaker: 'Closed', lastError: null});
    expect(await seriesOf(proxy, 'modelroute_backend_endpoints')).toEqual([expect.stringMatching(/ 0$/)]);
    turn(true);
    expect(await liveView(proxy, 'pods')).toMatchObject({lastResort: false, breaker: 'Closed', lastError: null});
    expect(await seriesOf(proxy, 'modelroute_backend_endpoints')).toEqual([expect.stringMatching(/ 2$/)]);
  });

  it('a later rung with ready ones goes first', async () => {
    const {proxy, pods, turn} = await start({}, true);
    turn(false);
    expect(await ask(proxy)).toEqual({status: 200, backend: 'cloud', attempts: '1'});
    expect(countsOf(pods)).toEqual([0, 0]);
  });

  it('so does another backend of the same rung', async () => {
    const {proxy, pods, cloud, setup} = await start();
    const backends = [podsBackend(pods), {name: 'cloud', url: cloud.url}];
    proxy.update({...setup, routes: {backends}, slices: unready(podsOf(pods))});
    for (let asked = 0; asked < 4; asked += 1) expect((await ask(proxy)).backend).toBe('cloud');
  });

  it('they are asked when the ready ones of a later rung have failed', async () => {
    const {proxy, cloud, turn} = await start({retry: {maxAttempts: 1}}, true);
    cloud.behave(broken);
    turn(false);
    expect(await ask(proxy)).toEqual({status: 200, backend: 'pods', attempts: '2'});
  });

  it('one that fails leads to another of them', async () => {
    const {proxy, pods, turn} = await start();
    turn(false);
    pods[0]?.behave(broken);
    const answers = [await ask(proxy), await ask(proxy)];
    expect(answers.map(({status}) => status)).toEqual([200, 200]);
    expect(answers.map(({attempts}) => attempts)).toContain('2');
  });

  it('a Retry-After of theirs holds, and is what the caller is told', async () => {
    const {proxy, pods, turn} = await start();
    turn(false);
    for (const pod of pods) pod.behave({do: 'status', status: 429, headers: {'retry-after': '30'}});
    for (let asked = 0; asked < 2; asked += 1) expect((await ask(proxy)).status).toBe(429);
    const response = await post(proxy.url, chatBody());
    expect(response.status).toBe(429);
    expect((await errorOf(response)).code).toBe('backend_rate_limited');
    expect(countsOf(pods)).toEqual([1, 1]);
  });

  it('nobody is asked with whenAllOpen: FailFast, and it is not put down to a breaker', async () => {
    const {proxy, pods, turn} = await start({circuitBreaker: {whenAllOpen: 'FailFast'}});
    turn(false);
    const response = await post(proxy.url, chatBody());
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('1');
    const {code, message} = await errorOf(response);
    expect({code, message}).toEqual({
      code: 'no_backend_available',
      message: 'No backend of route team-a/chat can take the request: no endpoint is ready.',
    });
    expect(countsOf(pods)).toEqual([0, 0]);
    turn(true);
    expect((await ask(proxy)).status).toBe(200);
  });
});

describe('an endpoint that is not ready', () => {
  it('is not used while another one of its Service is ready, not even when that one fails', async () => {
    const {proxy, pods, setup} = await start({retry: {maxAttempts: 1}});
    const [one, two] = podsOf(pods);
    if (one === undefined || two === undefined) throw new Error('two were started');
    proxy.update({...setup, slices: [one, ...unready([two])]});
    pods[0]?.behave(broken);
    expect((await ask(proxy)).status).toBe(502);
    expect(pods[1]?.requests()).toEqual([]);
    expect((await liveView(proxy, 'pods')).endpoints).toHaveLength(1);
  });
});

describe('endpoints that turn not ready and back', () => {
  it('keep their connections, their streams and their ejection', async () => {
    const {proxy, pods, turn} = await start({
      circuitBreaker: {consecutiveFailures: 2, minRequests: 1_000, openDuration: '30s', maxOpenDuration: '60s'},
    });
    pods[0]?.behave(broken);
    for (let asked = 0; asked < 4; asked += 1) await ask(proxy);
    const ejected = async (): Promise<boolean[]> =>
      (await liveView(proxy, 'pods')).endpoints.map((endpoint) => endpoint.ejected);
    expect(await ejected()).toEqual([true, false]);

    pods[1]?.behave({do: 'hang', where: 'AfterTokens'});
    const leaving = new AbortController();
    await post(proxy.url, chatBody({stream: true}), {signal: leaving.signal});
    const opened = pods[1]?.openConnections();
    for (const isReady of [false, true]) {
      turn(isReady);
      expect(await ejected()).toEqual([true, false]);
      expect([pods[1]?.openConnections(), pods[1]?.activeRequests()]).toEqual([opened, 1]);
      expect((await liveView(proxy, 'pods')).inFlight).toBe(1);
    }
    leaving.abort();
    await until(async () => (await liveView(proxy, 'pods')).inFlight === 0, 'nothing runs');
  });

  it('keep a breaker that is open', async () => {
    const {proxy, pods, turn} = await start({
      circuitBreaker: {consecutiveFailures: 1, openDuration: '30s', maxOpenDuration: '60s'},
      retry: {maxAttempts: 1},
    });
    for (const pod of pods) pod.behave(broken);
    await ask(proxy);
    for (const isReady of [false, true]) {
      turn(isReady);
      expect(await liveView(proxy, 'pods')).toMatchObject({
        breaker: 'Open',
        lastError: {message: expect.stringContaining('503')},
      });
    }
  });
});
