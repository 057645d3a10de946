import {describe, expect, it} from '@jest/globals';
import {answerChat} from './chat.ts';
import type {Call} from './model.ts';
import {bytesOf, properReply, type Answer} from './reply.ts';

const call: Call = {
  server: {name: 'local', models: ['chat'], ttftMs: 40, tokensPerSecond: 50, tokens: 10, contextWindow: 100},
  id: '0123456789abcdef0123456789abcdef',
  createdSeconds: 1,
  overrides: {},
};
const request = {model: 'chat', messages: [{role: 'user', content: 'Hello there'}]};

type Chunk = {
  id: string;
  choices: {
    index: number;
    delta: {content?: string; tool_calls?: {function: {arguments: string}}[]};
    finish_reason: string | null;
  }[];
  usage?: object | null;
};

const answered = (body: object, overrides: Call['overrides'] = {}): Answer => {
  const answer = answerChat(body, {...call, overrides});
  if (answer.kind === 'Refused') throw new Error(answer.error.message);
  return answer;
};

/** The JSON of the events but `[DONE]`, and the pause before each. */
const streamed = (body: object, overrides: Call['overrides'] = {}): {chunk: Chunk; afterMs: number}[] =>
  [...properReply(answered({...body, stream: true}, overrides)).pieces]
    .map(({data, afterMs}) => ({text: Buffer.from(bytesOf(data)).toString(), afterMs}))
    .filter(({text}) => text !== 'data: [DONE]\n\n')
    .map(({text, afterMs}) => ({chunk: JSON.parse(text.slice('data: '.length)) as Chunk, afterMs}));

const contents = (chunks: {chunk: Chunk}[]): (string | undefined)[] =>
  chunks.map(({chunk}) => chunk.choices[0]?.delta.content);

describe('a streamed chat', () => {
  it('names the role, says token by token, finishes, and keeps its pace', () => {
    const chunks = streamed({...request, max_tokens: 3});
    expect(contents(chunks)).toEqual(['', 'Hello', ' from', ' local', undefined]);
    expect(chunks.map(({afterMs}) => afterMs)).toEqual([0, 40, 20, 20, 0]);
    expect(chunks.at(-1)?.chunk.choices[0]).toMatchObject({delta: {}, finish_reason: 'length'});
    expect(chunks.every(({chunk}) => chunk.id === `chatcmpl-${call.id}` && !('usage' in chunk))).toBe(true);
  });

  it('reports usage at its end, in a chunk without choices, if asked', () => {
    const chunks = streamed({...request, stream_options: {include_usage: true}});
    expect(chunks.at(-1)?.chunk).toMatchObject({
      choices: [],
      usage: {prompt_tokens: 3, completion_tokens: 10, total_tokens: 13},
    });
    expect(chunks.slice(0, -1).every(({chunk}) => chunk.usage === null)).toBe(true);
  });

  it.each([
    ['Never', true, 0],
    ['AsAsked', false, 0],
    ['Always', false, 1],
  ] as const)('reports usage %s (asked: %j): %i times', (usage, include_usage, times) => {
    const chunks = streamed({...request, stream_options: {include_usage}}, {usage});
    expect(chunks.filter(({chunk}) => chunk.usage)).toHaveLength(times);
  });

  it('lets its choices take turns', () => {
    const chunks = streamed({...request, n: 2, max_tokens: 2});
    expect(chunks.map(({chunk}) => chunk.choices[0]?.index)).toEqual([0, 1, 0, 1, 0, 1, 0, 1]);
    expect(chunks.map(({afterMs}) => afterMs)).toEqual([0, 0, 40, 0, 20, 0, 0, 0]);
  });

  it('streams the arguments of a tool call in pieces', () => {
    const tool = {type: 'function', function: {name: 'weather', parameters: {properties: {city: {type: 'string'}}}}};
    const chunks = streamed({...request, tools: [tool], tool_choice: 'required'});
    const calls = chunks.flatMap(({chunk}) => chunk.choices[0]?.delta.tool_calls ?? []);
    expect(calls[0]).toMatchObject({type: 'function', function: {name: 'weather', arguments: ''}});
    expect(calls.length).toBeGreaterThan(2);
    expect(JSON.parse(calls.map((call) => call.function.arguments).join(''))).toEqual({city: 'a sample'});
    expect(chunks.at(-1)?.chunk.choices[0]?.finish_reason).toBe('tool_calls');
  });

  it('says exactly the tokens it is told', () => {
    expect(contents(streamed(request, {text: ['a', '\ud83d\ude00 b']}))).toEqual([
      '',
      'a',
      '\ud83d\ude00 b',
      undefined,
    ]);
    expect(contents(streamed(request, {text: 'one two.'}))).toEqual(['', 'one', ' two', '.', undefined]);
  });
});

describe('a chat that cannot be answered', () => {
  const errorOf = (body: unknown): object => {
    const answer = answerChat(body, call);
    if (answer.kind !== 'Refused') throw new Error('expected a refusal');
    return {status: answer.status, param: null, ...answer.error};
  };

  it.each([
    ['an unknown model', {...request, model: 'gpt'}, {status: 404, code: 'model_not_found', param: 'model'}],
    ['no model', {messages: request.messages}, {status: 400, param: 'model'}],
    ['no messages', {model: 'chat', messages: []}, {status: 400, param: 'messages'}],
    ['not an object', 'hello', {status: 400, param: null}],
    [
      'too long a prompt',
      {...request, messages: [{role: 'user', content: 'x'.repeat(404)}]},
      {status: 400, code: 'context_length_exceeded', param: 'messages'},
    ],
  ])('is refused as OpenAI does: %s', (_, body, expected) => {
    expect(errorOf(body)).toMatchObject(expected);
  });

  it('is cut short where the context ends', () => {
    const answer = answerChat({...request, messages: [{role: 'user', content: 'x'.repeat(380)}]}, call);
    expect(answer.kind === 'Plain' && JSON.parse(answer.body)).toMatchObject({
      choices: [{finish_reason: 'length'}],
      usage: {prompt_tokens: 95, completion_tokens: 5},
    });
  });
});
