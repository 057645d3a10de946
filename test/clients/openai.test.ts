/** The official client as a caller: what its users get must be what they get of OpenAI. */
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals';
import OpenAI, {NotFoundError} from 'openai';
import {zodResponseFormat} from 'openai/helpers/zod';
import {z} from 'zod';
import type {Simulator} from '../../simulator/index.ts';
import {keeper} from '../proxy/harness.ts';
import {
  bodiesOf,
  lastMessage,
  callersKey,
  collect,
  models,
  onlyRequest,
  overhearing,
  raised,
  startField,
  weatherArguments,
  weatherSchema,
  type Field,
} from './field.ts';

const {keep, closeAll} = keeper();
let field: Field;
let upstream: Simulator;
let client: OpenAI;

beforeEach(async () => {
  field = await startField(keep);
  ({upstream} = field);
  client = new OpenAI({baseURL: `${field.proxy.url}/v1`, apiKey: callersKey, maxRetries: 0});
});
afterEach(() => field.settled().finally(closeAll));

const messages = [{role: 'user', content: 'Hi'}] satisfies OpenAI.ChatCompletionMessageParam[];
const tools: OpenAI.ChatCompletionFunctionTool[] = [
  {type: 'function', function: {name: 'get_weather', parameters: weatherSchema}},
];

const plain = (fields: object = {}): Promise<OpenAI.ChatCompletion> =>
  client.chat.completions.create({model: 'chat', messages, ...fields});
const streamed = (fields: object = {}) =>
  client.chat.completions.create({model: 'chat', messages, stream: true, ...fields});

const textOf = (chunks: OpenAI.ChatCompletionChunk[]): string =>
  chunks.map(({choices}) => choices[0]?.delta.content ?? '').join('');

function calledTool({choices}: OpenAI.ChatCompletion): OpenAI.ChatCompletionMessageFunctionToolCall {
  const call = choices[0]?.message.tool_calls?.[0];
  if (call?.type !== 'function') throw new Error('no tool was called');
  return call;
}

describe('the openai client gets', () => {
  it('a plain answer, with usage and the request’s id, and keeps its key to itself', async () => {
    const {
      data,
      request_id: id,
      response,
    } = await client.chat.completions.create({model: 'chat', messages}).withResponse();
    expect(data.choices[0]?.message).toMatchObject({role: 'assistant', content: expect.stringContaining('Hello')});
    expect(data.choices[0]?.finish_reason).toBe('stop');
    expect(data.usage).toEqual({prompt_tokens: 1, completion_tokens: 8, total_tokens: 9});
    expect(id).toMatch(/^[\da-f-]{36}$/);
    expect(response.headers.get('x-modelroute-backend')).toBe('local');
    expect(onlyRequest(upstream)).toMatchObject({path: '/v1/chat/completions', body: {model: 'chat', messages}});
    expect(JSON.stringify(onlyRequest(upstream).headers)).not.toContain(callersKey);
  });

  it('the same text streamed as plain', async () => {
    const whole = (await plain()).choices[0]?.message.content;
    const chunks = await collect(await streamed());
    expect(textOf(chunks)).toBe(whole);
    expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe('stop');
    expect(chunks.filter(({choices}) => choices[0]?.delta.content).length).toBe(8);
  });

  it('usage in a stream if it asks, and no strange chunk if it does not', async () => {
    const asked = await collect(await streamed({stream_options: {include_usage: true}}));
    expect(asked.at(-1)).toMatchObject({choices: [], usage: {prompt_tokens: 1, completion_tokens: 8}});
    const unasked = await collect(await streamed());
    expect(unasked.every(({choices}) => choices.length === 1)).toBe(true);
    const both = bodiesOf(upstream).map(({stream_options: options}) => options);
    expect(both).toEqual([{include_usage: true}, {include_usage: true}]); // asked for either way, to be counted
  });

  it('several choices, plain and streamed', async () => {
    expect((await plain({n: 2})).choices.map(({index}) => index)).toEqual([0, 1]);
    const chunks = await collect(await streamed({n: 2}));
    const finished = chunks.flatMap(({choices}) => choices.filter((choice) => choice.finish_reason !== null));
    expect(new Set(finished.map(({index}) => index))).toEqual(new Set([0, 1]));
    expect(finished).toHaveLength(2);
  });

  it('a stream undisturbed by what keeps it awake', async () => {
    upstream.behave({do: 'answer', ttftMs: 150});
    const {fetch, heard} = overhearing();
    const chunks = await collect(
      await client.withOptions({fetch}).chat.completions.create({model: 'lively', messages, stream: true}),
    );
    expect(heard()).toMatch(/^:.*\n\n/);
    expect(textOf(chunks)).toContain('Hello from local');
    expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe('stop');
  });

  it('completions, plain and streamed', async () => {
    const {choices, usage} = await client.completions.create({model: 'chat', prompt: 'Once'});
    expect(choices[0]?.text.length).toBeGreaterThan(0);
    expect(usage?.completion_tokens).toBe(8);
    const chunks = await collect(await client.completions.create({model: 'chat', prompt: 'Once', stream: true}));
    expect(chunks.map((chunk) => chunk.choices[0]?.text ?? '').join('')).toBe(choices[0]?.text);
  });

  it('embeddings in the base64 that it asks for unasked, the same as in numbers', async () => {
    const asked = {model: 'embed', input: ['one', 'two'], dimensions: 16};
    const {data, usage} = await client.embeddings.create(asked);
    expect(data.map(({embedding}) => embedding.length)).toEqual([16, 16]);
    expect(data[0]?.embedding).not.toEqual(data[1]?.embedding);
    expect(usage.prompt_tokens).toBeGreaterThan(0);
    const numbers = await client.embeddings.create({...asked, encoding_format: 'float'});
    expect(numbers.data.map(({embedding}) => embedding)).toEqual(data.map(({embedding}) => embedding));
    expect(bodiesOf(upstream)).toEqual([
      {...asked, encoding_format: 'base64'},
      {...asked, encoding_format: 'float'},
    ]);
  });

  it('moderations, one for each text', async () => {
    const {results} = await client.moderations.create({model: 'judge', input: ['violence', 'peace']});
    expect(results.map(({flagged}) => flagged)).toEqual([true, false]);
    expect(results[0]?.categories.violence).toBe(true);
    expect(onlyRequest(upstream)).toMatchObject({path: '/v1/moderations', body: {input: ['violence', 'peace']}});
  });

  it('the models, and one of them by its name', async () => {
    expect((await collect(client.models.list())).map(({id}) => id)).toEqual([...models, 'lively', 'pair'].sort());
    expect((await client.models.retrieve('pair')).id).toBe('pair');
    expect(await raised(client.models.retrieve('nobody'))).toMatchObject({
      constructor: NotFoundError,
      code: 'model_not_found',
    });
  });
});

