import {afterAll, afterEach, beforeAll, describe, expect, it} from '@jest/globals';
import type {BehaviourInput, Simulator} from '../../simulator/index.ts';
import {until} from '../until.ts';
import {readEvents, startHarness, startUpstream, type Harness, type LogLine} from './harness.ts';

let upstream: Simulator;
let proxy: Harness;

beforeAll(async () => {
  upstream = await startUpstream();
  proxy = await startHarness({routes: {backends: [{name: 'a', url: upstream.url}]}});
});
afterEach(() => upstream.reset());
afterAll(async () => {
  await proxy.close();
  await upstream.close();
});

/** The answer's text or events, and the log line of the request. */
async function ask(
  path: string,
  body: object,
  behaviour: BehaviourInput,
): Promise<{answer: Response; line: LogLine; events: string[]}> {
  upstream.behave(behaviour);
  const before = proxy.requests().length;
  const answer = await fetch(`${proxy.url}/v1/${path}`, {
    method: 'POST',
    headers: {'content-type': 'application/json'},
    body: JSON.stringify({model: 'chat', ...body}),
  });
  const events = await readEvents(answer.clone());
  await answer.clone().text();
  await until(() => proxy.requests().length > before, 'the log line of the request');
  return {answer, events, line: proxy.requests().at(-1)!};
}

const chat = {messages: [{role: 'user', content: 'Hi there, how are you?'}]};
const completion = {prompt: 'Once upon a time'};
const embedding = {input: ['one text', 'another text']};
const text = [' one', ' two', ' six', ' ten', ' end'];

describe('the token usage of an answer', () => {
  it.each([
    ['plain chat', 'chat/completions', chat, [6, 5]],
    ['a plain completion', 'completions', completion, [4, 5]],
    ['embeddings', 'embeddings', embedding, [5, 0]],
    ['streamed chat', 'chat/completions', {...chat, stream: true}, [6, 5]],
    ['a streamed completion', 'completions', {...completion, stream: true}, [4, 5]],
    ['two choices, streamed', 'chat/completions', {...chat, stream: true, n: 2}, [6, 10]],
  ])('is what the backend reports, for %s', async (_, path, body, [promptTokens, completionTokens]) => {
    const {answer, line} = await ask(path, body, {do: 'answer', text});
    expect(answer.status).toBe(200);
    expect(line).toMatchObject({promptTokens, completionTokens, usageEstimated: false});
  });

  it.each([
    ['plain chat', 'chat/completions', chat, 5],
    ['a plain completion', 'completions', completion, 5],
    ['streamed chat', 'chat/completions', {...chat, stream: true}, 5],
    ['a streamed completion', 'completions', {...completion, stream: true}, 5],
    ['two choices, streamed', 'chat/completions', {...chat, stream: true, n: 2}, 10],
  ])('is counted and marked where the backend reports none, for %s', async (_, path, body, completionTokens) => {
    const {answer, line} = await ask(path, body, {do: 'answer', text, usage: 'Never'});
    expect(answer.status).toBe(200);
    expect(line).toMatchObject({completionTokens, usageEstimated: true});
    const promptTokens = line['promptTokens'] as number;
    expect(promptTokens).toBeGreaterThan(2);
    expect(promptTokens).toBeLessThan(50);
  });

  it('is counted and marked for embeddings, whose vectors are no tokens', async () => {
    const {line} = await ask('embeddings', embedding, {do: 'answer', usage: 'Never'});
    expect(line).toMatchObject({completionTokens: 0, usageEstimated: true});
  });

  it('is counted by its length where one event brings a long text', async () => {
    const {line} = await ask(
      'chat/completions',
      {...chat, stream: true},
      {do: 'answer', text: ['x'.repeat(4_000)], usage: 'Never'},
    );
    expect(line).toMatchObject({completionTokens: 1_000, usageEstimated: true});
  });
});

const usageOf = (events: string[]): unknown[] =>
  events
    .filter((event) => event !== '[DONE]')
    .flatMap((event) => {
      const {usage} = JSON.parse(event) as {usage?: unknown};
      return usage === undefined || usage === null ? [] : [usage];
    });

describe('usage in a stream', () => {
  it('is asked of the backend though the caller did not, and kept from him', async () => {
    const {events, line} = await ask('chat/completions', {...chat, stream: true}, {do: 'answer', text});
    expect(upstream.requests().at(-1)?.body).toMatchObject({stream_options: {include_usage: true}});
    expect(usageOf(events)).toEqual([]);
    expect(events).toHaveLength(1 + text.length + 1 + 1); // role, text, finish, [DONE]: nothing else is missing
    expect(events.at(-1)).toBe('[DONE]');
    expect(line).toMatchObject({completionTokens: 5, usageEstimated: false});
  });

  it('is passed on to a caller who asked', async () => {
    const body = {...chat, stream: true, stream_options: {include_usage: true}};
    const {events} = await ask('chat/completions', body, {do: 'answer', text});
    expect(usageOf(events)).toEqual([{prompt_tokens: 6, completion_tokens: 5, total_tokens: 11}]);
    expect(events.at(-1)).toBe('[DONE]');
  });

  it('is asked beside the other options of the caller', async () => {
    const body = {...chat, stream: true, stream_options: {include_usage: false, include_obfuscation: false}};
    const {events} = await ask('chat/completions', body, {do: 'answer', text});
    expect(upstream.requests().at(-1)?.body).toMatchObject({
      stream_options: {include_usage: true, include_obfuscation: false},
    });
    expect(usageOf(events)).toEqual([]);
  });

  it('is not asked for plain answers, whose stream_options a backend would refuse', async () => {
    await ask('chat/completions', chat, {do: 'answer', text});
    expect(upstream.requests().at(-1)?.text).toBe(JSON.stringify({model: 'chat', ...chat}));
  });
});

describe('usage of a stream that is cut', () => {
  it('is what had come, counted and marked, in the error event and in the log', async () => {
    const {events, line} = await ask('chat/completions', {...chat, stream: true}, {do: 'cut', text, afterTokens: 3});
    expect(JSON.parse(events.at(-1)!)).toMatchObject({
      error: {code: 'stream_cut'},
      usage: {completion_tokens: 3, estimated: true},
    });
    expect(line).toMatchObject({completionTokens: 3, usageEstimated: true, error: 'stream_cut'});
  });
});
