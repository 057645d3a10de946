/** The official client as a caller of the Responses API. */
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals';
import OpenAI, {APIError, APIUserAbortError, BadRequestError, NotFoundError} from 'openai';
import {zodTextFormat} from 'openai/helpers/zod';
import {z} from 'zod';
import type {BehaviourInput, Simulator} from '../../simulator/index.ts';
import {keeper} from '../proxy/harness.ts';
import {
  bodiesOf,
  callersKey,
  collect,
  collectUntilRaised,
  onlyRequest,
  overhearing,
  raised,
  startField,
  wasLeft,
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

type Event = OpenAI.Responses.ResponseStreamEvent;

const respond = (fields: object = {}): Promise<OpenAI.Responses.Response> =>
  client.responses.create({model: 'chat', input: 'Hi', ...fields});
const streamed = (fields: object = {}) =>
  client.responses.create({model: 'chat', input: 'Hi', stream: true, ...fields});

const textIn = (events: readonly Event[]): string =>
  events.map((event) => (event.type === 'response.output_text.delta' ? event.delta : '')).join('');

const tools: OpenAI.Responses.FunctionTool[] = [
  {type: 'function', name: 'get_weather', parameters: weatherSchema, strict: true},
];

function calledFunction({output}: OpenAI.Responses.Response): OpenAI.Responses.ResponseFunctionToolCall {
  const call = output.find(({type}) => type === 'function_call');
  if (call?.type !== 'function_call') throw new Error('no function was called');
  return call;
}

describe('the openai client gets a response', () => {
  it('plain, with usage and the request’s id', async () => {
    const {data, request_id: id} = await client.responses
      .create({model: 'chat', input: 'Hi', instructions: 'Be brief.'})
      .withResponse();
    expect(data).toMatchObject({status: 'completed', output_text: expect.stringContaining('Hello from local')});
    expect(data.usage).toMatchObject({input_tokens: 3, output_tokens: 8, total_tokens: 11});
    expect(id).toMatch(/^[\da-f-]{36}$/);
    expect(onlyRequest(upstream)).toMatchObject({
      path: '/v1/responses',
      body: {model: 'chat', input: 'Hi', instructions: 'Be brief.'},
    });
    expect(JSON.stringify(onlyRequest(upstream).headers)).not.toContain(callersKey);
  });

  it('streamed, event by event, with usage at the end', async () => {
    const whole = await respond();
    const events = await collect(await streamed());
    expect(textIn(events)).toBe(whole.output_text);
    expect(events[0]?.type).toBe('response.created');
    const last = events.at(-1);
    if (last?.type !== 'response.completed') throw new Error(`the stream ended in ${last?.type}`);
    expect(last.response.usage?.output_tokens).toBe(8);
    expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, index) => index));
    expect(bodiesOf(upstream)[1]).toEqual({model: 'chat', input: 'Hi', stream: true});
  });

  it('from its stream helper', async () => {
    const deltas: string[] = [];
    const stream = client.responses
      .stream({model: 'chat', input: 'Hi'})
      .on('response.output_text.delta', ({delta}) => deltas.push(delta));
    const response = await stream.finalResponse();
    expect(deltas).toHaveLength(8);
    expect(response).toMatchObject({status: 'completed', output_text: deltas.join('')});
  });

  it('that is incomplete, which is no error', async () => {
    expect(await respond({max_output_tokens: 3})).toMatchObject({
      status: 'incomplete',
      incomplete_details: {reason: 'max_output_tokens'},
    });
    expect((await collect(await streamed({max_output_tokens: 3}))).at(-1)?.type).toBe('response.incomplete');
    expect(bodiesOf(upstream).map(({max_output_tokens: most}) => most)).toEqual([3, 3]);
  });

  it('undisturbed by what keeps it awake', async () => {
    upstream.behave({do: 'answer', ttftMs: 150});
    const {fetch, heard} = overhearing();
    const stream = client.withOptions({fetch}).responses.stream({model: 'lively', input: 'Hi'});
    expect((await stream.finalResponse()).output_text).toContain('Hello from local');
    expect(heard()).toMatch(/^:.*\n\n/);
  });

  it('parsed by the schema that the backend got', async () => {
    const format = zodTextFormat(z.object({title: z.string(), pages: z.int()}), 'book');
    const {output_parsed: parsed} = await client.responses.parse({model: 'chat', input: 'Hi', text: {format}});
    expect(parsed).toEqual({title: 'a sample', pages: 1});
    expect(bodiesOf(upstream)[0]?.['text']).toEqual({format: JSON.parse(JSON.stringify(format))});
  });

  it('that calls a function, and its result comes to the model', async () => {
    const asked = await respond({tools, tool_choice: 'required'});
    const call = calledFunction(asked);
    expect(call.name).toBe('get_weather');
    expect(JSON.parse(call.arguments)).toEqual(weatherArguments);

    const result = {type: 'function_call_output', call_id: call.call_id, output: 'Sunny.'};
    const input = [{role: 'user', content: 'Hi'}, ...asked.output, result];
    const answer = await respond({input, tools});
    expect(answer.output_text).toContain('Hello from local');
    expect(bodiesOf(upstream)[0]).toMatchObject({tools, tool_choice: 'required'});
    expect(bodiesOf(upstream)[1]).toEqual({model: 'chat', input, tools});
  });

  it('that calls a function piece by piece', async () => {
    const pieces: string[] = [];
    const stream = client.responses
      .stream({model: 'chat', input: 'Hi', tools, tool_choice: 'required'})
      .on('response.function_call_arguments.delta', ({delta}) => pieces.push(delta));
    const call = calledFunction(await stream.finalResponse());
    expect(pieces.length).toBeGreaterThan(2);
    expect(call.arguments).toBe(pieces.join(''));
    expect(JSON.parse(call.arguments)).toEqual(weatherArguments);
  });
});

