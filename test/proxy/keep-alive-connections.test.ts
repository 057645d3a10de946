import {Agent, request as httpRequest} from 'node:http';
import {text} from 'node:stream/consumers';
import {afterAll, beforeAll, beforeEach, describe, expect, it} from '@jest/globals';
import type {Simulator} from '../../simulator/index.ts';
import {until} from '../until.ts';
import {chatBody, keeper, startHarness, startUpstream, type Harness} from './harness.ts';
import {errorIn, openRaw, rawPost, readAnswers} from './raw-caller.ts';

const {keep, closeAll} = keeper();
let upstream: Simulator;
let proxy: Harness;

beforeAll(async () => {
  upstream = await keep(startUpstream());
  proxy = await keep(
    startHarness({
      routes: {backends: [{name: 'local', url: upstream.url}]},
      gateway: {limits: {maxBodyBytes: '100Ki'}},
    }),
  );
});
beforeEach(() => upstream.reset());
afterAll(closeAll);

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: models\r\n\r\n`;
const statuses = (received: string): number[] =>
  readAnswers(received)
    .filter(({whole}) => whole)
    .map(({status}) => status);

describe('a connection of a caller', () => {
  it('carries one request after the other, and so does the one to the backend', async () => {
    const agent = new Agent({keepAlive: true, maxSockets: 1});
    const ports = new Set<number | undefined>();
    const connections = upstream.totalConnections();
    for (let round = 0; round < 10; round += 1) {
      const answer = await new Promise<string>((resolve, reject) => {
        const request = httpRequest(
          `${proxy.url}/v1/chat/completions`,
          {agent, method: 'POST', headers: {'content-type': 'application/json'}},
          (response) => resolve(text(response)),
        );
        request
          .once('error', reject)
          .once('socket', (socket) =>
            socket.connecting ? socket.once('connect', () => ports.add(socket.localPort)) : ports.add(socket.localPort),
          );
        request.end(chatBody({stream: round % 2 === 0}));
      });
      expect(answer).toContain('Hello');
    }
    agent.destroy();
    expect(ports.size).toBe(1);
    expect(upstream.totalConnections() - connections).toBeLessThanOrEqual(1);
  });

  it.each<[string, string, number]>([
    ['a body that is not JSON', rawPost('{'), 400],
    ['a body over the limit', rawPost('x'.repeat(150_000)), 413],
    ['a path that takes no body', `POST /v1/models HTTP/1.1\r\nhost: models\r\ncontent-length: 5\r\n\r\nhello`, 405],
    [
      'a path that nobody has',
      `POST /nowhere HTTP/1.1\r\nhost: models\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
      404,
    ],
    ['a type that is not JSON', rawPost(chatBody()).replace('application/json', 'text/html'), 415],
    ['a model that nobody serves', rawPost(chatBody({model: 'x'})), 404],
  ])('lives on after a request with %s', async (_, bad, status) => {
    const caller = await keep(openRaw(proxy.port));
    caller.write(bad);
    await until(() => statuses(caller.received()).length === 1, 'the refusal');
    caller.write(rawPost(chatBody()));
    await until(() => statuses(caller.received()).length === 2, 'the answer');
    expect(statuses(caller.received())).toEqual([status, 200]);
    expect(caller.isClosed()).toBe(false);
  });

  it('lives on after a backend has failed', async () => {
    upstream.behave({do: 'status', status: 503, headers: {'retry-after': '0'}});
    const caller = await keep(openRaw(proxy.port));
    caller.write(rawPost(chatBody()));
    await until(() => statuses(caller.received()).length === 1, 'the error');
    upstream.reset();
    caller.write(rawPost(chatBody()));
    await until(() => statuses(caller.received()).length === 2, 'the answer');
    expect(statuses(caller.received())).toEqual([502, 200]);
  });

  it('is closed when the caller says so', async () => {
    const caller = await keep(openRaw(proxy.port));
    caller.write(rawPost(chatBody(), 'connection: close\r\n'));
    await caller.closed();
    expect(statuses(caller.received())).toEqual([200]);
  });

  it('is closed after an answer in HTTP/1.0', async () => {
    const caller = await keep(openRaw(proxy.port));
    caller.write(rawPost(chatBody()).replace('HTTP/1.1', 'HTTP/1.0'));
    await caller.closed();
    expect(statuses(caller.received())).toEqual([200]);
  });
});

describe('requests that are sent without waiting for answers', () => {
  it('are answered in their order, whatever each of them takes', async () => {
    upstream.behave(({body}) => ({do: 'delay', ms: (body as {wait: number}).wait}));
    const caller = await keep(openRaw(proxy.port));
    caller.write(
      [
        rawPost(chatBody({wait: 60, user: 'first'})),
        get('/v1/models/nobody'),
        rawPost(chatBody({wait: 0, stream: true})),
        get('/v1/models'),
        rawPost(chatBody({wait: 20, messages: []})),
      ].join(''),
    );
    await until(() => statuses(caller.received()).length === 5, 'all answers');
    const answers = readAnswers(caller.received());
    expect(answers.map(({status}) => status)).toEqual([200, 404, 200, 200, 400]);
    expect(errorIn(answers[1]!).code).toBe('model_not_found');
    expect(answers[2]?.headers['content-type']).toContain('text/event-stream');
    expect(answers[2]?.body.trimEnd().endsWith('data: [DONE]')).toBe(true);
    expect(answers[3]?.body).toContain('"object":"list"');
  });

  it('end upstream, all of them, when the caller leaves', async () => {
    upstream.behave({do: 'hang'});
    const caller = await keep(openRaw(proxy.port));
    const logged = proxy.requests().length;
    caller.write(rawPost(chatBody()).repeat(3));
    await until(() => upstream.activeRequests() === 3, 'all are asked');
    await caller.close();
    await until(() => upstream.activeRequests() === 0, 'all have ended');
    await until(() => proxy.requests().length === logged + 3, 'each has its log line');
    expect(proxy.requests().slice(logged)).toEqual(
      Array.from({length: 3}, () => expect.objectContaining({status: 499, error: 'caller_gone'})),
    );
  });
});
