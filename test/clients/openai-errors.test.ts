/** The official client as a caller: errors as the typed exceptions that its users catch, its own retries, and leaving. */
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals';
import OpenAI, {
  APIConnectionError,
  APIError,
  APIUserAbortError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
  UnprocessableEntityError,
} from 'openai';
import type {BehaviourInput, Simulator} from '../../simulator/index.ts';
import {keeper, startHarness, startUpstream} from '../proxy/harness.ts';
import {until} from '../until.ts';
import {
  callersKey,
  collect,
  collectUntilRaised,
  onlyRequest,
  raised,
  startField,
  wasLeft,
  type Field,
} from './field.ts';

const {keep, closeAll} = keeper();
let field: Field;
let upstream: Simulator;
let client: OpenAI;

const clientOf = (url: string, options: object = {}): OpenAI =>
  new OpenAI({baseURL: `${url}/v1`, apiKey: callersKey, maxRetries: 0, ...options});

beforeEach(async () => {
  field = await startField(keep);
  ({upstream} = field);
  client = clientOf(field.proxy.url);
});
afterEach(() => field.settled().finally(closeAll));

const messages = [{role: 'user', content: 'Hi'}] satisfies OpenAI.ChatCompletionMessageParam[];

const plain = (fields: object = {}, by = client): Promise<OpenAI.ChatCompletion> =>
  by.chat.completions.create({model: 'chat', messages, ...fields});
const streamed = (fields: object = {}, options: OpenAI.RequestOptions = {}) =>
  client.chat.completions.create({model: 'chat', messages, stream: true, ...fields}, options);

type Raises = [behaviour: BehaviourInput, type: new (...args: never[]) => Error, expected: object];

const failing = (status: number, fields: object = {}): BehaviourInput => ({do: 'status', status, ...fields});
const refusal = {message: 'No.', type: 'invalid_request_error', param: 'top_p', code: 'too_big'};

describe('the openai client raises', () => {
  it.each<[string, ...Raises]>([
    [
      'BadRequestError in the words of the backend that refuses',
      failing(400, {body: {error: refusal}}),
      BadRequestError,
      {status: 400, error: refusal, code: 'too_big', param: 'top_p'},
    ],
    ['UnprocessableEntityError for what the backend cannot do', failing(422), UnprocessableEntityError, {status: 422}],
    [
      'RateLimitError with our code',
      failing(429, {headers: {'retry-after': '7'}}),
      RateLimitError,
      {status: 429, code: 'backend_rate_limited', type: 'rate_limit_error'},
    ],
    [
      'InternalServerError for a backend that fails',
      failing(500),
      InternalServerError,
      {status: 502, code: 'backend_error', type: 'api_error'},
    ],
    [
      'InternalServerError, not AuthenticationError, for the gateway’s own key',
      failing(401),
      InternalServerError,
      {status: 502, code: 'backend_refused'},
    ],
    [
      'InternalServerError for a backend that breaks off',
      {do: 'reset'},
      InternalServerError,
      {status: 502, code: 'backend_reset'},
    ],
    [
      'InternalServerError for an answer that is none',
      {do: 'notJson'},
      InternalServerError,
      {status: 502, code: 'backend_malformed_reply'},
    ],
  ])('%s, plain and streamed', async (_, behaviour, type, expected) => {
    upstream.behave(behaviour);
    // With options of its own: what ModelRoute puts in, and a backend may not know, it leaves out when it asks again.
    const errors = await Promise.all([raised(plain()), raised(streamed({stream_options: {include_usage: true}}))]);
    for (const error of errors) {
      expect(error).toBeInstanceOf(type);
      expect(error).toMatchObject({...expected, requestID: expect.stringMatching(/^[\da-f-]{36}$/)});
      expect((error as Error).message).not.toContain('127.0.0.1');
    }
    expect(upstream.requests()).toHaveLength(2);
  });

  it('RateLimitError with the header that it waits by', async () => {
    upstream.behave(failing(429, {headers: {'retry-after': '7'}}));
    const error = (await raised(plain())) as RateLimitError;
    expect(error.headers?.get('retry-after')).toBe('7');
    expect(await raised(plain())).toBeInstanceOf(RateLimitError); // the backend is left alone until then
    expect(upstream.requests()).toHaveLength(1);
  });

  it('NotFoundError with code and param for a model that nobody serves', async () => {
    expect(await raised(plain({model: 'gpt-nobody'}))).toMatchObject({
      constructor: NotFoundError,
      status: 404,
      code: 'model_not_found',
      param: 'model',
      type: 'invalid_request_error',
    });
    expect(upstream.requests()).toEqual([]);
  });

  it('NotFoundError for an API that no backend of the model speaks', async () => {
    const backends = [{name: 'claude', url: upstream.url, api: 'Anthropic' as const}];
    const own = await keep(startHarness({routes: {backends}}));
    expect(await raised(plain({}, clientOf(own.url)))).toMatchObject({
      constructor: NotFoundError,
      code: 'api_not_supported',
      message: expect.stringContaining('api: OpenAI'),
    });
  });

  it.each([
    ['files', () => client.files.list()],
    ['batches', () => client.batches.list()],
    ['fine-tuning jobs', () => client.fineTuning.jobs.list()],
    ['vector stores', () => client.vectorStores.list()],
  ])('NotFoundError for %s, which name no model', async (_, ask) => {
    expect(await raised(ask())).toMatchObject({constructor: NotFoundError, code: 'unknown_path'});
  });

  it('BadRequestError for a conversation that is to be kept, which names no model', async () => {
    expect(await raised(client.conversations.create())).toMatchObject({
      constructor: BadRequestError,
      code: 'missing_model',
    });
  });

  it('BadRequestError with the code that its users look for if the prompt is too long', async () => {
    const small = await keep(startUpstream({contextWindow: 5}));
    const own = await keep(startHarness({routes: {backends: [{name: 'small', url: small.url}]}}));
    const long = [{role: 'user', content: 'word '.repeat(100)}];
    expect(await raised(plain({messages: long}, clientOf(own.url)))).toMatchObject({
      constructor: BadRequestError,
      code: 'context_length_exceeded',
    });
  });

  it('InternalServerError for a backend that nobody can reach', async () => {
    const gone = await startUpstream();
    await gone.close();
    const own = await keep(startHarness({routes: {backends: [{name: 'gone', url: gone.url}]}}));
    expect(await raised(plain({}, clientOf(own.url)))).toMatchObject({
      constructor: InternalServerError,
      status: 502,
      code: 'backend_connect_failed',
    });
  });

  it('APIConnectionError where no ModelRoute listens', async () => {
    const gone = await startHarness({routes: {backends: [{name: 'local', url: upstream.url}]}});
    await gone.close();
    expect(await raised(plain({}, clientOf(gone.url)))).toMatchObject({constructor: APIConnectionError});
  });
});