describe('tools of the openai client', () => {
  it('are called, and their result comes to the model', async () => {
    const asked = await plain({tools, tool_choice: 'required'});
    expect(asked.choices[0]?.finish_reason).toBe('tool_calls');
    const call = calledTool(asked);
    expect(call.function.name).toBe('get_weather');
    expect(JSON.parse(call.function.arguments)).toEqual(weatherArguments);

    const result = {role: 'tool', tool_call_id: call.id, content: 'Sunny.'};
    const conversation = [...messages, asked.choices[0]?.message, result];
    const answer = await plain({messages: conversation, tools});
    expect(answer.choices[0]).toMatchObject({
      finish_reason: 'stop',
      message: {content: expect.stringContaining('Hello')},
    });
    expect(bodiesOf(upstream)[0]).toMatchObject({tools, tool_choice: 'required'});
    expect(bodiesOf(upstream)[1]).toEqual({model: 'chat', messages: conversation, tools});
  });

  it('are called piece by piece in a stream', async () => {
    const pieces: string[] = [];
    const stream = client.chat.completions
      .stream({model: 'chat', messages, tools, tool_choice: 'required'})
      .on('tool_calls.function.arguments.delta', ({arguments_delta: delta}) => pieces.push(delta));
    const answer = await stream.finalChatCompletion();
    expect(calledTool(answer).function.name).toBe('get_weather');
    expect(pieces.length).toBeGreaterThan(2);
    expect(JSON.parse(pieces.join(''))).toEqual(weatherArguments);
    expect(calledTool(answer).function.arguments).toBe(pieces.join(''));
  });

  it('are run by the client itself, until the model answers', async () => {
    const given: unknown[] = [];
    const runner = client.chat.completions.runTools({
      model: 'chat',
      messages: [{role: 'user', content: 'Please call the tool.'}],
      stream: true,
      tools: [
        {
          type: 'function',
          function: {
            name: 'get_weather',
            description: 'The weather of a city.',
            parameters: weatherSchema,
            parse: JSON.parse,
            function: (weather: unknown) => {
              given.push(weather);
              return 'Sunny.';
            },
          },
        },
      ],
    });
    expect(await runner.finalContent()).toContain('Hello from local');
    expect(given).toEqual([weatherArguments]);
    expect(lastMessage(upstream)).toMatchObject({role: 'tool', content: 'Sunny.'});
  });
});

describe('structured output of the openai client', () => {
  const book = z.object({title: z.string(), pages: z.int()});

  it('is parsed by the schema that the backend got', async () => {
    const response_format = zodResponseFormat(book, 'book');
    const {choices} = await client.chat.completions.parse({model: 'chat', messages, response_format});
    expect(choices[0]?.message.parsed).toEqual({title: 'a sample', pages: 1});
    expect(bodiesOf(upstream)[0]?.['response_format']).toEqual(JSON.parse(JSON.stringify(response_format)));
  });

  it('is parsed at the end of a stream', async () => {
    const stream = client.chat.completions.stream({
      model: 'chat',
      messages,
      response_format: zodResponseFormat(book, 'book'),
    });
    const snapshots: unknown[] = [];
    stream.on('content.delta', ({parsed}) => snapshots.push(parsed));
    const {choices} = await stream.finalChatCompletion();
    expect(choices[0]?.message.parsed).toEqual({title: 'a sample', pages: 1});
    expect(snapshots.length).toBeGreaterThan(1);
  });
});
