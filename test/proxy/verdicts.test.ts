import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, it} from '@jest/globals';
import type {BehaviourInput, Simulator} from '../../simulator/index.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, startUpstream, type Harness} from './harness.ts';
import {errorOf, liveView} from './ladder.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);
const servers = keeper();
let local: Simulator;
let cloud: Simulator;
beforeAll(async () => {
  local = await servers.keep(startUpstream({name: 'local'}));
  cloud = await servers.keep(startUpstream({name: 'cloud'}));
});
afterAll(servers.closeAll);
beforeEach(() => {
  local.reset();
  cloud.reset();
});

/** The first recorded failure opens the breaker, so that it shows whether one was recorded. */
const circuitBreaker = {consecutiveFailures: 1, openDuration: '1h', maxOpenDuration: '1h'};

const start = (modelNames = ['chat']): Promise<Harness> =>
  keep(
    startHarness({
      routes: {
        modelNames,
        backends: [
          {name: 'local', url: local.url},
          {name: 'cloud', url: cloud.url, priority: 1},
        ],
        circuitBreaker,
      },
    }),
  );

const status = (status: number, error?: object): BehaviourInput => ({
  do: 'status',
  status,
  ...(error === undefined ? {} : {body: {error}}),
});

const shapes = [
  ['plain', {}],
  ['streamed', {stream: true}],
] as const;

const backendsFault: [fault: string, behaviour: BehaviourInput][] = [
  ['500', status(500)],
  ['502', status(502)],
  ['503', status(503)],
  ['504', status(504)],
  ['529', status(529)],
  ['408', status(408)],
  ['429', status(429)],
  ['401: the gateway’s credential', status(401)],
  ['402: the gateway’s account', status(402)],
  ['403: the gateway’s credential', status(403)],
  [
    '404 for a model that the route fixed',
    status(404, {message: 'The model `chat` does not exist', code: 'model_not_found'}),
  ],
  ['a redirect', {do: 'status', status: 302, headers: {location: 'http://elsewhere.example/'}}],
  ['a reset before the headers', {do: 'reset'}],
  ['a reset before the first token', {do: 'reset', where: 'BeforeFirstToken'}],
  ['a connection cut before any content', {do: 'cut', afterTokens: 0}],
  ['a web page instead of an answer', {do: 'notJson'}],
  ['a web page with status 200', {do: 'status', status: 200, body: '<html>', headers: {'content-type': 'text/html'}}],
  ['an error inside a 200', {do: 'status', status: 200, body: {error: {message: 'The engine died.'}}}],
  [
    'a broken content-length',
    {
      do: 'raw',
      headers: {'content-length': '500', 'content-type': 'application/json'},
      chunks: [{text: '{"choi'}],
      end: 'Cut',
    },
  ],
];

describe.each(shapes)('to a %s request', (_, fields) => {
  it.each(backendsFault)('%s is the backend’s fault: the next one answers, and it is counted', async (_, behaviour) => {
    local.behave(behaviour);
    const proxy = await start();
    const response = await post(proxy.url, chatBody(fields));
    expect(response.status).toBe(200);
    expect(response.headers.get('x-modelroute-backend')).toBe('cloud');
    expect(response.headers.get('x-modelroute-attempts')).toBe('2');
    expect(await response.text()).not.toContain('"error"');
    expect(local.requests().length).toBe(1);
    expect((await liveView(proxy, 'local')).breaker).toBe('Open');
  });

  it.each<[fault: string, behaviour: BehaviourInput]>([
    ['404 for a path', status(404, {message: 'Not Found'})],
    ['405', status(405)],
    ['501', status(501)],
  ])('%s is no verdict: the next one answers, and nothing is counted', async (_, behaviour) => {
    local.behave(behaviour);
    const proxy = await start();
    const response = await post(proxy.url, chatBody(fields));
    expect(response.headers.get('x-modelroute-backend')).toBe('cloud');
    expect(await response.text()).not.toContain('"error"');
    expect((await liveView(proxy, 'local')).breaker).toBe('Closed');
    expect((await liveView(proxy, 'local')).lastError).toBeNull();
  });

  it.each([400, 409, 413, 415, 422])('%i is the caller’s fault: returned as it came, nothing counted', async (code) => {
    const error = {
      message: 'temperature: must be at most 2',
      type: 'invalid_request_error',
      param: 'temperature',
      code: 'x',
    };
    local.behave({
      do: 'status',
      status: code,
      body: {error, more: [1]},
      headers: {'x-kept': 'yes', 'x-envoy-id': 'no'},
    });
    const proxy = await start();
    const response = await post(proxy.url, chatBody(fields));
    expect(response.status).toBe(code);
    expect(await response.text()).toBe(JSON.stringify({error, more: [1]}));
    expect(response.headers.get('x-kept')).toBe('yes');
    expect(response.headers.get('x-envoy-id')).toBeNull();
    expect(response.headers.get('x-modelroute-backend')).toBe('local');
    expect(response.headers.get('x-modelroute-attempts')).toBe('1');
    expect(cloud.requests()).toEqual([]);
    expect((await liveView(proxy, 'local')).breaker).toBe('Closed');
    await until(() => proxy.requests().length === 1, 'the log line');
    expect(proxy.requests()[0]).toMatchObject({status: code, error: 'upstream_refused', attempts: 1});
  });
});

