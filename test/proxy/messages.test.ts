import {afterEach, describe, expect, it} from '@jest/globals';
import type {BehaviourInput} from '../../simulator/index.ts';
import {until} from '../until.ts';
import {keeper, post, type Harness} from './harness.ts';
import {liveView, startLadder, type Ladder, type Rung} from './ladder.ts';
import {
  messages,
  rawEvents,
  signature,
  thinking,
  toolInput,
  typedErrorAtEnd,
  typedEvent,
  typedEventsIn,
  wholeStream,
} from './typed-streams.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const {path, opening, progress, token} = messages;

const anthropic = {api: 'Anthropic'} as const;

const ask = (proxy: Harness, fields: object = {}, to = path): Promise<Response> =>
  post(proxy.url, messages.body({stream: false, ...fields}), {path: to});

const stream = (proxy: Harness, fields: object = {}): Promise<Response> => ask(proxy, {stream: true, ...fields});

/** Two rungs that speak the API, the first of which behaves like this. */
const start = (behaves: BehaviourInput = {do: 'answer'}, options: Partial<Rung>[] = []): Promise<Ladder> =>
  startLadder(keep, [
    {name: 'local', behaves, backend: anthropic, ...options[0]},
    {name: 'cloud', backend: anthropic, ...options[1]},
  ]);

const json = (value: object): BehaviourInput => ({
  do: 'raw',
  headers: {'content-type': 'application/json'},
  chunks: [{text: JSON.stringify(value)}],
});

const whole = {id: 'msg_1', type: 'message', role: 'assistant', model: 'claude', stop_reason: 'end_turn'};
const text = [{type: 'text', text: 'x'.repeat(40)}];

describe('a message that is not streamed', () => {
  it('comes as the backend made it', async () => {
    const answer = {...whole, content: text, usage: {input_tokens: 5, output_tokens: 10}};
    const {proxy, upstreams} = await start(json(answer));
    const response = await ask(proxy, {system: 'Be brief.'});
    expect(response.status).toBe(200);
    expect(await response.text()).toBe(JSON.stringify(answer));
    expect(upstreams[0]?.requests()[0]).toMatchObject({
      path: '/v1/messages',
      body: {model: 'chat', max_tokens: 50, system: 'Be brief.'},
    });
  });

  it.each<[string, object, object]>([
    [
      'with what the cache of the backend read and wrote',
      {input_tokens: 5, cache_read_input_tokens: 100, cache_creation_input_tokens: 20, output_tokens: 10},
      {promptTokens: 125, completionTokens: 10, usageEstimated: false},
    ],
    ['without a cache', {input_tokens: 5, output_tokens: 10}, {promptTokens: 5, completionTokens: 10}],
    ['by its length where it says nothing', {}, {completionTokens: 10, usageEstimated: true}],
  ])('is counted %s', async (_, usage, counted) => {
    const {proxy} = await start(json({...whole, content: text, usage}));
    await ask(proxy);
    await until(() => proxy.requests().length === 1, 'the log line');
    expect(proxy.requests()[0]).toMatchObject({api: 'messages', streamed: false, ...counted});
  });

  it.each([
    ['an error in a 200', json({type: 'error', error: {type: 'overloaded_error', message: 'Overloaded'}})],
    ['no message', json({id: 'msg_1'})],
    ['a server error', {do: 'status', status: 529} as const],
  ])('is asked of the next backend when the first answers with %s', async (_, behaves) => {
    const {proxy} = await start(behaves);
    const response = await ask(proxy);
    expect([response.status, response.headers.get('x-modelroute-backend')]).toEqual([200, 'cloud']);
    expect((await liveView(proxy, 'local')).lastError).not.toBeNull();
  });

  it('that is refused comes back in the backend’s words', async () => {
    const {proxy, upstreams} = await start();
    const response = await ask(proxy, {max_tokens: 0});
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      type: 'error',
      error: {type: 'invalid_request_error', message: expect.stringContaining('max_tokens')},
      request_id: expect.stringMatching(/^req_/), // the backend's own
    });
    expect(upstreams[1]?.requests()).toEqual([]);
    expect((await liveView(proxy, 'local')).lastError).toBeNull();
  });

  it('whose prompt is too long in Anthropic’s words is asked of a backend with a larger window', async () => {
    const {proxy} = await start({do: 'answer'}, [
      {backend: {...anthropic, contextWindow: 10}, options: {contextWindow: 10}},
      {backend: {...anthropic, contextWindow: 1_000}},
    ]);
    const response = await ask(proxy, {messages: [{role: 'user', content: 'word '.repeat(50)}]});
    expect([response.status, response.headers.get('x-modelroute-backend')]).toEqual([200, 'cloud']);
  });

  it('whose model a backend does not know, in Anthropic’s words, is asked of the next, as the route fixed the name', async () => {
    const {proxy} = await start({do: 'answer'}, [{backend: {...anthropic, model: 'claude-0'}}]);
    const response = await ask(proxy);
    expect([response.status, response.headers.get('x-modelroute-backend')]).toEqual([200, 'cloud']);
    expect((await liveView(proxy, 'local')).lastError?.message).toContain('404');
  });
});

