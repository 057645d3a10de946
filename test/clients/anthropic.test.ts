/** Anthropic's official client as a caller: what its users get must be what they get of Anthropic. */
import Anthropic from '@anthropic-ai/sdk';
import {betaZodTool} from '@anthropic-ai/sdk/helpers/beta/zod';
import {zodOutputFormat} from '@anthropic-ai/sdk/helpers/zod';
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals';
import {z} from 'zod';
import type {Simulator} from '../../simulator/index.ts';
import {keeper} from '../proxy/harness.ts';
import {textIn} from './anthropic-events.ts';
import {
  bodiesOf,
  lastMessage,
  callersKey,
  collect,
  models,
  onlyRequest,
  overhearing,
  startField,
  weatherArguments,
  weatherSchema,
  type Field,
} from './field.ts';

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

const asked = {model: 'chat', max_tokens: 100, messages: [{role: 'user', content: 'Hi'}]} satisfies object as {
  model: string;
  max_tokens: number;
  messages: Anthropic.MessageParam[];
};
const tools: Anthropic.Tool[] = [{name: 'get_weather', input_schema: weatherSchema}];

const create = (fields: object = {}): Promise<Anthropic.Message> => client.messages.create({...asked, ...fields});

const textOf = ({content}: Anthropic.Message): string =>
  content.map((block) => (block.type === 'text' ? block.text : '')).join('');

function calledTool({content}: Anthropic.Message): Anthropic.ToolUseBlock {
  const call = content.find(({type}) => type === 'tool_use');
  if (call?.type !== 'tool_use') throw new Error('no tool was called');
  return call;
}

describe('the anthropic client gets', () => {
  it('a plain message, with usage, and keeps its key to itself', async () => {
    const sent = {'anthropic-version': '2026-10-21', 'anthropic-beta': 'some-beta-2026-01-01'};
    const {data, response} = await client.messages
      .create({...asked, system: 'Be brief.'}, {headers: sent})
      .withResponse();
    expect(data).toMatchObject({type: 'message', role: 'assistant', stop_reason: 'end_turn'});
    expect(textOf(data)).toContain('Hello from local');
    expect(data.usage).toMatchObject({input_tokens: 3, output_tokens: 8});
    expect(response.headers.get('x-modelroute-backend')).toBe('local');
    const {path, headers, body} = onlyRequest(upstream);
    expect({path, body}).toEqual({path: '/v1/messages', body: {...asked, system: 'Be brief.'}});
    expect(headers).toMatchObject(sent);
    expect(JSON.stringify(headers)).not.toContain(callersKey);
  });

  it('the id that ModelRoute’s log knows the request by', async () => {
    const {request_id: id, response} = await client.messages.create(asked).withResponse();
    expect(id).toBe(response.headers.get('x-request-id'));
  });

  it('the same text streamed as plain', async () => {
    const whole = textOf(await create());
    const events = await collect(await client.messages.create({...asked, stream: true}));
    expect(textIn(events)).toBe(whole);
    expect(events[0]).toMatchObject({type: 'message_start', message: {usage: {input_tokens: 1}}});
    expect(events.at(-2)).toMatchObject({
      type: 'message_delta',
      delta: {stop_reason: 'end_turn'},
      usage: {output_tokens: 8},
    });
    expect(events.at(-1)?.type).toBe('message_stop');
    expect(bodiesOf(upstream)[1]).toEqual({...asked, stream: true});
  });

  it('a whole message of its stream helper, with usage', async () => {
    const texts: string[] = [];
    const stream = client.messages.stream(asked).on('text', (delta) => texts.push(delta));
    const message = await stream.finalMessage();
    expect(texts).toHaveLength(8);
    expect(textOf(message)).toBe(texts.join(''));
    expect(message).toMatchObject({stop_reason: 'end_turn', usage: {input_tokens: 1, output_tokens: 8}});
  });

  it('a message that is cut short by its own limit, which is no error', async () => {
    expect(await create({max_tokens: 3})).toMatchObject({stop_reason: 'max_tokens', usage: {output_tokens: 3}});
    const message = await client.messages.stream({...asked, max_tokens: 3}).finalMessage();
    expect(message).toMatchObject({stop_reason: 'max_tokens', usage: {output_tokens: 3}});
  });

  it('a stream undisturbed by what keeps it awake', async () => {
    upstream.behave({do: 'answer', ttftMs: 150});
    const {fetch, heard} = overhearing();
    const stream = client.withOptions({fetch}).messages.stream({...asked, model: 'lively'});
    expect(textOf(await stream.finalMessage())).toContain('Hello from local');
    expect(heard()).toMatch(/^event: ping\n/);
    expect(heard().split('event: message_start')[0]).toContain('event: ping');
  });

  it('a count of tokens', async () => {
    const {model, messages} = asked;
    expect(await client.messages.countTokens({model, messages, system: 'Be brief.'})).toMatchObject({input_tokens: 3});
    expect(onlyRequest(upstream)).toMatchObject({
      path: '/v1/messages/count_tokens',
      body: {model, messages, system: 'Be brief.'},
    });
  });

  it('the models, and one of them by its name', async () => {
    const listed = await collect(client.models.list());
    expect(listed.map(({id}) => id)).toEqual([...models, 'lively', 'pair'].sort());
    expect(listed.every(({type, display_name: name}) => type === 'model' && name !== '')).toBe(true);
    expect(await client.models.retrieve('pair')).toMatchObject({type: 'model', id: 'pair'});
  });

  it('the answer of the next backend when the first one fails', async () => {
    upstream.behave({do: 'status', status: 529});
    expect(textOf(await create({model: 'pair'}))).toContain('Hello from cloud');
    expect(textOf(await client.messages.stream({...asked, model: 'pair'}).finalMessage())).toContain(
      'Hello from cloud',
    );
    expect(field.second.requests()).toHaveLength(2);
  });
});

