/** The official client as a caller: what its users see must be what they see of OpenAI. */
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
import type {Simulator} from '../../simulator/index.ts';
import {keeper, startHarness, startUpstream, type Harness} from '../proxy/harness.ts';
import {until} from '../until.ts';

const {keep, closeAll} = keeper();
let upstream: Simulator;
let proxy: Harness;
let client: OpenAI;

beforeEach(async () => {
  upstream = await keep(startUpstream({models: ['chat', 'embed'], tokens: 8}));
  const backends = [{name: 'local', url: upstream.url}];
  proxy = await keep(
    startHarness({
      routes: {
        chat: {
          modelNames: ['chat', 'embed', 'team/*'],
          backends,
          retry: {maxAttempts: 1},
          circuitBreaker: {consecutiveFailures: 1_000, minRequests: 1_000},
        },
      },
    }),
  );
  client = new OpenAI({baseURL: `${proxy.url}/v1`, apiKey: 'sk-of-the-caller', maxRetries: 0});
});
afterEach(async () => {
  await until(() => upstream.activeRequests() === 0, 'nothing runs upstream').finally(closeAll);
});

const messages = [{role: 'user', content: 'Hi'}] as const satisfies OpenAI.ChatCompletionMessageParam[];
const tools: OpenAI.ChatCompletionTool[] = [
  {
    type: 'function',
    function: {
      name: 'get_weather',
      parameters: {type: 'object', properties: {city: {type: 'string'}, days: {type: 'integer'}}},
    },
  },
];

const plain = (fields: object = {}): Promise<OpenAI.ChatCompletion> =>
  client.chat.completions.create({model: 'chat', messages: [...messages], ...fields});
const streamed = (fields: object = {}, options: OpenAI.RequestOptions = {}) =>
  client.chat.completions.create({model: 'chat', messages: [...messages], stream: true, ...fields}, options);

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const each of stream) all.push(each);
  return all;
}

const raised = async (asking: Promise<unknown>): Promise<unknown> =>
  asking.then(
    () => {
      throw new Error('it raised nothing');
    },
    (error: unknown) => error,
  );