describe('a model that the caller chose under a pattern', () => {
  const unknown = status(404, {message: 'The model `llama-9` does not exist', code: 'model_not_found'});
  const ask = (proxy: Harness) => post(proxy.url, chatBody({model: 'llama-9'}));

  it('is asked for on the next rung, and its 404 counts against nobody and is not remembered', async () => {
    local.behave(unknown);
    cloud.behave({do: 'answer'});
    const proxy = await start(['*']);
    cloud.behave(({body}) => ({
      do: 'status',
      status: 200,
      body: {choices: [{message: {content: 'from cloud'}}], asked: body},
    }));
    const response = await ask(proxy);
    expect(response.headers.get('x-modelroute-backend')).toBe('cloud');
    expect(await response.text()).toContain('from cloud');
    expect((await liveView(proxy, 'local')).breaker).toBe('Closed');
    await ask(proxy);
    expect(local.requests().length).toBe(2);
  });

  it('is a 404 in the backend’s words where no backend knows it', async () => {
    local.behave(unknown);
    cloud.behave(unknown);
    const response = await ask(await start(['*']));
    expect(response.status).toBe(404);
    expect((await errorOf(response)).code).toBe('model_not_found');
    expect(response.headers.get('x-modelroute-attempts')).toBe('2');
  });

  it('is no 404 where a backend that may know it is down', async () => {
    local.behave(status(503));
    cloud.behave(unknown);
    const response = await ask(await start(['*']));
    expect(response.status).toBe(502);
    const {code, message} = await errorOf(response);
    expect(code).toBe('backend_error');
    expect(message).toContain('local answered 503; cloud answered 404');
  });
});

describe('no caller can open a breaker', () => {
  it('by bad requests, however many', async () => {
    local.behave(status(400));
    const proxy = await start();
    for (let request = 0; request < 30; request += 1) expect((await post(proxy.url, chatBody())).status).toBe(400);
    expect((await liveView(proxy, 'local')).breaker).toBe('Closed');
  });

  it('by leaving, before or after the first token', async () => {
    const proxy = await start();
    for (const behaviour of [{do: 'hang'}, {do: 'hang', where: 'AfterTokens'}] as const) {
      local.behave(behaviour);
      const before = local.aborted();
      const controller = new AbortController();
      const asking = post(proxy.url, chatBody({stream: true}), {signal: controller.signal});
      asking.catch(() => {});
      await until(() => local.activeRequests() === 1, 'the backend is asked');
      if ('where' in behaviour) await asking;
      controller.abort();
      await until(() => local.aborted() === before + 1, 'the backend’s work is stopped');
    }
    await until(() => proxy.requests().length === 2, 'the log lines');
    const {breaker, inFlight} = await liveView(proxy, 'local');
    expect({breaker, inFlight}).toEqual({breaker: 'Closed', inFlight: 0});
    expect(cloud.requests()).toEqual([]);
  });

  it('by a prompt that is too long, however a backend words that', async () => {
    const proxy = await start();
    for (const [code, message] of [
      [400, "This model's maximum context length is 4096 tokens."],
      [500, 'the request exceeds the available context size'],
    ] as const) {
      local.behave(status(code, {message}));
      expect((await post(proxy.url, chatBody())).status).toBe(code);
    }
    expect((await liveView(proxy, 'local')).breaker).toBe('Closed');
  });
});

describe('a backend that cannot be connected to', () => {
  it('is at fault: the next one answers, and it is counted', async () => {
    const gone = await startUpstream();
    await gone.close();
    const backends = [
      {name: 'local', url: gone.url},
      {name: 'cloud', url: cloud.url, priority: 1},
    ];
    const proxy = await keep(startHarness({routes: {backends, circuitBreaker}}));
    const response = await post(proxy.url, chatBody());
    expect(response.headers.get('x-modelroute-backend')).toBe('cloud');
    expect((await liveView(proxy, 'local')).breaker).toBe('Open');
  });
});