describe('out of the iterator of a stream the openai client raises', () => {
  const text = ['one', ' two', ' three'];

  it.each<[string, BehaviourInput]>([
    ['is cut', {do: 'cut', afterTokens: 2, text}],
    ['ends too soon', {do: 'cut', afterTokens: 2, graceful: true, text}],
    ['is reset', {do: 'reset', where: 'AfterTokens', tokens: 2, text}],
    ['is ended by an error of the backend', {do: 'errorEvent', afterTokens: 2, text}],
  ])('APIError when it %s, behind the pieces that came', async (_, behaviour) => {
    upstream.behave(behaviour);
    const {all, error} = await collectUntilRaised(streamed());
    expect(all.map(({choices}) => choices[0]?.delta.content ?? '').join('')).toBe('one two');
    expect(all.every(({choices}) => choices[0]?.finish_reason === null)).toBe(true);
    expect(error).toMatchObject({
      constructor: APIError,
      code: 'stream_cut',
      type: 'api_error',
      error: {backend: 'local', attempts: 1},
    });
    expect((error as Error).message).not.toContain('127.0.0.1');
  });

  it('APIError also of a completion that is cut', async () => {
    upstream.behave({do: 'cut', afterTokens: 2, text});
    const {all, error} = await collectUntilRaised(
      client.completions.create({model: 'chat', prompt: 'Once', stream: true}),
    );
    expect(all.map(({choices}) => choices[0]?.text ?? '').join('')).toBe('one two');
    expect(error).toMatchObject({constructor: APIError, code: 'stream_cut'});
  });

  it('APIError with our code if it was kept awake for nothing', async () => {
    upstream.behave({do: 'hang'});
    const {all, error} = await collectUntilRaised(streamed({model: 'lively'}));
    expect(all).toEqual([]);
    expect(error).toMatchObject({constructor: APIError, code: 'backend_timeout', type: 'timeout_error'});
  });
});

describe('the openai client retries by itself', () => {
  it('what may go better, and gets its answer', async () => {
    upstream.behave({do: 'status', status: 503}, {times: 1});
    const {choices} = await plain({}, clientOf(field.proxy.url, {maxRetries: 1}));
    expect(choices).toHaveLength(1);
    expect(upstream.requests()).toHaveLength(2);
  });

  it('as late as it is told to', async () => {
    upstream.behave({do: 'status', status: 429, headers: {'retry-after': '1'}}, {times: 1});
    // Asked earlier it would be refused once more, because the backend is held until then, and would give up.
    const {choices} = await plain({}, clientOf(field.proxy.url, {maxRetries: 1}));
    expect(choices).toHaveLength(1);
    await until(() => field.proxy.requests().length === 2, 'both are logged');
    expect(field.proxy.requests().map(({status}) => status)).toEqual([429, 200]);
  });

  it('never what is its own fault', async () => {
    upstream.behave({do: 'status', status: 400});
    await raised(plain({}, clientOf(field.proxy.url, {maxRetries: 3})));
    expect(onlyRequest(upstream).status).toBe(400);
  });
});

describe('the openai client leaves', () => {
  it('a stream by breaking out of it, and the backend stops', async () => {
    upstream.behave({do: 'answer', answerTokens: 100_000, tokensPerSecond: 200});
    for await (const {choices} of await streamed()) if (choices[0]?.delta.content) break;
    await wasLeft(field);
  });

  it('a stream by its AbortController, and the backend stops', async () => {
    upstream.behave({do: 'hang', where: 'AfterTokens', tokens: 1});
    const stream = await streamed();
    const collecting = collect(stream);
    stream.controller.abort();
    await collecting;
    await wasLeft(field);
  });

  it('before the answer, by a signal, and the backend stops', async () => {
    upstream.behave({do: 'hang'});
    const leaving = new AbortController();
    const asking = raised(streamed({}, {signal: leaving.signal}));
    await until(() => upstream.activeRequests() === 1, 'it is asked');
    leaving.abort();
    expect(await asking).toBeInstanceOf(APIUserAbortError);
    await wasLeft(field);
  });

  it('after its own time-out, and the backend stops', async () => {
    upstream.behave({do: 'hang'});
    // Its APIConnectionTimeoutError, outside Jest, in whose realm fetch's AbortError is no Error.
    expect(await raised(streamed({}, {timeout: 100}))).toBeInstanceOf(APIConnectionError);
    await wasLeft(field);
  });
});