describe('the openai client', () => {
  it('gets a plain answer, with usage and the request’s id', async () => {
    const {data, request_id: id} = await client.chat.completions
      .create({model: 'chat', messages: [...messages]})
      .withResponse();
    expect(data.choices[0]?.message).toMatchObject({role: 'assistant', content: expect.stringContaining('Hello')});
    expect(data.choices[0]?.finish_reason).toBe('stop');
    expect(data.usage).toEqual({prompt_tokens: 1, completion_tokens: 8, total_tokens: 9});
    expect(id).toMatch(/^[\da-f-]{36}$/);
    expect(upstream.requests().at(-1)?.headers['authorization']).toBeUndefined();
  });

  it('gets the same text streamed as plain', async () => {
    const whole = (await plain()).choices[0]?.message.content;
    const chunks = await collect(await streamed());
    expect(chunks.map(({choices}) => choices[0]?.delta.content ?? '').join('')).toBe(whole);
    expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe('stop');
    expect(chunks.filter(({choices}) => choices[0]?.delta.content).length).toBe(8);
  });

  it('gets usage in a stream if it asks, and no strange chunk if it does not', async () => {
    const asked = await collect(await streamed({stream_options: {include_usage: true}}));
    expect(asked.at(-1)).toMatchObject({choices: [], usage: {prompt_tokens: 1, completion_tokens: 8}});
    const unasked = await collect(await streamed());
    expect(unasked.every(({choices}) => choices.length === 1)).toBe(true);
    const both = upstream.requests().map(({body}) => (body as {stream_options?: object}).stream_options);
    expect(both).toEqual([{include_usage: true}, {include_usage: true}]); // asked for either way, to be counted
  });

  it('gets several choices, plain and streamed', async () => {
    expect((await plain({n: 2})).choices.map(({index}) => index)).toEqual([0, 1]);
    const chunks = await collect(await streamed({n: 2}));
    const finished = chunks.flatMap(({choices}) => choices.filter((choice) => choice.finish_reason !== null));
    expect(new Set(finished.map(({index}) => index))).toEqual(new Set([0, 1]));
    expect(finished).toHaveLength(2);
  });

  it('gets tool calls', async () => {
    const {choices} = await plain({tools, tool_choice: 'required'});
    expect(choices[0]?.finish_reason).toBe('tool_calls');
    const call = choices[0]?.message.tool_calls?.[0];
    if (call?.type !== 'function') throw new Error('no tool was called');
    expect(call.function.name).toBe('get_weather');
    expect(JSON.parse(call.function.arguments)).toEqual({city: 'a sample', days: 1});
  });

  it('gets tool calls piece by piece', async () => {
    const runner = client.chat.completions.stream({
      model: 'chat',
      messages: [...messages],
      tools,
      tool_choice: 'required',
    });
    const {choices} = await runner.finalChatCompletion();
    const call = choices[0]?.message.tool_calls?.[0];
    if (call?.type !== 'function') throw new Error('no tool was called');
    expect(call.function.name).toBe('get_weather');
    expect(JSON.parse(call.function.arguments)).toEqual({city: 'a sample', days: 1});
  });

  it('gets completions, plain and streamed', async () => {
    const {choices, usage} = await client.completions.create({model: 'chat', prompt: 'Once'});
    expect(choices[0]?.text.length).toBeGreaterThan(0);
    expect(usage?.completion_tokens).toBe(8);
    const chunks = await collect(await client.completions.create({model: 'chat', prompt: 'Once', stream: true}));
    expect(chunks.map((chunk) => chunk.choices[0]?.text ?? '').join('')).toBe(choices[0]?.text);
  });

  it('gets embeddings, in the base64 that it asks for unasked', async () => {
    const {data, usage} = await client.embeddings.create({model: 'embed', input: ['one', 'two'], dimensions: 16});
    expect(data.map(({embedding}) => embedding.length)).toEqual([16, 16]);
    expect(data[0]?.embedding).not.toEqual(data[1]?.embedding);
    expect(upstream.requests().at(-1)?.body).toMatchObject({encoding_format: 'base64'});
    expect(usage.prompt_tokens).toBeGreaterThan(0);
  });

  it('lists models, and finds one under its name with a slash', async () => {
    expect((await collect(client.models.list())).map(({id}) => id)).toEqual(['chat', 'embed']);
    expect((await client.models.retrieve('team/any')).id).toBe('team/any');
    expect(await raised(client.models.retrieve('nobody'))).toBeInstanceOf(NotFoundError);
  });
});

