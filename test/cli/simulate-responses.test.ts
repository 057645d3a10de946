/** The simulator's Responses API, on the wire and as the official client reads it. */
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals';
import OpenAI, {BadRequestError, NotFoundError} from 'openai';
import {startSimulator, type BehaviourInput, type Simulator} from '../../simulator/index.ts';
import {eventsOf, start, type Exchange} from './exchange.ts';

let simulator: Simulator;
let client: OpenAI;
beforeEach(async () => {
  simulator = await startSimulator({models: ['chat'], name: 'local', tokens: 4, contextWindow: 1000});
  client = new OpenAI({baseURL: simulator.url, apiKey: 'sk-none', maxRetries: 0});
});
afterEach(() => simulator.close());

const tools: OpenAI.Responses.FunctionTool[] = [
  {
    type: 'function',
    name: 'get_weather',
    strict: true,
    parameters: {type: 'object', properties: {city: {type: 'string'}, days: {type: 'integer'}}},
  },
];

const streamed = async (fields: object, simulate: BehaviourInput = {do: 'answer'}): Promise<Exchange> => {
  const exchange = start(`${simulator.url}/responses`, {model: 'chat', input: 'Hi', stream: true, ...fields, simulate});
  await exchange.ended;
  return exchange;
};
const typesIn = ({text}: Exchange): string[] => eventsOf(text).map(({event}) => event ?? 'no name');

const textFrame = {
  before: ['response.created', 'response.in_progress', 'response.output_item.added', 'response.content_part.added'],
  after: ['response.output_text.done', 'response.content_part.done', 'response.output_item.done'],
};
const delta = 'response.output_text.delta';

describe('a response', () => {
  it('says it all at once', async () => {
    const response = await client.responses.create({model: 'chat', input: 'Hi', instructions: 'Be brief.'});
    expect(response).toMatchObject({
      id: expect.stringMatching(/^resp_/),
      object: 'response',
      status: 'completed',
      output_text: 'Hello from local.',
      usage: {input_tokens: 3, output_tokens: 4, total_tokens: 7},
      incomplete_details: null,
    });
  });

  it('streams named and numbered events in their order', async () => {
    const exchange = await streamed({});
    expect(typesIn(exchange)).toEqual([
      ...textFrame.before,
      ...Array.from({length: 4}, () => delta),
      ...textFrame.after,
      'response.completed',
    ]);
    const events = eventsOf(exchange.text);
    expect(events.map(({data}) => data.sequence_number)).toEqual(events.map((_, index) => index));
    expect(events.every(({event, data}) => event === data.type)).toBe(true);
    expect(exchange.text).not.toContain('[DONE]');
  });

  it('is understood by the official client, streamed', async () => {
    const stream = client.responses.stream({model: 'chat', input: 'Hi'});
    const final = await stream.finalResponse();
    expect([final.output_text, final.usage?.output_tokens]).toEqual(['Hello from local.', 4]);
  });

  it.each([true, false])('calls a function, streamed: %j', async (stream) => {
    const body = {model: 'chat', input: 'Please call the tool.', tools};
    const response = stream ? await client.responses.stream(body).finalResponse() : await client.responses.create(body);
    const [call] = response.output;
    expect(call).toMatchObject({type: 'function_call', name: 'get_weather', call_id: expect.stringMatching(/^call_/)});
    expect(JSON.parse((call as OpenAI.Responses.ResponseFunctionToolCall).arguments)).toEqual({
      city: 'a sample',
      days: 1,
    });
  });

  it('streams the arguments of a function, and does not call it again with its result', async () => {
    const exchange = await streamed({tools, tool_choice: {type: 'function', name: 'get_weather'}});
    expect(new Set(typesIn(exchange))).toEqual(
      new Set([
        ...textFrame.before.slice(0, 3),
        'response.function_call_arguments.delta',
        'response.function_call_arguments.done',
        'response.output_item.done',
        'response.completed',
      ]),
    );
    const input = [
      {role: 'user' as const, content: 'Please call the tool.'},
      {type: 'function_call_output' as const, call_id: 'call_1', output: 'sunny'},
    ];
    expect((await client.responses.create({model: 'chat', input, tools})).output_text).toBe('Hello from local.');
  });

  it('that reaches max_output_tokens is incomplete', async () => {
    const response = await client.responses.create({model: 'chat', input: 'Hi', max_output_tokens: 2});
    expect(response).toMatchObject({
      status: 'incomplete',
      incomplete_details: {reason: 'max_output_tokens'},
      output: [{status: 'incomplete', content: [{text: 'Hello from'}]}],
    });
    const exchange = await streamed({max_output_tokens: 2});
    expect(typesIn(exchange).at(-1)).toBe('response.incomplete');
  });

  it('keeps to a JSON schema', async () => {
    const schema = {type: 'object', properties: {ok: {type: 'boolean'}}, required: ['ok']};
    const response = await client.responses.create({
      model: 'chat',
      input: 'Hi',
      text: {format: {type: 'json_schema', name: 'answer', schema}},
    });
    expect(JSON.parse(response.output_text)).toEqual({ok: true});
  });

  it.each([
    ['an unknown model', {model: 'x', input: 'Hi'}, NotFoundError, 'model_not_found'],
    ['too long an input', {model: 'chat', input: 'x'.repeat(4004)}, BadRequestError, 'context_length_exceeded'],
    [
      'an unknown predecessor',
      {model: 'chat', input: 'Hi', previous_response_id: 'resp_x'},
      BadRequestError,
      'previous_response_not_found',
    ],
  ])('refuses %s', async (_, body, kind, code) => {
    const refused = client.responses.create(body);
    await expect(refused).rejects.toBeInstanceOf(kind);
    await expect(refused).rejects.toMatchObject({code});
  });
});

