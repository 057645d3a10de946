import {afterAll, beforeAll, describe, expect, it} from '@jest/globals';
import type {Simulator} from '../../simulator/index.ts';
import {until} from '../until.ts';
import {chatBody, keeper, startHarness, startUpstream, type Harness} from './harness.ts';
import {exchange, type ErrorAnswer} from './raw-caller.ts';

const {keep, closeAll} = keeper();
let upstream: Simulator;
let proxy: Harness;

beforeAll(async () => {
  upstream = await keep(startUpstream());
  const backends = [{name: 'local', url: upstream.url}];
  proxy = await keep(
    startHarness({
      routes: {
        chat: {modelNames: ['chat', 'llama-3.1-8b'], backends},
        other: {modelNames: ['llama-3.1-70b'], backends},
      },
      gateway: {limits: {maxBodyBytes: '2Mi'}},
    }),
  );
});
afterAll(closeAll);

type Asked = {
  body?: string | Uint8Array | ReadableStream;
  method?: string;
  path?: string;
  headers?: Record<string, string>;
};

const ask = ({body, method = 'POST', path = '/v1/chat/completions', headers = {}}: Asked): Promise<Response> =>
  fetch(`${proxy.url}${path}`, {
    method,
    headers: {'content-type': 'application/json', ...headers},
    ...(body === undefined ? {} : {body}),
    ...(body instanceof ReadableStream ? {duplex: 'half'} : {}),
  });

const errorOf = async (response: Response): Promise<ErrorAnswer['error']> =>
  ((await response.json()) as ErrorAnswer).error;

const chunked = (text: string): ReadableStream => new Blob([text]).stream();

const nested = (depth: number): string => `{"model":"chat","x":${'['.repeat(depth)}${']'.repeat(depth)}}`;

type Expected = {status: number; code: string; param?: string | null; says?: RegExp};

const refusals: Record<string, Asked & {expected: Expected}> = {
  'an empty body': {body: '', expected: {status: 400, code: 'invalid_json'}},
  'a body that is not JSON': {body: 'model=chat', expected: {status: 400, code: 'invalid_json', says: /object/}},
  'a body that ends too early': {
    body: '{"model": "chat", "messages": [',
    expected: {status: 400, code: 'invalid_json'},
  },
  'something behind the end of the object': {body: `${chatBody()}{}`, expected: {status: 400, code: 'invalid_json'}},
  'a list': {body: '["chat"]', expected: {status: 400, code: 'invalid_json', says: /object/}},
  'a string': {body: '"chat"', expected: {status: 400, code: 'invalid_json', says: /object/}},
  null: {body: 'null', expected: {status: 400, code: 'invalid_json', says: /object/}},
  'brackets 100,000 deep': {
    body: nested(100_000),
    expected: {status: 400, code: 'invalid_json', says: /nested deeper/},
  },
  'a body that is not UTF-8': {
    body: Uint8Array.from([...Buffer.from('{"model":"chat","x":"'), 0xc3, 0x28, ...Buffer.from('"}')]),
    expected: {status: 400, code: 'invalid_json', says: /UTF-8/},
  },
  'no model': {body: '{"messages": []}', expected: {status: 400, code: 'missing_model', param: 'model'}},
  'a number as model': {body: '{"model": 7}', expected: {status: 400, code: 'invalid_value', param: 'model'}},
  'null as model': {body: '{"model": null}', expected: {status: 400, code: 'invalid_value', param: 'model'}},
  'an object as model': {
    body: '{"model": {"name": "chat"}}',
    expected: {status: 400, code: 'invalid_value', param: 'model'},
  },
  'an empty model': {body: '{"model": ""}', expected: {status: 400, code: 'invalid_value', param: 'model'}},
  'a model with a broken escape in it': {body: '{"model": "ch\\qat"}', expected: {status: 400, code: 'invalid_json'}},
  'two models': {
    body: '{"model": "chat", "model": "chat"}',
    expected: {status: 400, code: 'invalid_json', param: 'model', says: /twice/},
  },
  'two models, one of them spelt with an escape': {
    body: '{"model": "chat", "mod\\u0065l": "other"}',
    expected: {status: 400, code: 'invalid_json', param: 'model', says: /twice/},
  },
  'stream as a string': {
    body: chatBody({stream: 'yes'}),
    expected: {status: 400, code: 'invalid_value', param: 'stream'},
  },
  'stream as a number': {body: chatBody({stream: 1}), expected: {status: 400, code: 'invalid_value', param: 'stream'}},
  'two streams': {
    body: '{"model": "chat", "stream": false, "stream": true}',
    expected: {status: 400, code: 'invalid_json', param: 'stream'},
  },
  'a model that no route serves': {
    body: chatBody({model: 'gpt-4'}),
    expected: {status: 404, code: 'model_not_found', param: 'model', says: /GET \/v1\/models/},
  },
  'a model name with a slip': {
    body: chatBody({model: 'caht'}),
    expected: {status: 404, code: 'model_not_found', param: 'model', says: /Did you mean "chat"\?/},
  },
  'a model name that is nearly two': {
    body: chatBody({model: 'llama-3.1-7b'}),
    expected: {status: 404, code: 'model_not_found', param: 'model', says: /"llama-3\.1-70b" or "llama-3\.1-8b"/},
  },
  'a model name that another object has in its prototype': {
    body: chatBody({model: '__proto__'}),
    expected: {status: 404, code: 'model_not_found', param: 'model'},
  },
  'text/plain': {
    body: chatBody(),
    headers: {'content-type': 'text/plain'},
    expected: {status: 415, code: 'unsupported_media_type', says: /application\/json/},
  },
  'a form': {
    body: 'model=chat',
    headers: {'content-type': 'application/x-www-form-urlencoded'},
    expected: {status: 415, code: 'unsupported_media_type'},
  },
  'JSON in another charset': {
    body: chatBody(),
    headers: {'content-type': 'application/json; charset=utf-16'},
    expected: {status: 415, code: 'unsupported_media_type', says: /UTF-8/},
  },
  'a compressed body': {
    body: chatBody(),
    headers: {'content-encoding': 'gzip'},
    expected: {status: 415, code: 'unsupported_media_type', says: /compressed/},
  },
  'a declared length over the limit': {
    body: 'x'.repeat(2_100_000),
    expected: {status: 413, code: 'body_too_large', says: /2097152/},
  },
  'a chunked body over the limit': {
    body: chunked('x'.repeat(2_100_000)),
    expected: {status: 413, code: 'body_too_large', says: /2097152/},
  },
  'a path that no API has': {
    path: '/v2/chat/completions',
    body: chatBody(),
    expected: {status: 404, code: 'unknown_path', says: /\/v1\/chat\/completions/},
  },
  'a path without /v1': {path: '/chat/completions', body: chatBody(), expected: {status: 404, code: 'unknown_path'}},
  'a path that is not percent-encoded UTF-8': {
    method: 'GET',
    path: '/v1/models/%E0%A4%A',
    expected: {status: 404, code: 'unknown_path'},
  },
};