describe('the openai client raises', () => {
  const failing = (status: number, fields: object = {}): void => upstream.behave({do: 'status', status, ...fields});

  it.each<[string, () => void, new (...args: never[]) => Error, object]>([
    ['BadRequestError for what the backend refuses', () => failing(400), BadRequestError, {status: 400, code: null}],
    [
      'UnprocessableEntityError for what the backend cannot do',
      () => failing(422),
      UnprocessableEntityError,
      {status: 422},
    ],
    [
      'RateLimitError with the time to wait',
      () => failing(429, {headers: {'retry-after': '7'}}),
      RateLimitError,
      {status: 429, code: 'backend_rate_limited'},
    ],
    [
      'InternalServerError for a backend that fails',
      () => failing(500),
      InternalServerError,
      {status: 502, code: 'backend_error'},
    ],
    [
      'InternalServerError, not AuthenticationError, for the gateway’s own key',
      () => failing(401),
      InternalServerError,
      {status: 502, code: 'backend_refused'},
    ],
    [
      'InternalServerError for a backend that breaks off',
      () => upstream.behave({do: 'reset'}),
      InternalServerError,
      {status: 502, code: 'backend_reset'},
    ],
  ])('%s, plain and streamed', async (_, arrange, type, expected) => {
    arrange();
    for (const asking of [plain(), streamed()]) {
      const error = await raised(asking);
      expect(error).toBeInstanceOf(type);
      expect(error).toMatchObject({...expected, requestID: expect.stringMatching(/^[\da-f-]{36}$/)});
    }
  });

  it('RateLimitError with the header that it waits by', async () => {
    failing(429, {headers: {'retry-after': '7'}});
    const error = (await raised(plain())) as RateLimitError;
    expect(error.headers?.get('retry-after')).toBe('7');
  });

  it('NotFoundError with code and param for a model that nobody serves', async () => {
    expect(await raised(plain({model: 'gpt-nobody'}))).toMatchObject({
      constructor: NotFoundError,
      status: 404,
      code: 'model_not_found',
      param: 'model',
      type: 'invalid_request_error',
    });
  });

  it('BadRequestError with the code that its users look for if the prompt is too long', async () => {
    const small = await keep(startUpstream({contextWindow: 5}));
    const own = await keep(startHarness({routes: {backends: [{name: 'small', url: small.url}]}}));
    const asking = new OpenAI({baseURL: `${own.url}/v1`, apiKey: 'x', maxRetries: 0}).chat.completions.create({
      model: 'chat',
      messages: [{role: 'user', content: 'word '.repeat(100)}],
    });
    expect(await raised(asking)).toMatchObject({
      constructor: BadRequestError,
      code: 'context_length_exceeded',
    });
  });

  it('APIError out of the iterator of a stream that is cut, behind the pieces that came', async () => {
    upstream.behave({do: 'cut', afterTokens: 3});
    const pieces: string[] = [];
    const error = await raised(
      (async () => {
        for await (const {choices} of await streamed()) pieces.push(choices[0]?.delta.content ?? '');
      })(),
    );
    expect(pieces.filter((piece) => piece !== '')).toHaveLength(3);
    expect(error).toBeInstanceOf(APIError);
    expect(error).toMatchObject({code: 'stream_cut', type: 'api_error'});
    expect((error as Error).message).not.toContain('127.0.0.1');
  });

  it('APIError out of the iterator also if the backend itself ends its stream with an error', async () => {
    upstream.behave({do: 'errorEvent', afterTokens: 2});
    const error = await raised((async () => collect(await streamed()))());
    expect(error).toBeInstanceOf(APIError);
    expect(error).toMatchObject({code: 'stream_cut'});
  });
});

describe('the openai client retries by itself', () => {
  it('what may go better, and gets its answer', async () => {
    upstream.behave({do: 'status', status: 503, headers: {'retry-after': '0'}}, {times: 1});
    const patient = new OpenAI({baseURL: `${proxy.url}/v1`, apiKey: 'x', maxRetries: 1});
    const {choices} = await patient.chat.completions.create({model: 'chat', messages: [...messages]});
    expect(choices).toHaveLength(1);
    expect(upstream.requests()).toHaveLength(2);
  });

  it('never what is its own fault', async () => {
    upstream.behave({do: 'status', status: 400});
    const patient = new OpenAI({baseURL: `${proxy.url}/v1`, apiKey: 'x', maxRetries: 3});
    await raised(patient.chat.completions.create({model: 'chat', messages: [...messages]}));
    expect(upstream.requests()).toHaveLength(1);
  });
});

describe('the openai client leaves', () => {
  it('a stream by breaking out of it, and the backend stops', async () => {
    upstream.behave({do: 'answer', answerTokens: 100_000, tokensPerSecond: 200});
    for await (const {choices} of await streamed()) if (choices[0]?.delta.content) break;
    await until(() => upstream.aborted() === 1 && upstream.activeRequests() === 0, 'the backend has stopped');
  });

  it('a stream by its AbortController, and the backend stops', async () => {
    upstream.behave({do: 'hang', where: 'AfterTokens', tokens: 1});
    const stream = await streamed();
    const collecting = collect(stream);
    stream.controller.abort();
    await collecting;
    await until(() => upstream.aborted() === 1, 'the backend has stopped');
  });

  it('before the answer, by a signal, and the backend stops', async () => {
    upstream.behave({do: 'hang'});
    const leaving = new AbortController();
    const asking = raised(streamed({}, {signal: leaving.signal}));
    await until(() => upstream.activeRequests() === 1, 'it is asked');
    leaving.abort();
    expect(await asking).toBeInstanceOf(APIUserAbortError);
    await until(() => upstream.aborted() === 1, 'the backend has stopped');
  });

  it('after its own time-out, and the backend stops', async () => {
    upstream.behave({do: 'hang'});
    expect(await raised(streamed({}, {timeout: 100}))).toBeInstanceOf(APIConnectionError);
    await until(() => upstream.aborted() === 1, 'the backend has stopped');
  });
});
