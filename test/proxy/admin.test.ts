import {once} from 'node:events';
import {createServer, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';
import {afterEach, describe, expect, it} from '@jest/globals';
import {systemClock} from '../../proxy/engine/clock.ts';
import type {Gateway} from '../../proxy/engine/gateway.ts';
import {createAdminApp} from '../../proxy/server/admin.ts';
import type {Metrics} from '../../proxy/telemetry/metrics.ts';
import {secret} from '../objects.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, startUpstream, toInput, type Harness, type Setup} from './harness.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const get = (proxy: Harness, path: string): Promise<Response> => fetch(`${proxy.admin}${path}`);
const json = async <T>(proxy: Harness, path: string): Promise<T> => (await (await get(proxy, path)).json()) as T;

const unused: Setup = {routes: {backends: [{name: 'a', url: 'http://127.0.0.1:9/v1'}]}};

describe('the admin port', () => {
  it('is live and ready with a valid config, and not ready once it drains', async () => {
    const upstream = await keep(startUpstream());
    const proxy = await keep(startHarness({routes: {backends: [{name: 'a', url: upstream.url}]}}));
    for (const path of ['/livez', '/readyz']) {
      const response = await get(proxy, path);
      expect([response.status, await response.text()]).toEqual([200, 'ok\n']);
    }

    upstream.behave({do: 'hang', where: 'AfterTokens', tokens: 1});
    const running = await post(proxy.url, chatBody({stream: true}));
    const drained = proxy.proxy.drain();
    const ready = await get(proxy, '/readyz');
    expect([ready.status, await ready.text()]).toEqual([503, 'draining\n']);
    expect((await get(proxy, '/livez')).status).toBe(200);
    await running.body?.cancel();
    await drained;
  });

  it('says which config is loaded: another hash for each, the same for the same', async () => {
    const proxy = await keep(startHarness(unused));
    const first = await json<{hash: string}>(proxy, '/loaded');
    expect(first).toEqual({
      hash: expect.stringMatching(/^[\da-f]{64}$/),
      generation: expect.any(Number),
      routes: 1,
      rejected: null,
      missingCredentials: [],
    });
    proxy.update({routes: {chat: {backends: [{name: 'b', url: 'http://127.0.0.1:9/v1'}]}}});
    expect((await json<{hash: string}>(proxy, '/loaded')).hash).not.toBe(first.hash);
    proxy.update(unused);
    expect(await json(proxy, '/loaded')).toEqual(first);
  });

  it('says the hash that a config came with, and which one was refused until the next is taken', async () => {
    const proxy = await keep(startHarness(unused));
    proxy.proxy.update({...toInput(unused), hash: 'of-the-text'});
    const rejection = {hash: 'of-another', reason: 'formatVersion 2 is not known here'};
    proxy.proxy.rejected(rejection);
    expect(await json(proxy, '/loaded')).toMatchObject({hash: 'of-the-text', rejected: rejection});
    expect((await get(proxy, '/readyz')).status).toBe(200);
    proxy.update(unused);
    expect(await json(proxy, '/loaded')).toMatchObject({rejected: null});
  });

  it('keeps saying what was refused when only endpoints change', async () => {
    const proxy = await keep(startHarness(unused));
    const input = toInput(unused);
    proxy.proxy.update(input);
    proxy.proxy.rejected({hash: 'of-another', reason: 'no JSON'});
    proxy.proxy.update({...input, endpoints: new Map([['team-a/vllm:http', []]])});
    expect(await json(proxy, '/loaded')).toMatchObject({rejected: {hash: 'of-another', reason: 'no JSON'}});
  });

  it('names the routes whose credentials have not arrived', async () => {
    const proxy = await keep(startHarness(unused));
    const withKey = toInput({
      routes: {
        chat: {backends: [{name: 'a', url: 'http://127.0.0.1:9/v1', auth: {secretRef: {name: 'openai'}}}]},
        other: {modelNames: ['other'], backends: [{name: 'a', url: 'http://127.0.0.1:9/v1'}]},
      },
      secrets: [secret()],
    });
    proxy.proxy.update({...withKey, credentials: new Map()});
    expect(await json(proxy, '/loaded')).toMatchObject({routes: 2, missingCredentials: ['team-a/chat']});
    proxy.proxy.update(withKey);
    expect(await json(proxy, '/loaded')).toMatchObject({missingCredentials: []});
  });

  it.each([
    ['10.0.0.7', 403],
    ['fd00::7', 403],
    ['::ffff:10.0.0.7', 403],
    ['127.0.0.1', 200],
    ['::1', 200],
    ['::ffff:127.0.0.1', 200],
  ])('shows the inside by the address that was called: on %s %i', async (localAddress, status) => {
    const gateway = {live: undefined, hash: '', rejected: undefined} as unknown as Gateway; // all that the page asks it
    const metrics = {serve: (_: unknown, response: ServerResponse) => response.end('metrics')} as unknown as Metrics;
    const app = createAdminApp({gateway, clock: systemClock, metrics, notReady: () => undefined});
    const server = createServer((request, response) => {
      Object.defineProperty(request.socket, 'localAddress', {value: localAddress, configurable: true});
      app(request, response);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    await keep(Promise.resolve({close: async () => void server.close()}));
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    for (const path of ['/livez', '/readyz', '/loaded', '/metrics'])
      expect([path, (await fetch(base + path)).status]).toEqual([path, 200]);
    for (const path of ['/config', '/backends'])
      expect([path, (await fetch(base + path)).status]).toEqual([path, status]);
    if (status === 403) expect(await (await fetch(`${base}/config`)).text()).toContain('port-forward');
  });

  it('shows the config in use, its defaults filled in', async () => {
    const proxy = await keep(startHarness(unused));
    expect(await json(proxy, '/config')).toEqual(toInput(unused).config);
    expect(await json(proxy, '/config')).toMatchObject({
      routes: [
        {name: 'chat', namespace: 'team-a', requestMs: 600_000, backends: [{name: 'a', timeouts: {connectMs: 2_000}}]},
      ],
    });
  });

  it('shows what backends do at this moment', async () => {
    const local = await keep(startUpstream());
    const cloud = await keep(startUpstream());
    const proxy = await keep(
      startHarness({
        routes: {
          backends: [
            {name: 'local', url: local.url},
            {name: 'cloud', url: cloud.url, priority: 1, weight: 3},
          ],
          retry: {maxAttempts: 1},
          circuitBreaker: {consecutiveFailures: 2, openDuration: '20s'},
        },
      }),
    );
    type Backend = {name: string; breaker: string; opensAgainInMs: number; inFlight: number; endpoints: object[]};
    const backends = async (): Promise<Backend[]> =>
      (await json<{routes: {backends: Backend[]}[]}>(proxy, '/backends')).routes[0]?.backends ?? [];

    expect(await backends()).toMatchObject([
      {name: 'local', rung: 0, weight: 1, breaker: 'Closed', opensAgainInMs: 0, inFlight: 0, lastError: null},
      {
        name: 'cloud',
        rung: 1,
        weight: 3,
        endpoints: [{address: `127.0.0.1:${cloud.port}`, inFlight: 0, ejected: false}],
      },
    ]);

    local.behave({do: 'status', status: 500});
    for (let count = 0; count < 2; count += 1) await (await post(proxy.url, chatBody())).text();
    cloud.behave({do: 'hang', where: 'AfterTokens', tokens: 1});
    const running = await post(proxy.url, chatBody({stream: true}));
    const [first, second] = await backends();
    expect(first).toMatchObject({breaker: 'Open', inFlight: 0, lastError: {message: expect.stringContaining('500')}});
    expect(first?.opensAgainInMs).toBeGreaterThan(10_000);
    expect(second).toMatchObject({breaker: 'Closed', inFlight: 1, endpoints: [{inFlight: 1, connections: 1}]});

    await running.body?.cancel();
    await until(async () => (await backends())[1]?.inFlight === 0, 'the caller has left');
  });

  it('answers HEAD, refuses what changes things, and names its paths to whoever asks for another', async () => {
    const proxy = await keep(startHarness(unused));
    expect((await fetch(`${proxy.admin}/readyz`, {method: 'HEAD'})).status).toBe(200);
    expect((await fetch(`${proxy.admin}/config`, {method: 'POST', body: '{}'})).status).toBe(404);
    const response = await get(proxy, '/');
    expect(response.status).toBe(404);
    expect(await response.text()).toContain('/metrics');
  });

  it('is not on the port of the callers, nor they on it', async () => {
    const proxy = await keep(startHarness(unused));
    for (const path of ['/config', '/metrics', '/backends', '/readyz'])
      expect((await fetch(`${proxy.url}${path}`)).status).toBe(404);
    expect((await get(proxy, '/v1/models')).status).toBe(404);
  });
});
