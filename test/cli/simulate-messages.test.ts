/** The simulator's Messages API, on the wire and as the official client reads it. */
import Anthropic, {type APIError, BadRequestError, NotFoundError, RateLimitError} from '@anthropic-ai/sdk';
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals';
import {startSimulator, type BehaviourInput, type Simulator} from '../../simulator/index.ts';
import {until} from '../until.ts';
import {eventsOf, start, type Exchange} from './exchange.ts';

let simulator: Simulator;
let client: Anthropic;
beforeEach(async () => {
  simulator = await startSimulator({models: ['chat'], name: 'local', tokens: 4, contextWindow: 1000});
  client = new Anthropic({baseURL: simulator.origin, apiKey: 'sk-ant-none', maxRetries: 0});
});
afterEach(() => simulator.close());

const request = {
  model: 'chat',
  max_tokens: 100,
  messages: [{role: 'user' as const, content: 'Hi'}],
};
const tools: Anthropic.Tool[] = [
  {name: 'get_weather', input_schema: {type: 'object', properties: {city: {type: 'string'}}}},
];

const streamed = async (fields: object, simulate: BehaviourInput = {do: 'answer'}): Promise<Exchange> => {
  const exchange = start(`${simulator.url}/messages`, {...request, stream: true, ...fields, simulate});
  await exchange.ended;
  return exchange;
};
const typesIn = ({text}: Exchange): string[] => eventsOf(text).map(({event}) => event ?? 'no name');

const before = ['message_start', 'ping', 'content_block_start'];
const delta = 'content_block_delta';
const after = ['content_block_stop', 'message_delta'];

describe('a message', () => {
  it('says it all at once', async () => {
    expect(await client.messages.create({...request, system: 'Be brief.'})).toMatchObject({
      id: expect.stringMatching(/^msg_/),
      type: 'message',
      role: 'assistant',
      model: 'chat',
      content: [{type: 'text', text: 'Hello from local.'}],
      stop_reason: 'end_turn',
      usage: {input_tokens: 3, output_tokens: 4},
    });
  });

  it('streams its events in their order', async () => {
    const exchange = await streamed({});
    expect(typesIn(exchange)).toEqual([...before, delta, delta, delta, delta, ...after, 'message_stop']);
    const events = eventsOf(exchange.text);
    expect(events.every(({event, data}) => event === data.type)).toBe(true);
    expect(events[0]?.data).toMatchObject({message: {content: [], stop_reason: null, usage: {input_tokens: 1}}});
    expect(events.at(-2)?.data).toMatchObject({delta: {stop_reason: 'end_turn'}, usage: {output_tokens: 4}});
  });

  it('is understood by the official client, streamed', async () => {
    const final = await client.messages.stream(request).finalMessage();
    expect([final.content[0], final.usage.output_tokens]).toMatchObject([{text: 'Hello from local.'}, 4]);
  });

  it.each([true, false])('uses a tool, streamed: %j', async (stream) => {
    const body = {...request, tools, tool_choice: {type: 'any' as const}};
    const message = stream ? await client.messages.stream(body).finalMessage() : await client.messages.create(body);
    expect(message.stop_reason).toBe('tool_use');
    expect(message.content).toMatchObject([
      {type: 'tool_use', id: expect.stringMatching(/^toolu_/), name: 'get_weather', input: {city: 'a sample'}},
    ]);
  });

  it('does not use the tool again with its result', async () => {
    const messages: Anthropic.MessageParam[] = [
      {role: 'user', content: 'Please call the tool.'},
      {role: 'assistant', content: [{type: 'tool_use', id: 'toolu_1', name: 'get_weather', input: {}}]},
      {role: 'user', content: [{type: 'tool_result', tool_use_id: 'toolu_1', content: 'sunny'}]},
    ];
    const [asked, told] = [messages.slice(0, 1), messages];
    expect((await client.messages.create({...request, tools, messages: asked})).stop_reason).toBe('tool_use');
    expect((await client.messages.create({...request, tools, messages: told})).stop_reason).toBe('end_turn');
  });

  it('that reaches max_tokens says so', async () => {
    const message = await client.messages.create({...request, max_tokens: 2});
    expect([message.stop_reason, message.content[0]]).toMatchObject(['max_tokens', {text: 'Hello from'}]);
  });

  it('keeps to a JSON schema', async () => {
    const schema = {type: 'object', properties: {ok: {type: 'boolean'}}, required: ['ok']};
    const format = {type: 'json_schema' as const, schema};
    const message = await client.messages.create({...request, output_config: {format}});
    expect(message.content[0]).toMatchObject({text: '{"ok":true}'});
  });

  it('has its tokens counted', async () => {
    expect(await client.messages.countTokens({model: 'chat', messages: request.messages})).toEqual({input_tokens: 1});
  });
});

