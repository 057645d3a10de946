/** What a client of Anthropic's sends besides a body, and the errors that it can read. */
import {afterAll, beforeAll, beforeEach, describe, expect, it} from '@jest/globals';
import type {BehaviourInput, Simulator} from '../../simulator/index.ts';
import {secret} from '../objects.ts';
import {keeper, post, startHarness, startUpstream, type Harness} from './harness.ts';
import {errorOf} from './ladder.ts';
import {messages} from './typed-streams.ts';

const {keep, closeAll} = keeper();
let upstream: Simulator;
let proxy: Harness;

beforeAll(async () => {
  upstream = await keep(startUpstream());
  const backend = {name: 'claude', url: upstream.url, model: 'chat', api: 'Anthropic'} as const;
  proxy = await keep(
    startHarness({
      routes: {
        chat: {backends: [{...backend, auth: {secretRef: {name: 'anthropic'}}}], retry: {maxAttempts: 1}},
        openai: {backends: [{name: 'gpt', url: upstream.url}]},
        empty: {backends: [{name: 'none', serviceRef: {name: 'nobody', port: 80}, api: 'Anthropic'}]},
        full: {backends: [{...backend, maxConcurrentRequests: 1}]},
        limited: {backends: [backend]},
      },
      secrets: [secret({name: 'anthropic', values: {apiKey: 'sk-of-the-gateway'}})],
      slices: [
        {namespace: 'team-a', serviceName: 'nobody', addressType: 'IPv4', ports: [{name: '', port: 80}], endpoints: []},
      ],
      gateway: {limits: {maxBodyBytes: '4Ki'}},
    }),
  );
});
beforeEach(() => upstream.reset());
afterAll(closeAll);

type Headers = Record<string, string>;

const ask = (fields: object = {}, headers: Headers = {}): Promise<Response> =>
  post(proxy.url, messages.body({stream: false, ...fields}), {path: '/v1/messages', headers});

const sent = async (
  path: string,
  headers: Headers,
): Promise<Simulator['requests'] extends () => (infer R)[] ? R : never> => {
  const response = await post(proxy.url, messages.body({stream: false}), {path, headers});
  expect(response.status).toBe(200);
  return upstream.requests().at(-1)!;
};

describe('a caller of Anthropic’s API', () => {
  it.each(['/v1/messages', '/v1/messages/count_tokens'])(
    'sends %s with the key of the gateway, not his own',
    async (path) => {
      const {headers, rawHeaders} = await sent(path, {
        'x-api-key': 'sk-of-the-caller',
        authorization: 'Bearer sk-of-the-caller',
      });
      expect(headers['x-api-key']).toBe('sk-of-the-gateway');
      expect(headers).not.toHaveProperty('authorization');
      expect(rawHeaders.join()).not.toContain('sk-of-the-caller');
    },
  );

  it.each(['/v1/messages', '/v1/messages/count_tokens'])('may leave out the version of %s', async (path) => {
    expect((await sent(path, {})).headers['anthropic-version']).toBe('2023-06-01');
  });

  it('may name a version and betas of his own', async () => {
    const given = {'anthropic-version': '2024-10-22', 'anthropic-beta': 'context-1m-2025-08-07,files-api-2025-04-14'};
    const {headers, rawHeaders} = await sent('/v1/messages', given);
    expect(headers).toMatchObject(given);
    expect(rawHeaders.filter((each) => each.toLowerCase() === 'anthropic-version')).toHaveLength(1);
  });

  it('gets a version where another header has that name as its value', async () => {
    const {headers} = await sent('/v1/messages', {'anthropic-beta': 'anthropic-version'});
    expect(headers['anthropic-version']).toBe('2023-06-01');
  });

  it('does not learn whose account the gateway pays with', async () => {
    upstream.behave({
      do: 'raw',
      headers: {
        'content-type': 'application/json',
        'anthropic-organization-id': 'org-of-the-gateway',
        'anthropic-ratelimit-requests-remaining': '7',
        'request-id': 'req_1',
      },
      chunks: [{text: '{"content": []}'}],
    });
    const {headers} = await ask();
    expect(headers.get('anthropic-organization-id')).toBeNull();
    expect(headers.get('anthropic-ratelimit-requests-remaining')).toBe('7');
    expect(headers.get('request-id')).toBe(headers.get('x-request-id')); // the one that the log has
  });
});

type Case = {
  asked: () => Promise<Response>;
  status: number;
  type: string;
  code: string;
};

const told = (behaviour: BehaviourInput, model = 'chat'): Promise<Response> => {
  upstream.behave(behaviour);
  return ask({model});
};