describe('a bad request', () => {
  it.each(Object.keys(refusals))(
    'is refused for %s, in the shape of OpenAI, and never reaches a backend',
    async (title) => {
      const {expected, ...asked} = refusals[title]!;
      const before = upstream.requests().length;
      const response = await ask(asked);
      expect(response.status).toBe(expected.status);
      expect(response.headers.get('content-type')).toBe('application/json');
      expect(response.headers.get('x-request-id')).toMatch(/^[\w-]{36}$/);
      const error = await errorOf(response);
      expect(error).toEqual({
        message: expect.stringMatching(expected.says ?? /./),
        type: 'invalid_request_error',
        param: expected.param ?? null,
        code: expected.code,
      });
      expect(upstream.requests()).toHaveLength(before);
    },
  );

  it.each([
    ['/v1/chat/completions', 'GET', 'POST'],
    ['/v1/chat/completions', 'DELETE', 'POST'],
    ['/v1/embeddings', 'OPTIONS', 'POST'],
    ['/v1/models', 'POST', 'GET, HEAD'],
    ['/v1/models/chat', 'DELETE', 'GET, HEAD'],
  ])('to %s with %s is told the right method', async (path, method, allow) => {
    const response = await ask({path, method});
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe(allow);
    expect(await errorOf(response)).toMatchObject({code: 'method_not_allowed', type: 'invalid_request_error'});
  });

  it('with a megabyte as model name is refused without being quoted whole', async () => {
    const response = await ask({body: chatBody({model: 'm'.repeat(1_000_000)})});
    expect(response.status).toBe(404);
    const {code, message} = await errorOf(response);
    expect(code).toBe('model_not_found');
    expect(message.length).toBeLessThan(400);
    await until(() => proxy.requests().at(-1)?.['error'] === 'model_not_found', 'its log line');
    expect(String(proxy.requests().at(-1)?.['model']).length).toBeLessThanOrEqual(128);
  });
});

describe('a request that is only unusual', () => {
  it.each<[string, Asked]>([
    ['white space around the object', {body: `\n\t ${chatBody()} \r\n`}],
    ['a model spelt with escapes', {body: chatBody().replace('"chat"', '"\\u0063hat"')}],
    ['a chunked body', {body: chunked(chatBody())}],
    ['null as stream', {body: chatBody({stream: null})}],
    [
      'a charset in capitals and quotes',
      {body: chatBody(), headers: {'content-type': 'application/json; charset="UTF-8"'}},
    ],
    ['identity as encoding', {body: chatBody(), headers: {'content-encoding': 'Identity'}}],
    ['a query', {body: chatBody(), path: '/v1/chat/completions?api-version=1'}],
    [
      'brackets 400 deep, which some tool schemas nearly have',
      {body: chatBody({x: JSON.parse('['.repeat(400) + ']'.repeat(400)) as object})},
    ],
    ['a key twice that is not read here', {body: chatBody().replace('{', '{"user": "a", "user": "b", ')}],
  ])('is served: %s', async (_, asked) => {
    const response = await ask(asked);
    expect(await response.text()).toContain('Hello');
    expect(response.status).toBe(200);
  });

  it('is refused without a content-type, which a web page could send to a proxy on its reader’s machine', async () => {
    const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: models\r\nconnection: close\r\ncontent-length: ${chatBody().length}`;
    const [answer] = await exchange(proxy.port, `${head}\r\n\r\n${chatBody()}`);
    expect(answer?.status).toBe(415);
  });
});
