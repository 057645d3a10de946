/** A POST below /v1 that is no API known here. */
import {createServer} from 'node:net';
import {afterEach, describe, expect, it} from '@jest/globals';
import type {BehaviourInput, Simulator} from '../../simulator/index.ts';
import {createFakeClock} from '../fake-clock.ts';
import {until} from '../until.ts';
import {keeper, post, startHarness, startUpstream, type Harness, type Setup} from './harness.ts';
import {errorOf, liveView} from './ladder.ts';
import {exchange, errorIn} from './raw-caller.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const path = '/v1/audio/generations';
const body = JSON.stringify({model: 'chat', prompt: 'a song'});

const answer: BehaviourInput = {
  do: 'raw',
  headers: {'content-type': 'application/json', 'x-kind': 'song'},
  chunks: [{text: '{"song": '}, {text: '"la"}'}],
};

type Two = {proxy: Harness; local: Simulator; cloud: Simulator};

async function start(behaves: BehaviourInput = answer, options: Partial<Setup> = {}): Promise<Two> {
  const local = await keep(startUpstream({name: 'local'}));
  const cloud = await keep(startUpstream({name: 'cloud'}));
  local.behave(behaves);
  cloud.behave(answer);
  const backends = [
    {name: 'local', url: local.url},
    {name: 'cloud', url: cloud.url, priority: 1},
  ];
  return {local, cloud, proxy: await keep(startHarness({routes: {backends}, ...options}))};
}

const ask = (proxy: Harness, to = path, sent = body): Promise<Response> => post(proxy.url, sent, {path: to});

const unusedPort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' ? (address?.port ?? 0) : 0));
    });
  });