describe('what one server holds', () => {
  it('is gone on from on a route with a single endpoint', async () => {
    const first = await respond();
    const second = await respond({previous_response_id: first.id, input: 'And?'});
    expect(second).toMatchObject({status: 'completed', previous_response_id: first.id});
    expect(second.usage?.input_tokens).toBeGreaterThan(first.usage?.input_tokens ?? Infinity);
    expect(bodiesOf(upstream)[1]?.['previous_response_id']).toBe(first.id);
  });

  it.each([
    ['previous_response_id', 'resp_1'],
    ['conversation', 'conv_1'],
    ['background', true],
  ])('%s, raises BadRequestError with the remedy where two servers could', async (param, value) => {
    for (const asking of [respond({model: 'pair', [param]: value}), streamed({model: 'pair', [param]: value})]) {
      expect(await raised(asking)).toMatchObject({
        constructor: BadRequestError,
        code: 'stateful_unsupported',
        param,
        message: expect.stringContaining('send all of the conversation in "input"'),
      });
    }
    expect([...upstream.requests(), ...field.second.requests()]).toEqual([]);
  });

  it('can be fetched and deleted later, by who says which model it is of', async () => {
    const {id, model} = await respond();
    const named = {query: {model}};
    expect(await client.responses.retrieve(id, {}, named)).toMatchObject({id, status: 'completed'});
    expect(await raised(client.responses.retrieve(id))).toMatchObject({
      constructor: BadRequestError,
      code: 'stateful_unsupported',
    });
    await client.responses.delete(id, named);
    expect(await raised(client.responses.retrieve(id, {}, named))).toMatchObject({constructor: NotFoundError});
  });
});

describe('a stream of a response', () => {
  const text = ['one', ' two', ' three'];

  it.each<[string, BehaviourInput]>([
    ['is cut', {do: 'cut', afterTokens: 2, text}],
    ['ends too soon', {do: 'cut', afterTokens: 2, graceful: true, text}],
    ['is reset', {do: 'reset', where: 'AfterTokens', tokens: 2, text}],
    ['is ended by an error of the backend', {do: 'errorEvent', afterTokens: 2, text}],
    ['is ended by the failure of its model', {do: 'failed', afterTokens: 2, text}],
  ])('that %s raises APIError behind what came, and by the helper too', async (_, behaviour) => {
    upstream.behave(behaviour);
    const expected = {constructor: APIError, code: 'stream_cut', type: 'api_error', error: {backend: 'local'}};
    const {all, error} = await collectUntilRaised(streamed());
    expect(textIn(all)).toBe('one two');
    expect(all.some(({type}) => type === 'response.completed')).toBe(false);
    expect(error).toMatchObject(expected);
    expect((error as Error).message).not.toContain('127.0.0.1');
    const helper = client.responses.stream({model: 'chat', input: 'Hi'});
    expect(await raised(helper.finalResponse())).toMatchObject(expected);
  });

  it('that was kept awake for nothing raises APIError with our code', async () => {
    upstream.behave({do: 'hang'});
    expect(await collectUntilRaised(streamed({model: 'lively'}))).toMatchObject({
      all: [],
      error: {constructor: APIError, code: 'backend_timeout', type: 'timeout_error'},
    });
  });

  it('that its caller leaves stops the backend', async () => {
    upstream.behave({do: 'answer', answerTokens: 100_000, tokensPerSecond: 200});
    for await (const {type} of await streamed()) if (type === 'response.output_text.delta') break;
    await wasLeft(field);
  });

  it('whose helper is aborted stops the backend', async () => {
    upstream.behave({do: 'hang', where: 'AfterTokens', tokens: 1});
    const stream = client.responses.stream({model: 'chat', input: 'Hi'});
    stream.once('response.output_text.delta', () => stream.abort());
    expect(await raised(stream.finalResponse())).toMatchObject({constructor: APIUserAbortError});
    await wasLeft(field);
  });
});