describe('tools of the anthropic client', () => {
  it('are called, and their result comes to the model', async () => {
    const message = await create({tools, tool_choice: {type: 'any'}});
    expect(message.stop_reason).toBe('tool_use');
    const call = calledTool(message);
    expect(call).toMatchObject({name: 'get_weather', input: weatherArguments});

    const messages = [
      ...asked.messages,
      {role: 'assistant', content: message.content},
      {role: 'user', content: [{type: 'tool_result', tool_use_id: call.id, content: 'Sunny.'}]},
    ];
    const answer = await create({tools, messages});
    expect(answer.stop_reason).toBe('end_turn');
    expect(textOf(answer)).toContain('Hello from local');
    expect(bodiesOf(upstream)[0]).toMatchObject({tools, tool_choice: {type: 'any'}});
    expect(bodiesOf(upstream)[1]).toEqual({...asked, tools, messages});
  });

  it('are called piece by piece in a stream', async () => {
    const pieces: string[] = [];
    const stream = client.messages
      .stream({...asked, tools, tool_choice: {type: 'tool', name: 'get_weather'}})
      .on('inputJson', (piece) => pieces.push(piece));
    const call = calledTool(await stream.finalMessage());
    expect(pieces.length).toBeGreaterThan(2);
    expect(JSON.parse(pieces.join(''))).toEqual(weatherArguments);
    expect(call).toMatchObject({name: 'get_weather', input: weatherArguments});
  });

  it('are run by the client itself, until the model answers', async () => {
    const given: unknown[] = [];
    const weather = betaZodTool({
      name: 'get_weather',
      description: 'The weather of a city.',
      inputSchema: z.object({city: z.string(), days: z.int()}),
      run: (input) => {
        given.push(input);
        return 'Sunny.';
      },
    });
    const messages: Anthropic.Beta.BetaMessageParam[] = [{role: 'user', content: 'Please call the tool.'}];
    const answer = await client.beta.messages.toolRunner({...asked, messages, tools: [weather]}).runUntilDone();
    expect(answer.content).toMatchObject([{type: 'text', text: expect.stringContaining('Hello from local')}]);
    expect(given).toEqual([weatherArguments]);
    expect(lastMessage(upstream)).toMatchObject({
      role: 'user',
      content: [{type: 'tool_result', content: 'Sunny.'}],
    });
  });
});

describe('structured output of the anthropic client', () => {
  it('is parsed by the schema that the backend got', async () => {
    const format = zodOutputFormat(z.object({title: z.string(), pages: z.int()}));
    const message = await client.messages.parse({...asked, output_config: {format}});
    expect(message.parsed_output).toEqual({title: 'a sample', pages: 1});
    expect(bodiesOf(upstream)[0]?.['output_config']).toEqual({format: JSON.parse(JSON.stringify(format))});
  });
});
