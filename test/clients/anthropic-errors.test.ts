/** Anthropic's official client as a caller: errors as the typed exceptions that its users catch, and its own retries. */
import Anthropic, {
  APIConnectionError,
  type APIError,
  BadRequestError,
  GatewayTimeoutError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
  ServiceUnavailableError,
} from '@anthropic-ai/sdk';
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals';
import type {BehaviourInput, Simulator} from '../../simulator/index.ts';
import {keeper, startHarness} from '../proxy/harness.ts';
import {until} from '../until.ts';
import {callersKey, collectUntilRaised, onlyRequest, raised, startField, type Field} from './field.ts';

const {keep, closeAll} = keeper();
let field: Field;
let upstream: Simulator;
let client: Anthropic;

const clientOf = (baseURL: string, options: object = {}): Anthropic =>
  new Anthropic({baseURL, apiKey: callersKey, maxRetries: 0, ...options});

beforeEach(async () => {
  field = await startField(keep, 'Anthropic');
  ({upstream} = field);
  client = clientOf(field.proxy.url);
});
afterEach(() => field.settled().finally(closeAll));

const asked = {model: 'chat', max_tokens: 100};
const messages: Anthropic.MessageParam[] = [{role: 'user', content: 'Hi'}];

const plain = (fields: object = {}, by = client): Promise<Anthropic.Message> =>
  by.messages.create({...asked, messages, ...fields});
const streamed = (fields: object = {}, options: Anthropic.RequestOptions = {}) =>
  client.messages.create({...asked, messages, stream: true, ...fields}, options);

/** What our errors look like to this client. */
const ours = (type: string, code: string): object => ({
  type,
  apiMessage: expect.any(String),
  error: {type: 'error', error: {type, code}, request_id: expect.stringMatching(/^[\da-f-]{36}$/)},
});

const failing = (status: number, fields: object = {}): BehaviourInput => ({do: 'status', status, ...fields});
const refusal = {type: 'error', error: {type: 'invalid_request_error', message: 'No.'}, request_id: 'req_1'};

