/** The AI SDK as a caller: errors as the typed ones that its users look for, its own retries, and leaving. */
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals';
import {APICallError, generateText, RetryError, StreamProviderError, streamText} from 'ai';
import type {BehaviourInput, Simulator} from '../../simulator/index.ts';
import {keeper, startHarness} from '../proxy/harness.ts';
import {until} from '../until.ts';
import {providers} from './ai-sdk-providers.ts';
import {collect, onlyRequest, raised, startField, wasLeft, type Field} from './field.ts';

const {keep, closeAll} = keeper();
let field: Field;
let upstream: Simulator;

afterEach(() => field.settled().finally(closeAll));

const failing = (status: number, fields: object = {}): BehaviourInput => ({do: 'status', status, ...fields});

/** What it says of a call that failed; the code stands in the body. */
function callError(error: unknown): {statusCode: number | undefined; isRetryable: boolean; code: unknown} {
  if (!APICallError.isInstance(error)) throw new Error(`no APICallError: ${String(error)}`);
  const {statusCode, isRetryable, responseBody = '', message} = error;
  expect(message).not.toContain('127.0.0.1');
  return {statusCode, isRetryable, code: (JSON.parse(responseBody) as {error: {code?: unknown}}).error.code};
}

describe.each(providers)('the AI SDK with $name', ({api, model}) => {
  beforeEach(async () => {
    field = await startField(keep, api);
    ({upstream} = field);
  });

  const asked = (name?: string) => ({model: model(field.proxy.url, name), prompt: 'Hi', maxRetries: 0});

  /** What a stream brings, and the errors that it tells of, which it does not throw. */
  async function listen(
    name?: string,
  ): Promise<{text: string; errors: unknown[]; types: string[]; finishReason: string}> {
    const errors: unknown[] = [];
    const result = streamText({...asked(name), onError: ({error}) => void errors.push(error)});
    const parts = await collect(result.stream);
    const text = parts.map((part) => (part.type === 'text-delta' ? part.text : '')).join('');
    const finish = parts.find(({type}) => type === 'finish');
    return {
      text,
      errors,
      types: parts.map(({type}) => type),
      finishReason: finish?.type === 'finish' ? finish.finishReason : 'none',
    };
  }

  it.each<[string, BehaviourInput, object]>([
    ['what the backend refuses', failing(400), {statusCode: 400, isRetryable: false}],
    ['a rate limit', failing(429), {statusCode: 429, isRetryable: true, code: 'backend_rate_limited'}],
    ['a backend that fails', failing(500), {statusCode: 502, isRetryable: true, code: 'backend_error'}],
    ['the gateway’s own key', failing(401), {statusCode: 502, code: 'backend_refused'}],
    ['a backend that breaks off', {do: 'reset'}, {statusCode: 502, code: 'backend_reset'}],
    ['an answer that is none', {do: 'notJson'}, {statusCode: 502, code: 'backend_malformed_reply'}],
  ])('raises APICallError for %s, and tells of it in a stream', async (_, behaviour, expected) => {
    upstream.behave(behaviour);
    expect(callError(await raised(generateText(asked())))).toMatchObject(expected);
    const {errors, text} = await listen();
    expect(text).toBe('');
    expect(callError(errors[0])).toMatchObject(expected);
  });

  it('raises APICallError for a model that nobody serves, and does not try it again', async () => {
    const error = await raised(generateText({...asked('nobody'), maxRetries: 2}));
    expect(callError(error)).toEqual({statusCode: 404, isRetryable: false, code: 'model_not_found'});
    expect(field.proxy.requests()).toHaveLength(1);
    expect(upstream.requests()).toEqual([]);
  });

  it('raises APICallError for a model whose backends speak another API', async () => {
    const other = api === 'OpenAI' ? 'Anthropic' : 'OpenAI';
    const own = await keep(startHarness({routes: {backends: [{name: 'local', url: upstream.url, api: other}]}}));
    const error = await raised(generateText({...asked(), model: model(own.url)}));
    expect(callError(error)).toMatchObject({statusCode: 404, code: 'api_not_supported'});
    expect(error).toMatchObject({message: expect.stringContaining(`api: ${api}`)});
  });

  const text = ['one', ' two', ' three'];

  it.each<[string, BehaviourInput]>([
    ['is cut', {do: 'cut', afterTokens: 2, text}],
    ['ends too soon', {do: 'cut', afterTokens: 2, graceful: true, text}],
    ['is reset', {do: 'reset', where: 'AfterTokens', tokens: 2, text}],
    ['is ended by an error of the backend', {do: 'errorEvent', afterTokens: 2, text}],
  ])('tells of a stream that %s, behind what came, and of no good end', async (_, behaviour) => {
    upstream.behave(behaviour);
    const {text: came, errors, finishReason} = await listen();
    expect(came).toBe('one two');
    expect(errors).toHaveLength(1);
    expect(StreamProviderError.isInstance(errors[0])).toBe(true);
    expect(errors[0]).toMatchObject({
      type: 'api_error',
      message: expect.stringMatching(/^(?!.*127\.0\.0\.1)/),
      data: {code: 'stream_cut'},
    });
    expect(finishReason).not.toBe('stop');
  });

  it('gives what came of a stream that is cut to whoever awaits its text, and says so only beside it', async () => {
    upstream.behave({do: 'cut', afterTokens: 2, text});
    const result = streamText({...asked(), onError: () => {}});
    expect(await result.text).toBe('one two'); // so docs/clients.md tells its users to look at finishReason
    expect(await result.finishReason).toBe('error');
  });

  it('takes up a stream that was cut, if it is told to', async () => {
    upstream.behave({do: 'cut', afterTokens: 2, text}, {times: 1});
    const result = streamText({...asked(), streamRetries: 1, onError: () => {}});
    expect(await result.text).toContain('Hello from local');
    expect(upstream.requests()).toHaveLength(2);
  });

  it('tells of our code if it was kept awake for nothing', async () => {
    upstream.behave({do: 'hang'});
    const {errors, text: came} = await listen('lively');
    expect(came).toBe('');
    expect(JSON.stringify(errors[0])).toContain('backend_timeout');
  });

  it('tries again what may go better, as late as it is told to', async () => {
    upstream.behave(failing(429, {headers: {'retry-after': '1'}}), {times: 1});
    // Asked earlier it would be refused once more, because the backend is held until then, and would give up.
    expect((await generateText({...asked(), maxRetries: 1})).text).toContain('Hello from local');
    await until(() => field.proxy.requests().length === 2, 'both are logged');
    expect(field.proxy.requests().map(({status}) => status)).toEqual([429, 200]);
  });

  it('raises RetryError with the last error once it gives up', async () => {
    upstream.behave(failing(429, {headers: {'retry-after': '0.1'}}));
    const error = await raised(generateText({...asked(), maxRetries: 1}));
    if (!RetryError.isInstance(error)) throw new Error(`no RetryError: ${String(error)}`);
    expect(callError(error.lastError)).toMatchObject({statusCode: 429, code: 'backend_rate_limited'});
    expect(field.proxy.requests()).toHaveLength(2);
  });

  it('never tries again what is its own fault', async () => {
    upstream.behave(failing(400));
    await raised(generateText({...asked(), maxRetries: 3}));
    expect(onlyRequest(upstream).status).toBe(400);
  });

  it('leaves a stream in the middle, and the backend stops', async () => {
    upstream.behave({do: 'answer', text: Array.from({length: 2_000}, () => ' word'), tokensPerSecond: 200});
    const leaving = new AbortController();
    const result = streamText({...asked(), abortSignal: leaving.signal});
    const types: string[] = [];
    for await (const {type} of result.stream) {
      types.push(type);
      if (type === 'text-delta') leaving.abort();
    }
    expect(types.at(-1)).toBe('abort');
    await wasLeft(field);
  });

  it('leaves before the answer, and the backend stops', async () => {
    upstream.behave({do: 'hang'});
    const leaving = new AbortController();
    const asking = raised(generateText({...asked(), abortSignal: leaving.signal}));
    await until(() => upstream.activeRequests() === 1, 'it is asked');
    leaving.abort();
    expect(await asking).toMatchObject({name: 'AbortError'});
    await wasLeft(field);
  });
});