describe('a response that is kept', () => {
  it('is continued, retrieved and deleted', async () => {
    const first = await client.responses.create({model: 'chat', input: 'One two three four.'});
    const second = await client.responses.create({model: 'chat', input: 'Five.', previous_response_id: first.id});
    expect(second.previous_response_id).toBe(first.id);
    expect(second.usage!.input_tokens).toBeGreaterThan(first.usage!.total_tokens);
    expect(await client.responses.retrieve(first.id)).toMatchObject({id: first.id, status: 'completed'});
    await client.responses.delete(first.id);
    await expect(client.responses.retrieve(first.id)).rejects.toBeInstanceOf(NotFoundError);
  });

  it('unless the request says not to', async () => {
    const {id} = await client.responses.create({model: 'chat', input: 'Hi', store: false});
    await expect(client.responses.retrieve(id)).rejects.toBeInstanceOf(NotFoundError);
  });

  it('runs in the background, and can be cancelled there', async () => {
    simulator.behave({do: 'answer', ttftMs: 60_000}, {times: 1});
    const {id, status} = await client.responses.create({model: 'chat', input: 'Hi', background: true});
    expect(status).toBe('queued');
    expect((await client.responses.retrieve(id)).status).toBe('in_progress');
    expect((await client.responses.cancel(id)).status).toBe('cancelled');
  });

  it('is asked for as the simulator was told', async () => {
    simulator.behave({do: 'status', status: 503});
    await expect(client.responses.retrieve('resp_x')).rejects.toMatchObject({status: 503});
    expect((await fetch(`${simulator.url}/models`)).status).toBe(200);
  });
});

describe('a response that goes wrong', () => {
  const begun = [...textFrame.before, delta, delta];

  it('says that it failed, in a stream and whole', async () => {
    const error = {code: 'rate_limit_exceeded', message: 'Slow down.'};
    const exchange = await streamed({}, {do: 'failed', afterTokens: 2, error});
    expect(typesIn(exchange)).toEqual([...begun, 'response.failed']);
    expect(eventsOf(exchange.text).at(-1)?.data).toMatchObject({
      sequence_number: 6,
      response: {status: 'failed', error, output: []},
    });
    simulator.behave({do: 'failed'});
    const whole = await client.responses.create({model: 'chat', input: 'Hi'});
    expect(whole).toMatchObject({status: 'failed', error: {code: 'server_error'}});
  });

  it('has an error event of its own form', async () => {
    const exchange = await streamed({}, {do: 'errorEvent', afterTokens: 2});
    expect(typesIn(exchange)).toEqual([...begun, 'error']);
    expect(eventsOf(exchange.text).at(-1)?.data).toEqual({
      type: 'error',
      code: 'server_error',
      message: 'The engine died.',
      param: null,
      sequence_number: 6,
    });
  });

  it.each<[string, BehaviourInput, string[], string]>([
    ['noDone', {do: 'noDone'}, [...begun, delta, delta, ...textFrame.after], 'Complete'],
    ['cut', {do: 'cut', afterTokens: 2}, begun, 'ECONNRESET'],
    ['reset', {do: 'reset', where: 'AfterTokens', tokens: 2}, begun, 'ECONNRESET'],
  ])('ends early: %s', async (_, behaviour, types, state) => {
    const exchange = await streamed({}, behaviour);
    expect([typesIn(exchange), exchange.state]).toEqual([types, state]);
  });

  it('has an event that is not JSON among the others', async () => {
    const {text} = await streamed({}, {do: 'malformedEvent', afterTokens: 1});
    expect(text).toContain(`event: ${delta}\ndata: {"type": "${delta}", "delta": "cont\n\n`);
    expect(text).toContain('event: response.completed\n');
  });
});
