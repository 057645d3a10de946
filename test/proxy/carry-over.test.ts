import {afterEach, describe, expect, it} from '@jest/globals';
import type {Backend, ModelRouteSpec} from '../../operator/api/generated.ts';
import type {SecretValue} from '../../operator/plan/world.ts';
import {secret} from '../objects.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, startUpstream, type Setup} from './harness.ts';
import {
  chunk,
  eventsIn,
  follow,
  liveView,
  podsBackend,
  podsOf,
  startScripted,
  streamHead,
  writeThrough,
} from './ladder.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const streamed = chatBody({stream: true});
const circuitBreaker = {consecutiveFailures: 1, openDuration: '1h', maxOpenDuration: '1h', minRequests: 20};

type Changes = {
  backend?: Partial<Backend>;
  secret?: Partial<SecretValue>;
  spec?: Partial<ModelRouteSpec>;
  extra?: Backend[];
};

/** One backend with a credential, and another server to move it to. */
async function start() {
  const local = await keep(startUpstream({name: 'local'}));
  const elsewhere = await keep(startUpstream({name: 'elsewhere'}));
  const setup = ({backend, secret: value, spec, extra = []}: Changes = {}): Setup => ({
    routes: {
      backends: [{name: 'local', url: local.url, auth: {secretRef: {name: 'openai'}}, ...backend}, ...extra],
      circuitBreaker,
      ...spec,
    },
    secrets: [secret(value)],
  });
  return {local, elsewhere, setup, proxy: await keep(startHarness(setup()))};
}

describe('an open breaker', () => {
  it.each<[what: string, changes: Changes]>([
    ['nothing', {}],
    ['the weight', {backend: {weight: 5}}],
    ['the priority', {backend: {priority: 3}}],
    ['the model', {backend: {model: 'other'}}],
    ['the cap', {backend: {maxConcurrentRequests: 9}}],
    ['the timeouts', {backend: {timeouts: {connect: '1s'}}}],
    ['the thresholds', {spec: {circuitBreaker: {...circuitBreaker, consecutiveFailures: 7, window: '1m'}}}],
    ['the strategy', {spec: {circuitBreaker, loadBalancing: {strategy: 'RoundRobin'}}}],
    ['the other backends', {extra: [{name: 'more', url: 'http://127.0.0.1:9/v1', priority: 1}]}],
  ])('stays open when a change is of %s', async (_, changes) => {
    const {local, proxy, setup} = await start();
    local.behave({do: 'status', status: 500});
    await post(proxy.url, chatBody());
    expect((await liveView(proxy, 'local')).breaker).toBe('Open');
    proxy.update(setup(changes));
    const {breaker, lastError} = await liveView(proxy, 'local');
    expect({breaker, lastError}).toEqual({breaker: 'Open', lastError: expect.anything()});
  });

  it.each<[what: string, changes: (elsewhere: string) => Changes]>([
    ['the URL', (url) => ({backend: {url}})],
    ['the path of the URL', () => ({backend: {url: 'http://127.0.0.1:9/openai/v1'}})],
    ['the credential', () => ({secret: {resourceVersion: '8', values: {apiKey: 'sk-2'}}})],
    ['the Secret’s identity', () => ({secret: {uid: 'uid-2'}})],
    ['the header of the credential', () => ({backend: {auth: {type: 'Header', secretRef: {name: 'openai'}}}})],
  ])('is a fresh one when a change is of %s', async (_, changes) => {
    const {local, elsewhere, proxy, setup} = await start();
    local.behave({do: 'status', status: 500});
    await post(proxy.url, chatBody());
    expect((await liveView(proxy, 'local')).breaker).toBe('Open');
    proxy.update(setup(changes(elsewhere.url)));
    const {breaker, lastError} = await liveView(proxy, 'local');
    expect({breaker, lastError}).toEqual({breaker: 'Closed', lastError: null});
  });

  it('lets its probe through after a change of thresholds too', async () => {
    const {local, proxy, setup} = await start();
    const quick = {
      ...circuitBreaker,
      openDuration: '1s',
      maxOpenDuration: '2s',
      whenAllOpen: 'FailFast' as const,
    };
    proxy.update(setup({spec: {circuitBreaker: quick}}));
    local.behave({do: 'status', status: 500});
    await post(proxy.url, chatBody());
    local.behave({do: 'answer'});
    proxy.update(setup({spec: {circuitBreaker: {...quick, consecutiveFailures: 2}}}));
    expect((await post(proxy.url, chatBody())).status).toBe(503);
    await until(async () => (await post(proxy.url, chatBody())).status === 200, 'the probe');
  });
});