describe('a streamed message', () => {
  it.each([
    ['thinking', thinking('Hm')],
    ['the input of a tool', toolInput('{"a')],
    ['text', token('One')],
  ])('commits to its backend with %s', async (_, first) => {
    const {proxy, upstreams} = await start(rawEvents([opening + progress, first], 'Cut'));
    const all = await stream(proxy).then((response) => response.text());
    expect(all.startsWith(opening + progress + first)).toBe(true);
    expect(typedErrorAtEnd(all).error.code).toBe('stream_cut');
    expect(upstreams[1]?.requests()).toEqual([]);
  });

  it.each([
    ['a signature', signature],
    ['the name of a tool', typedEvent('content_block_start', {index: 0, content_block: {type: 'tool_use', name: 'f'}})],
    ['an empty text', token('')],
    ['what says why it stops', typedEvent('message_delta', {delta: {stop_reason: 'end_turn'}})],
    ['an event of a kind to come', typedEvent('something_new', {value: 1})],
    ['an event named as what every object has', typedEvent('constructor') + typedEvent('__proto__')],
  ])('does not commit to its backend with %s', async (_, first) => {
    const {proxy} = await start(rawEvents([opening + progress, first], 'Cut'));
    const response = await stream(proxy);
    expect(response.headers.get('x-modelroute-backend')).toBe('cloud');
    expect(typedEventsIn(await response.text()).at(-1)?.name).toBe('message_stop');
  });

  it('with no content at all is an answer', async () => {
    const empty = wholeStream(messages);
    const {proxy} = await start(rawEvents([empty]));
    const response = await stream(proxy);
    expect(response.headers.get('x-modelroute-backend')).toBe('local');
    expect(await response.text()).toBe(empty);
  });

  it('that calls a tool passes whole', async () => {
    const {proxy} = await start();
    const tools = [{name: 'weather', input_schema: {type: 'object', properties: {city: {type: 'string'}}}}];
    const events = typedEventsIn(
      await stream(proxy, {tools, tool_choice: {type: 'any'}}).then((response) => response.text()),
    );
    expect(events.find(({name}) => name === 'content_block_start')?.data).toMatchObject({
      content_block: {type: 'tool_use', name: 'weather'},
    });
    const input = events
      .map(({data}) => (data as {delta?: {partial_json?: string}}).delta?.partial_json ?? '')
      .join('');
    expect(JSON.parse(input)).toEqual({city: expect.any(String)});
    expect(events.at(-1)?.name).toBe('message_stop');
  });

  it('is counted from its first event and its last', async () => {
    const started = typedEvent('message_start', {
      message: {...whole, content: [], usage: {input_tokens: 9, cache_read_input_tokens: 3, output_tokens: 1}},
    });
    const ended = typedEvent('message_delta', {delta: {stop_reason: 'end_turn'}, usage: {output_tokens: 4}});
    const {proxy} = await start(rawEvents([started, token('One'), ended, typedEvent('message_stop')]));
    await stream(proxy).then((response) => response.text());
    await until(() => proxy.requests().length === 1, 'the log line');
    expect(proxy.requests()[0]).toMatchObject({promptTokens: 12, completionTokens: 4, usageEstimated: false});
  });

  it('that is cut is counted by what came, whatever its first event said', async () => {
    const started = typedEvent('message_start', {
      message: {...whole, content: [], usage: {input_tokens: 9, output_tokens: 1}},
    });
    const {proxy} = await start(rawEvents([started, token('One'), token(' two'), token(' three')], 'Cut'));
    const counted = {input_tokens: 9, output_tokens: 4, estimated: true}; // thirteen characters
    expect(typedErrorAtEnd(await stream(proxy).then((response) => response.text())).usage).toEqual(counted);
    await until(() => proxy.requests().length === 1, 'the log line');
    expect(proxy.requests()[0]).toMatchObject({promptTokens: 9, completionTokens: 4, usageEstimated: true});
  });

  it('that is cut ends in Anthropic’s error, with the usage so far', async () => {
    const {proxy} = await start(rawEvents([opening, token('One')], 'Cut'));
    const {data, error} = typedErrorAtEnd(await stream(proxy).then((response) => response.text()));
    expect(error).toMatchObject({type: 'api_error', code: 'stream_cut', backend: 'local', attempts: 1});
    expect(Object.keys(data).sort()).toEqual(['error', 'type', 'usage']);
  });

  it.each([
    ['an error', typedEvent('error', {error: {type: 'request_too_large', message: 'Too large'}})],
    ['a refusal of a prompt that is too long', typedEvent('error', {error: {message: 'prompt is too long: 9 > 5'}})],
  ])('that is refused before any content by %s in its stream is refused with 4xx', async (_, event) => {
    const {proxy, upstreams} = await start(rawEvents([opening + event]));
    const response = await stream(proxy);
    expect([400, 413]).toContain(response.status);
    expect(await response.json()).toMatchObject({type: 'error', error: {message: expect.any(String)}});
    expect(upstreams[1]?.requests()).toEqual([]);
    expect((await liveView(proxy, 'local')).lastError).toBeNull();
  });
});