describe('a message that is refused', () => {
  it.each([
    ['an unknown model', {model: 'x'}, NotFoundError, ['not_found_error', 'model: x']],
    ['no max_tokens', {max_tokens: undefined}, BadRequestError, ['invalid_request_error', 'max_tokens']],
    [
      'too long a prompt',
      {messages: [{role: 'user', content: 'x'.repeat(4004)}]},
      BadRequestError,
      ['invalid_request_error', 'prompt is too long: 1001 tokens > 1000 maximum'],
    ],
  ])('as Anthropic does it: %s', async (_, change, kind, [type, message]) => {
    const error: unknown = await client.messages
      .create({...request, ...change} as Anthropic.MessageCreateParamsNonStreaming)
      .catch((error: unknown) => error);
    expect(error).toBeInstanceOf(kind);
    const {error: body, requestID} = error as APIError;
    expect(body).toEqual({
      type: 'error',
      error: {type, message: expect.stringContaining(message ?? '')},
      request_id: requestID,
    });
  });

  it('by a status that the simulator was told', async () => {
    simulator.behave({do: 'status', status: 429, headers: {'retry-after': '7'}});
    const refused = client.messages.create(request);
    await expect(refused).rejects.toBeInstanceOf(RateLimitError);
    await expect(refused).rejects.toMatchObject({type: 'rate_limit_error'});
  });
});

describe('a message that goes wrong', () => {
  const begun = [...before, delta, delta];

  it('has an error event of its own form', async () => {
    const overloaded = {type: 'overloaded_error', message: 'Overloaded'};
    const exchange = await streamed({}, {do: 'errorEvent', afterTokens: 2, error: overloaded});
    expect(typesIn(exchange)).toEqual([...begun, 'error']);
    expect(eventsOf(exchange.text).at(-1)?.data).toEqual({type: 'error', error: overloaded});
    simulator.behave({do: 'errorEvent', afterTokens: 1});
    await expect(client.messages.stream(request).finalMessage()).rejects.toMatchObject({
      error: {error: {type: 'api_error', message: 'The engine died.'}},
    });
  });

  it('pings as this API does', async () => {
    const exchange = start(`${simulator.url}/messages`, {
      ...request,
      stream: true,
      simulate: {do: 'pings', intervalMs: 1, count: 2},
    });
    const ping = 'event: ping\ndata: {"type":"ping"}\n\n';
    await until(() => exchange.text === ping + ping, 'both pings');
    expect(exchange.state).toBe('Open');
    exchange.leave();
  });

  it.each<[string, BehaviourInput, string[], string]>([
    ['noDone', {do: 'noDone'}, [...begun, delta, delta, ...after], 'Complete'],
    ['cut', {do: 'cut', afterTokens: 2}, begun, 'ECONNRESET'],
    ['roleOnly, gracefully', {do: 'cut', afterTokens: 0, graceful: true}, before, 'Complete'],
  ])('ends early: %s', async (_, behaviour, types, state) => {
    const exchange = await streamed({}, behaviour);
    expect([typesIn(exchange), exchange.state]).toEqual([types, state]);
  });

  it('does not fail as a Responses stream does', async () => {
    expect(typesIn(await streamed({}, {do: 'failed'})).at(-1)).toBe('message_stop');
  });
});