describe('a new credential', () => {
  it('is what the next request is sent with, and a new URL gets it too', async () => {
    const {local, elsewhere, proxy, setup} = await start();
    const keyOf = (upstream: typeof local): unknown => upstream.requests().at(-1)?.headers['authorization'];
    await post(proxy.url, chatBody());
    expect(keyOf(local)).toBe('Bearer sk-1');
    const rotated = {resourceVersion: '8', values: {apiKey: 'sk-2'}};
    proxy.update(setup({secret: rotated}));
    await post(proxy.url, chatBody());
    expect(keyOf(local)).toBe('Bearer sk-2');
    proxy.update(setup({secret: rotated, backend: {url: elsewhere.url}}));
    await post(proxy.url, chatBody());
    expect(keyOf(elsewhere)).toBe('Bearer sk-2');
    expect(local.requests()).toHaveLength(2);
  });

  it('does not make room at a backend that is as busy as before', async () => {
    const {local, proxy, setup} = await start();
    const backend = {maxConcurrentRequests: 1};
    proxy.update(setup({backend}));
    local.behave({do: 'hang', where: 'AfterTokens'});
    const leaving = new AbortController();
    await post(proxy.url, streamed, {signal: leaving.signal});
    proxy.update(setup({backend, secret: {resourceVersion: '8', values: {apiKey: 'sk-2'}}}));
    const view = await liveView(proxy, 'local');
    expect([view.inFlight, view.endpoints[0]?.inFlight]).toEqual([1, 1]);
    expect((await post(proxy.url, streamed)).status).toBe(503);
    leaving.abort();
    await until(async () => (await liveView(proxy, 'local')).inFlight === 0, 'the place is free');
    expect((await post(proxy.url, streamed)).status).toBe(200);
  });
});

describe('a request that runs', () => {
  it.each<[what: string, next: (url: string) => Setup['routes']]>([
    ['a change of its backend', (url) => ({backends: [{name: 'local', url, weight: 3}]})],
    ['its backend’s end', () => ({backends: [{name: 'other', url: 'http://127.0.0.1:9/v1'}]})],
    ['its route’s end', (url) => ({other: {backends: [{name: 'local', url}]}})],
  ])('survives %s, and its last failure is no crash', async (_, next) => {
    const upstream = await keep(startScripted());
    const proxy = await keep(startHarness({routes: {backends: [{name: 'local', url: upstream.url}]}}));
    const asking = post(proxy.url, streamed);
    await until(() => upstream.asked.length === 1, 'the backend is asked');
    const answer = upstream.asked[0]!;
    answer.writeHead(200, streamHead);
    await writeThrough(answer, chunk({content: 'before'}));
    const reading = follow(await asking);
    await until(() => reading.text().includes('before'), 'the first token');

    proxy.update({routes: next(upstream.url)});
    await writeThrough(answer, chunk({content: 'after'}));
    await until(() => reading.text().includes('after'), 'the second token');
    await writeThrough(answer, chunk({}, 'stop'));
    answer.end('data: [DONE]\n\n');
    expect(eventsIn(await reading.ended).at(-1)).toBe('[DONE]');
  });

  it('fails over along the rungs that it began with', async () => {
    const local = await keep(startScripted());
    const cloud = await keep(startUpstream({name: 'cloud'}));
    const backends = [
      {name: 'local', url: local.url},
      {name: 'cloud', url: cloud.url, priority: 1},
    ];
    const proxy = await keep(startHarness({routes: {backends}}));
    const asking = post(proxy.url, chatBody());
    await until(() => local.asked.length === 1, 'the backend is asked');
    proxy.update({routes: {backends: backends.slice(0, 1)}});
    local.asked[0]?.writeHead(401).end('{}');
    expect((await asking).headers.get('x-modelroute-backend')).toBe('cloud');
    expect((await liveView(proxy, 'local')).inFlight).toBe(0);
  });
});

describe('endpoints that come and go', () => {
  it('leave those that stay their connections, their counts and their turn', async () => {
    const pods = await Promise.all([1, 2, 3].map(() => keep(startUpstream())));
    const setup = (some: typeof pods): Setup => ({
      routes: {backends: [podsBackend(pods)], loadBalancing: {strategy: 'RoundRobin'}},
      slices: podsOf(some),
    });
    const proxy = await keep(startHarness(setup(pods.slice(0, 2))));
    const counts = (): number[] => pods.map((pod) => pod.requests().length);
    for (let request = 0; request < 6; request += 1) {
      await (await post(proxy.url, chatBody())).text();
      proxy.update(setup(pods.slice(0, 2)));
    }
    expect(counts()).toEqual([3, 3, 0]);
    expect(pods.map((pod) => pod.totalConnections())).toEqual([1, 1, 0]);

    pods[0]?.behave({do: 'hang', where: 'AfterTokens'});
    pods[1]?.behave({do: 'hang', where: 'AfterTokens'});
    await Promise.all([post(proxy.url, streamed), post(proxy.url, streamed)]);
    proxy.update(setup(pods.slice(1)));
    const {inFlight, endpoints} = await liveView(proxy, 'pods');
    expect(inFlight).toBe(2);
    expect(endpoints.map((endpoint) => endpoint.inFlight)).toEqual([1, 0]);
  });
});

describe('an update that cannot be taken over', () => {
  it('changes nothing', async () => {
    const {local, proxy, setup} = await start();
    local.behave({do: 'status', status: 500});
    await post(proxy.url, chatBody());
    local.behave({do: 'answer'});
    const {proxy: inner} = proxy;
    const {toInput} = await import('./harness.ts');
    const input = toInput(setup({spec: {circuitBreaker: {...circuitBreaker, consecutiveFailures: 9}}}));
    const unknown = {...input.config, formatVersion: 2} as unknown as typeof input.config;
    expect(() => inner.update({...input, config: unknown})).toThrow('formatVersion');
    const loaded = await fetch(`${proxy.admin}/config`).then((response) => response.text());
    expect(loaded).toContain('"consecutiveFailures": 1');
    const {breaker, endpoints} = await liveView(proxy, 'local');
    expect([breaker, endpoints.length]).toEqual(['Open', 1]);
    expect((await post(proxy.url, chatBody())).status).toBe(200); // TryAll
    expect((await liveView(proxy, 'local')).breaker).toBe('Closed');
  });
});