const raw = (path: string, init: RequestInit): Promise<Response> => fetch(`${proxy.url}${path}`, init);
const json = {'content-type': 'application/json'};

const cases: Case[] = [
  {
    code: 'invalid_json',
    status: 400,
    type: 'invalid_request_error',
    asked: () => post(proxy.url, '{', {path: '/v1/messages'}),
  },
  {
    code: 'missing_model',
    status: 400,
    type: 'invalid_request_error',
    asked: () => post(proxy.url, '{}', {path: '/v1/messages/count_tokens'}),
  },
  {code: 'invalid_value', status: 400, type: 'invalid_request_error', asked: () => ask({stream: 'yes'})},
  {code: 'model_not_found', status: 404, type: 'not_found_error', asked: () => ask({model: 'nobody'})},
  {code: 'api_not_supported', status: 404, type: 'not_found_error', asked: () => ask({model: 'openai'})},
  {
    code: 'unknown_path',
    status: 404,
    type: 'not_found_error',
    asked: () => raw('/v1/messages/batches/msgbatch_1', {method: 'GET'}),
  },
  {
    code: 'method_not_allowed',
    status: 405,
    type: 'invalid_request_error',
    asked: () => raw('/v1/messages', {method: 'GET'}),
  },
  {code: 'body_too_large', status: 413, type: 'request_too_large', asked: () => ask({system: 'x'.repeat(5_000)})},
  {
    code: 'unsupported_media_type',
    status: 415,
    type: 'invalid_request_error',
    asked: () =>
      raw('/v1/messages', {method: 'POST', body: messages.body(), headers: {...json, 'content-type': 'text/plain'}}),
  },
  {
    code: 'backend_rate_limited',
    status: 429,
    type: 'rate_limit_error',
    asked: () => told({do: 'status', status: 429, headers: {'retry-after': '3600'}}, 'limited'),
  },
  {code: 'backend_error', status: 502, type: 'api_error', asked: () => told({do: 'status', status: 500})},
  {code: 'backend_refused', status: 502, type: 'api_error', asked: () => told({do: 'status', status: 401})},
  {code: 'backend_reset', status: 502, type: 'api_error', asked: () => told({do: 'reset'})},
  {code: 'no_backend_available', status: 503, type: 'overloaded_error', asked: () => ask({model: 'empty'})},
  {
    code: 'backends_full',
    status: 503,
    type: 'overloaded_error',
    async asked() {
      upstream.behave({do: 'hang', where: 'AfterTokens'});
      const occupying = await ask({model: 'full', stream: true});
      try {
        return await ask({model: 'full'});
      } finally {
        await occupying.body?.cancel();
      }
    },
  },
];

describe('an error of ours to a caller of Anthropic’s API', () => {
  beforeEach(() => upstream.reset());

  it.each(cases)(
    '$code has the shape and the type $type that his client knows',
    async ({asked, status, type, code}) => {
      const response = await asked();
      expect(response.status).toBe(status);
      expect(await response.json()).toEqual({
        type: 'error',
        error: {type, code, details: {error_code: code}, message: expect.stringMatching(/.{10}/)},
        request_id: response.headers.get('x-request-id'),
      });
    },
  );

  it('has the shape of OpenAI elsewhere', async () => {
    expect(await errorOf(await raw('/v1/messagesx', {method: 'GET'}))).toMatchObject({code: 'unknown_path'});
    expect(await errorOf(await post(proxy.url, '{', {path: '/v1/responses'}))).toMatchObject({code: 'invalid_json'});
  });
});

describe('the list of models', () => {
  const get = async (path: string, headers: Headers = {}): Promise<unknown> =>
    (await fetch(`${proxy.url}${path}`, {headers})).json();
  const version = {'anthropic-version': '2023-06-01'};
  const model = (id: string): object => ({type: 'model', id, display_name: id, created_at: expect.any(String)});

  it('has the shape that a client of Anthropic’s knows, if he names a version', async () => {
    expect(await get('/v1/models', version)).toEqual({
      data: ['chat', 'empty', 'full', 'limited', 'openai'].map(model),
      has_more: false,
      first_id: 'chat',
      last_id: 'openai',
    });
    expect(await get('/v1/models/chat', version)).toEqual(model('chat'));
  });

  it('has OpenAI’s shape for all others', async () => {
    expect(await get('/v1/models')).toMatchObject({object: 'list'});
    expect(await get('/v1/models/chat')).toMatchObject({object: 'model', id: 'chat'});
  });
});
