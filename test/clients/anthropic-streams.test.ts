/** Anthropic's official client as a caller of streams that break off, or that it leaves. */
import Anthropic, {APIError, APIUserAbortError} from '@anthropic-ai/sdk';
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals';
import type {BehaviourInput, Simulator} from '../../simulator/index.ts';
import {keeper} from '../proxy/harness.ts';
import {until} from '../until.ts';
import {textIn} from './anthropic-events.ts';
import {callersKey, collect, collectUntilRaised, raised, startField, wasLeft, type Field} from './field.ts';

const {keep, closeAll} = keeper();
let field: Field;
let upstream: Simulator;
let client: Anthropic;

beforeEach(async () => {
  field = await startField(keep, 'Anthropic');
  ({upstream} = field);
  client = new Anthropic({baseURL: field.proxy.url, apiKey: callersKey, maxRetries: 0});
});
afterEach(() => field.settled().finally(closeAll));

const asked = {model: 'chat', max_tokens: 100};
const messages: Anthropic.MessageParam[] = [{role: 'user', content: 'Hi'}];

const streamed = (fields: object = {}, options: Anthropic.RequestOptions = {}) =>
  client.messages.create({...asked, messages, stream: true, ...fields}, options);

describe('out of a stream the anthropic client raises', () => {
  const text = ['one', ' two', ' three'];

  it.each<[string, BehaviourInput]>([
    ['is cut', {do: 'cut', afterTokens: 2, text}],
    ['ends too soon', {do: 'cut', afterTokens: 2, graceful: true, text}],
    ['is reset', {do: 'reset', where: 'AfterTokens', tokens: 2, text}],
    ['is ended by an error of the backend', {do: 'errorEvent', afterTokens: 2, text}],
  ])('APIError when it %s, behind what came', async (_, behaviour) => {
    upstream.behave(behaviour);
    const {all, error} = await collectUntilRaised(streamed());
    expect(textIn(all)).toBe('one two');
    expect(all.some(({type}) => type === 'message_delta' || type === 'message_stop')).toBe(false);
    expect(error).toMatchObject({
      constructor: APIError,
      type: 'api_error',
      error: {error: {code: 'stream_cut', backend: 'local', attempts: 1}, usage: {output_tokens: expect.any(Number)}},
    });
    expect((error as Error).message).not.toContain('127.0.0.1');
  });

  it('APIError of the stream helper, behind what came', async () => {
    upstream.behave({do: 'cut', afterTokens: 2, text});
    const texts: string[] = [];
    const stream = client.messages.stream({...asked, messages}).on('text', (delta) => texts.push(delta));
    expect(await raised(stream.finalMessage())).toMatchObject({
      constructor: APIError,
      type: 'api_error',
      error: {error: {code: 'stream_cut'}},
    });
    expect(texts).toEqual(['one', ' two']);
  });

  it('APIError with our code if it was kept awake for nothing', async () => {
    upstream.behave({do: 'hang'});
    expect(await collectUntilRaised(streamed({model: 'lively'}))).toMatchObject({
      all: [],
      error: {constructor: APIError, type: 'timeout_error', error: {error: {code: 'backend_timeout'}}},
    });
  });
});

describe('the anthropic client leaves', () => {
  it('a stream by breaking out of it, and the backend stops', async () => {
    upstream.behave({do: 'answer', answerTokens: 100_000, tokensPerSecond: 200});
    for await (const {type} of await streamed({max_tokens: 100_000})) if (type === 'content_block_delta') break;
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

  it('its stream helper, and the backend stops', async () => {
    upstream.behave({do: 'hang', where: 'AfterTokens', tokens: 1});
    const stream = client.messages.stream({...asked, messages});
    stream.once('text', () => stream.abort());
    expect(await raised(stream.finalMessage())).toBeInstanceOf(APIUserAbortError);
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
});