describe('any other POST', () => {
  it('goes to a backend as it is, but for the name of the model, and comes back as it is', async () => {
    const upstream = await keep(startUpstream());
    upstream.behave(answer);
    const backends = [{name: 'local', url: upstream.url, model: 'song-1'}];
    const proxy = await keep(startHarness({routes: {backends}}));
    const sent = '{ "prompt":"a  song",\n "model": "chat", "n": 1e0 }';
    const response = await ask(proxy, `${path}?api-version=7&key=secret`, sent);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(response.headers.get('x-kind')).toBe('song');
    expect(response.headers.get('x-modelroute-backend')).toBe('local');
    expect(await response.text()).toBe('{"song": "la"}');
    expect(upstream.requests()[0]).toMatchObject({path, text: sent.replace('"chat"', '"song-1"')}); // without its query
    await until(() => proxy.requests().length === 1, 'the log line');
    expect(proxy.requests()[0]).toMatchObject({api: 'other', status: 200, attempts: 1, model: 'chat'});
    expect(proxy.requests()[0]).not.toHaveProperty('promptTokens');
    expect(JSON.stringify(proxy.log)).not.toContain('secret');
  });

  it('may be answered with anything, nothing and any 2xx among it', async () => {
    const {proxy, local} = await start({do: 'raw', status: 202, headers: {}, chunks: []});
    const accepted = await ask(proxy);
    expect([accepted.status, await accepted.text()]).toEqual([202, '']);
    local.behave({do: 'raw', headers: {'content-type': 'text/event-stream'}, chunks: [{text: 'data: 1\n\n'}]});
    expect(await (await ask(proxy)).text()).toBe('data: 1\n\n');
    local.behave({do: 'raw', status: 204, headers: {}, chunks: []});
    expect((await ask(proxy)).status).toBe(204);
  });

  it('has one label in metrics, whatever its path is', async () => {
    const {proxy} = await start();
    for (const each of ['/v1/songs', '/v1/songs/more']) await (await ask(proxy, each)).text();
    await until(() => proxy.requests().length === 2, 'the log lines');
    const metrics = await (await fetch(`${proxy.admin}/metrics`)).text();
    expect(metrics).toMatch(/modelroute_requests_total\{[^}]*api="other"[^}]*\} 2/);
    expect(metrics).not.toContain('songs');
  });

  const failures: Record<string, {behaviour: BehaviourInput; status: number; code: string}> = {
    500: {behaviour: {do: 'status', status: 500}, status: 502, code: 'backend_error'},
    503: {behaviour: {do: 'status', status: 503, headers: {'retry-after': '0'}}, status: 502, code: 'backend_error'},
    429: {behaviour: {do: 'status', status: 429}, status: 429, code: 'backend_rate_limited'},
    'a reset': {behaviour: {do: 'reset'}, status: 502, code: 'backend_reset'},
    'a cut before the first byte': {
      behaviour: {do: 'raw', headers: {}, chunks: [], end: 'Cut'},
      status: 502,
      code: 'backend_reset',
    },
    'a redirect': {
      behaviour: {do: 'status', status: 307, headers: {location: '/elsewhere'}},
      status: 502,
      code: 'backend_malformed_reply',
    },
  };

  it.each(Object.entries(failures))('is never sent again after %s', async (_, {behaviour, status, code}) => {
    const {proxy, local, cloud} = await start(behaviour);
    const response = await ask(proxy);
    expect(response.status).toBe(status);
    expect((await errorOf(response)).code).toBe(code);
    expect(response.headers.get('x-modelroute-attempts')).toBe('1');
    expect([local.requests().length, cloud.requests().length]).toEqual([1, 0]);
  });

  it.each([400, 404, 405, 409, 422, 501])('that is answered with %i comes back as it came', async (status) => {
    const {proxy, local, cloud} = await start({do: 'status', status, body: 'what the backend says'});
    for (let count = 0; count < 6; count += 1) {
      const response = await ask(proxy);
      expect([response.status, await response.text()]).toEqual([status, 'what the backend says']);
    }
    expect([local.requests().length, cloud.requests().length]).toEqual([6, 0]);
    expect(await liveView(proxy, 'local')).toMatchObject({breaker: 'Closed', lastError: null});
  });

  it('is never sent again on a connection that the backend has closed meanwhile', async () => {
    const {proxy, local, cloud} = await start({...answer, do: 'raw'});
    local.behave({do: 'closeIdle', onNextRequest: true}, {times: 1});
    await post(proxy.url, JSON.stringify({model: 'chat', messages: [{role: 'user', content: 'Hi'}]}));
    expect((await ask(proxy)).status).toBe(200);
    expect([local.requests().length, cloud.requests().length]).toEqual([2, 0]);
  });

  it('goes on to the next backend where the first cannot be reached, as nothing was sent', async () => {
    const cloud = await keep(startUpstream({name: 'cloud'}));
    cloud.behave(answer);
    const backends = [
      {name: 'local', url: `http://127.0.0.1:${await unusedPort()}/v1`},
      {name: 'cloud', url: cloud.url, priority: 1},
    ];
    const proxy = await keep(startHarness({routes: {backends}}));
    const response = await ask(proxy);
    expect([response.status, response.headers.get('x-modelroute-backend')]).toEqual([200, 'cloud']);
    expect(response.headers.get('x-modelroute-attempts')).toBe('2');
  });

  it('is waited for as long as its request may take, as nobody here knows how long it thinks', async () => {
    const clock = createFakeClock();
    const {proxy, local} = await start({do: 'hang'}, {clock});
    const asking = ask(proxy);
    await until(() => local.activeRequests() === 1, 'the backend is asked');
    await clock.advance(599_999);
    expect(local.aborted()).toBe(0);
    await clock.advance(1);
    const response = await asking;
    expect([response.status, (await errorOf(response)).code]).toEqual([504, 'deadline_exceeded']);
  });

  type Refused = {sent?: string; type?: string; status: number; code: string};

  it.each<[string, Refused]>([
    ['no JSON', {sent: '{"model": ', status: 400, code: 'invalid_json'}],
    ['no model', {sent: '{"prompt": "a song"}', status: 400, code: 'missing_model'}],
    ['two models', {sent: '{"model": "chat", "model": "chat"}', status: 400, code: 'invalid_json'}],
    ['a model that nobody serves', {sent: '{"model": "nobody"}', status: 404, code: 'model_not_found'}],
    [
      'a form',
      {sent: 'model=chat', type: 'application/x-www-form-urlencoded', status: 415, code: 'unsupported_media_type'},
    ],
    ['no type', {type: '', status: 415, code: 'unsupported_media_type'}],
  ])('is refused with %s in it', async (_, {sent = body, type = 'application/json', status, code}) => {
    const {proxy, local} = await start();
    const response = await post(proxy.url, sent, {path, headers: {'content-type': type}});
    expect(response.status).toBe(status);
    expect((await errorOf(response)).code).toBe(code);
    expect(local.requests()).toEqual([]);
  });

  it.each([
    '/v1/../admin',
    '/v1/a/../../admin',
    '/v1/./a',
    '/v1/%2e%2e/admin',
    '/v1/a%2fb',
    '/v1//a',
    '/v1/a//b',
    '/v1/a/',
    '/v1/',
    '/v1',
    '/v1/a\\b',
    '/v1/a;b',
    '/v1/%ff',
    '/v2/a',
    '//v1/a',
    'http://elsewhere.example/v1/../a',
  ])('of %s is no path, and nothing is sent', async (target) => {
    const {proxy, local} = await start();
    const [refused] = await exchange(
      proxy.port,
      `POST ${target} HTTP/1.1\r\nhost: models\r\nconnection: close\r\ncontent-type: application/json\r\n` +
        `content-length: ${body.length}\r\n\r\n${body}`,
    );
    expect([refused!.status, errorIn(refused!).code]).toEqual([404, 'unknown_path']);
    expect(local.requests()).toEqual([]);
  });

  it.each(['GET', 'PUT', 'DELETE', 'PATCH'])('is not meant by %s', async (method) => {
    const {proxy, local} = await start();
    const response = await fetch(`${proxy.url}${path}`, {method});
    expect([response.status, (await errorOf(response)).code]).toEqual([404, 'unknown_path']);
    expect(local.requests()).toEqual([]);
  });
});