describe('the tokens of a message', () => {
  it('are counted by a backend, and none are used', async () => {
    const {proxy, upstreams} = await start();
    const response = await ask(proxy, {stream: undefined}, '/v1/messages/count_tokens');
    expect(await response.json()).toEqual({input_tokens: 1});
    expect(upstreams[0]?.requests()[0]?.path).toBe('/v1/messages/count_tokens');
    await until(() => proxy.requests().length === 1, 'the log line');
    expect(proxy.requests()[0]).toMatchObject({api: 'count_tokens', status: 200});
    expect(proxy.requests()[0]).not.toHaveProperty('promptTokens');
  });

  it('are counted by the next backend where the first cannot', async () => {
    const {proxy, upstreams} = await start({do: 'status', status: 404});
    for (let count = 0; count < 2; count += 1) {
      const response = await ask(proxy, {}, '/v1/messages/count_tokens');
      expect([response.status, response.headers.get('x-modelroute-backend')]).toEqual([200, 'cloud']);
    }
    expect(upstreams[0]?.requests()).toHaveLength(1); // it does not count; what else it can is not touched
    upstreams[0]?.behave({do: 'answer'});
    expect((await ask(proxy)).headers.get('x-modelroute-backend')).toBe('local');
  });

  it('are no answer without a number', async () => {
    const {proxy} = await start(json({tokens: 4}));
    const response = await ask(proxy, {}, '/v1/messages/count_tokens');
    expect(response.headers.get('x-modelroute-backend')).toBe('cloud');
  });
});