describe('the anthropic client raises', () => {
  it.each<[string, BehaviourInput, new (...args: never[]) => Error, object]>([
    [
      'BadRequestError in the words of the backend that refuses',
      failing(400, {body: refusal}),
      BadRequestError,
      {status: 400, error: refusal, type: 'invalid_request_error', apiMessage: 'No.'},
    ],
    [
      'RateLimitError',
      failing(429, {headers: {'retry-after': '7'}}),
      RateLimitError,
      {status: 429, ...ours('rate_limit_error', 'backend_rate_limited')},
    ],
    [
      'InternalServerError for a backend that fails',
      failing(500),
      InternalServerError,
      {status: 502, ...ours('api_error', 'backend_error')},
    ],
    [
      'InternalServerError for a backend that is overloaded',
      failing(529),
      InternalServerError,
      {status: 502, ...ours('api_error', 'backend_error')},
    ],
    [
      'InternalServerError, not AuthenticationError, for the gateway’s own key',
      failing(401),
      InternalServerError,
      {status: 502, ...ours('api_error', 'backend_refused')},
    ],
    [
      'InternalServerError for a backend that breaks off',
      {do: 'reset'},
      InternalServerError,
      {status: 502, ...ours('api_error', 'backend_reset')},
    ],
    [
      'InternalServerError for an answer that is none',
      {do: 'notJson'},
      InternalServerError,
      {status: 502, ...ours('api_error', 'backend_malformed_reply')},
    ],
  ])('%s, plain and streamed', async (_, behaviour, type, expected) => {
    upstream.behave(behaviour);
    const errors = await Promise.all([raised(plain()), raised(streamed())]);
    for (const error of errors) {
      expect(error).toBeInstanceOf(type);
      expect(error).toMatchObject(expected);
      expect((error as Error).message).not.toContain('127.0.0.1');
    }
    expect(upstream.requests()).toHaveLength(2);
  });

  it('RateLimitError with the header that it waits by', async () => {
    upstream.behave(failing(429, {headers: {'retry-after': '7'}}));
    const error = (await raised(plain())) as RateLimitError;
    expect(error.headers?.get('retry-after')).toBe('7');
  });

  it.each([
    ['a message', () => plain({model: 'claude-nobody'})],
    ['a stream', () => streamed({model: 'claude-nobody'})],
    ['a count', () => client.messages.countTokens({model: 'claude-nobody', messages})],
    ['a look-up', () => client.models.retrieve('claude-nobody')],
  ])('NotFoundError for %s of a model that nobody serves', async (_, ask) => {
    expect(await raised(ask())).toMatchObject({
      constructor: NotFoundError,
      status: 404,
      ...ours('not_found_error', 'model_not_found'),
    });
    expect(upstream.requests()).toEqual([]);
  });

  it('errors with our code where it looks for a stable one', async () => {
    upstream.behave({do: 'reset'});
    expect(await raised(plain())).toMatchObject({errorCode: 'backend_reset'});
    upstream.behave({do: 'cut', afterTokens: 2});
    expect((await collectUntilRaised(streamed())).error).toMatchObject({errorCode: 'stream_cut'});
  });

  it('errors with the id that our log knows the request by', async () => {
    upstream.behave({do: 'reset'});
    const error = (await raised(plain())) as APIError;
    await until(() => field.proxy.requests().length === 1, 'the log line');
    expect(error.requestID).toBe(field.proxy.requests()[0]?.['requestId']);
  });

  it('NotFoundError for a model whose backends speak another API', async () => {
    const own = await keep(startHarness({routes: {backends: [{name: 'local', url: upstream.url}]}}));
    expect(await raised(plain({}, clientOf(own.url)))).toMatchObject({
      constructor: NotFoundError,
      ...ours('not_found_error', 'api_not_supported'),
      apiMessage: expect.stringContaining('api: Anthropic'),
    });
  });

  it('NotFoundError with the paths that there are for a base URL that ends in /v1', async () => {
    expect(await raised(plain({}, clientOf(`${field.proxy.url}/v1`)))).toMatchObject({
      constructor: NotFoundError,
      message: expect.stringContaining('/v1/messages'),
    });
  });

  it('NotFoundError for files, which name no model', async () => {
    expect(await raised(client.beta.files.list())).toMatchObject({
      constructor: NotFoundError,
      error: {error: {code: 'unknown_path'}},
    });
  });

  it('BadRequestError for a batch, which no route can be chosen for', async () => {
    const requests = [{custom_id: 'one', params: {...asked, messages}}];
    expect(await raised(client.messages.batches.create({requests}))).toMatchObject({
      constructor: BadRequestError,
      ...ours('invalid_request_error', 'missing_model'),
    });
  });

  it('ServiceUnavailableError for a backend that is full', async () => {
    const backends = [{name: 'local', url: upstream.url, api: 'Anthropic' as const, maxConcurrentRequests: 1}];
    const own = await keep(startHarness({routes: {backends}}));
    upstream.behave({do: 'hang', where: 'AfterTokens'});
    for await (const {type} of await clientOf(own.url).messages.create({...asked, messages, stream: true})) {
      if (type !== 'content_block_delta') continue;
      expect(await raised(plain({}, clientOf(own.url)))).toMatchObject({
        constructor: ServiceUnavailableError,
        status: 503,
        ...ours('overloaded_error', 'backends_full'),
      });
      break;
    }
  });

  it('GatewayTimeoutError for a backend that does not answer in its time', async () => {
    const backends = [{name: 'local', url: upstream.url, api: 'Anthropic' as const}];
    const own = await keep(startHarness({routes: {backends, timeouts: {attempt: '100ms'}}}));
    upstream.behave({do: 'hang'});
    expect(await raised(plain({}, clientOf(own.url)))).toMatchObject({
      constructor: GatewayTimeoutError,
      ...ours('timeout_error', 'backend_timeout'),
    });
  });

  it('APIConnectionError where no ModelRoute listens', async () => {
    const gone = await startHarness({routes: {backends: [{name: 'local', url: upstream.url}]}});
    await gone.close();
    expect(await raised(plain({}, clientOf(gone.url)))).toMatchObject({constructor: APIConnectionError});
  });
});

describe('the anthropic client retries by itself', () => {
  it('what may go better, and gets its answer', async () => {
    upstream.behave(failing(529), {times: 1});
    const {content} = await plain({}, clientOf(field.proxy.url, {maxRetries: 1}));
    expect(content).toHaveLength(1);
    expect(upstream.requests()).toHaveLength(2);
  });

  it('as late as it is told to', async () => {
    upstream.behave(failing(429, {headers: {'retry-after': '1'}}), {times: 1});
    // Asked earlier it would be refused once more, because the backend is held until then, and would give up.
    const {content} = await plain({}, clientOf(field.proxy.url, {maxRetries: 1}));
    expect(content).toHaveLength(1);
    await until(() => field.proxy.requests().length === 2, 'both are logged');
    expect(field.proxy.requests().map(({status}) => status)).toEqual([429, 200]);
  });

  it('never what is its own fault', async () => {
    upstream.behave(failing(400));
    await raised(plain({}, clientOf(field.proxy.url, {maxRetries: 3})));
    expect(onlyRequest(upstream).status).toBe(400);
  });
});
