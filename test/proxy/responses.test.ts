import {afterEach, describe, expect, it} from '@jest/globals';
import type {BehaviourInput} from '../../simulator/index.ts';
import {until} from '../until.ts';
import {keeper, post, type Harness} from './harness.ts';
import {errorOf, liveView, startLadder, type Rung} from './ladder.ts';
import {
  failed,
  incomplete,
  rawEvents,
  responses,
  responsesUsage,
  typedErrorAtEnd,
  typedEvent,
  typedEventsIn,
} from './typed-streams.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const {path, opening, token} = responses;

const ask = (proxy: Harness, fields: object = {}): Promise<Response> =>
  post(proxy.url, responses.body({stream: false, ...fields}), {path});

const stream = (proxy: Harness, fields: object = {}): Promise<Response> => ask(proxy, {stream: true, ...fields});

const localAndCloud = (behaves: BehaviourInput, cloud: Partial<Rung> = {}): [Rung, Rung] => [
  {name: 'local', behaves},
  {name: 'cloud', ...cloud},
];

const whole = (fields: object): string =>
  JSON.stringify({id: 'resp_1', object: 'response', status: 'completed', error: null, output: [], ...fields});

const json = (text: string): BehaviourInput => ({
  do: 'raw',
  headers: {'content-type': 'application/json'},
  chunks: [{text}],
});

describe('a response that is not streamed', () => {
  it('comes as the backend made it, and is counted', async () => {
    const answer = whole({
      output: [{type: 'message', content: [{type: 'output_text', text: 'Hi'}]}],
      usage: responsesUsage,
    });
    const {proxy, upstreams} = await startLadder(keep, [{name: 'local', behaves: json(answer)}]);
    const response = await ask(proxy, {instructions: 'Be brief.', store: false});
    expect(response.status).toBe(200);
    expect(await response.text()).toBe(answer);
    expect(upstreams[0]?.requests()[0]).toMatchObject({
      path: '/v1/responses',
      body: {model: 'chat', input: 'Hi', instructions: 'Be brief.', store: false},
    });
    await until(() => proxy.requests().length === 1, 'the log line');
    expect(proxy.requests()[0]).toMatchObject({
      api: 'responses',
      streamed: false,
      promptTokens: 7,
      completionTokens: 2,
      usageEstimated: false,
    });
  });

  it('is counted by its length where the backend does not count', async () => {
    const content = [{type: 'output_text', text: 'x'.repeat(40)}];
    const call = {type: 'function_call', arguments: 'x'.repeat(40)};
    const {proxy} = await startLadder(keep, [
      {name: 'local', behaves: json(whole({output: [{type: 'message', content}, call]}))},
    ]);
    await ask(proxy);
    await until(() => proxy.requests().length === 1, 'the log line');
    expect(proxy.requests()[0]).toMatchObject({completionTokens: 20, usageEstimated: true});
  });

  it.each([
    ['failed', whole({status: 'failed', error: {code: 'server_error', message: 'The engine died.'}})],
    ['no response', '{"id": "resp_1"}'],
    ['half of one', '{"id": "resp_1", "output": ['],
  ])('is asked of the next backend when it is %s', async (_, answer) => {
    const {proxy} = await startLadder(keep, localAndCloud(json(answer)));
    const response = await ask(proxy);
    expect(response.status).toBe(200);
    expect(response.headers.get('x-modelroute-backend')).toBe('cloud');
    expect((await liveView(proxy, 'local')).lastError).not.toBeNull();
  });

  it('that is incomplete is a good answer', async () => {
    const answer = whole({status: 'incomplete', incomplete_details: {reason: 'max_output_tokens'}});
    const {proxy, upstreams} = await startLadder(keep, localAndCloud(json(answer)));
    expect(await ask(proxy).then((response) => response.text())).toBe(answer);
    expect(upstreams[1]?.requests()).toEqual([]);
    expect((await liveView(proxy, 'local')).lastError).toBeNull();
  });

  it('that failed by the caller’s own fault is his, as 400 and with nothing held against the backend', async () => {
    const error = {code: 'invalid_prompt', message: 'Your prompt was rejected.'};
    const {proxy, upstreams} = await startLadder(keep, localAndCloud(json(whole({status: 'failed', error}))));
    const response = await ask(proxy);
    expect(response.status).toBe(400);
    expect(await errorOf(response)).toMatchObject(error);
    expect(upstreams[1]?.requests()).toEqual([]);
    expect((await liveView(proxy, 'local')).lastError).toBeNull();
  });

  it('whose input is too long is asked of a backend with a larger window', async () => {
    const {proxy} = await startLadder(keep, [
      {name: 'local', backend: {contextWindow: 10}, options: {contextWindow: 10}},
      {name: 'cloud', backend: {contextWindow: 1_000}},
    ]);
    const response = await ask(proxy, {input: 'word '.repeat(50)});
    expect([response.status, response.headers.get('x-modelroute-backend')]).toEqual([200, 'cloud']);
    expect((await liveView(proxy, 'local')).lastError).toBeNull();
  });
});

describe('a streamed response', () => {
  it('that ends incomplete is a good answer', async () => {
    const text = opening + token('One') + incomplete;
    const {proxy, upstreams} = await startLadder(keep, localAndCloud(rawEvents([text])));
    expect(await stream(proxy).then((response) => response.text())).toBe(text);
    expect(upstreams[1]?.requests()).toEqual([]);
    expect((await liveView(proxy, 'local')).lastError).toBeNull();
    await until(() => proxy.requests().length === 1, 'the log line');
    expect(proxy.requests()[0]).toMatchObject({status: 200, completionTokens: 2, usageEstimated: false});
    expect(proxy.requests()[0]).not.toHaveProperty('error');
  });

  it.each([
    ['complete', typedEvent('response.completed', {response: {status: 'completed', output: [], usage: null}})],
    ['incomplete', incomplete],
  ])('with no content at all is an answer once it is %s', async (_, end) => {
    const {proxy} = await startLadder(keep, localAndCloud(rawEvents([opening, end])));
    const response = await stream(proxy);
    expect(response.headers.get('x-modelroute-backend')).toBe('local');
    expect(await response.text()).toBe(opening + end);
  });

  const delta = (type: string, fields: object): string => typedEvent(`response.${type}.delta`, fields);

  it.each([
    ['a reasoning text', delta('reasoning_text', {delta: 'Hm'})],
    ['a summary of its reasoning', delta('reasoning_summary_text', {delta: 'Hm'})],
    ['arguments of a function', delta('function_call_arguments', {delta: '{"a'})],
    ['input of a custom tool', delta('custom_tool_call_input', {delta: 'ls'})],
    ['a refusal', delta('refusal', {delta: 'No'})],
    ['a preview of a picture', typedEvent('response.image_generation_call.partial_image', {partial_image_b64: 'iVBO'})],
  ])('commits to its backend with %s', async (_, first) => {
    const {proxy, upstreams} = await startLadder(keep, localAndCloud(rawEvents([opening, first], 'Cut')));
    const text = await stream(proxy).then((response) => response.text());
    expect(text.startsWith(opening + first)).toBe(true);
    expect(typedErrorAtEnd(text).error.code).toBe('stream_cut');
    expect(upstreams[1]?.requests()).toEqual([]);
  });

  it.each([
    ['an item that begins', typedEvent('response.output_item.added', {output_index: 0, item: {type: 'message'}})],
    ['a tool at work', typedEvent('response.code_interpreter_call.interpreting', {item_id: 'ci_1'})],
    ['an empty delta', delta('output_text', {delta: ''})],
    ['an event of a kind to come', typedEvent('response.something.new', {value: 1})],
    ['an event named as what every object has', typedEvent('constructor') + typedEvent('__proto__')],
  ])('does not commit to its backend with %s', async (_, first) => {
    const {proxy} = await startLadder(keep, localAndCloud(rawEvents([opening, first], 'Cut')));
    const response = await stream(proxy);
    expect(response.headers.get('x-modelroute-backend')).toBe('cloud');
    expect(typedEventsIn(await response.text()).at(-1)?.name).toBe('response.completed');
  });

  it('that is cut says so both where the API and where its clients look', async () => {
    const {proxy} = await startLadder(keep, [{name: 'local', behaves: rawEvents([opening, token('One')], 'Cut')}]);
    const {data, error} = typedErrorAtEnd(await stream(proxy).then((response) => response.text()));
    expect(data).toMatchObject({type: 'error', code: 'stream_cut', message: error.message, param: null});
    expect(error).toMatchObject({code: 'stream_cut', type: 'api_error', backend: 'local', attempts: 1});
  });

  it('that fails by the caller’s own fault before any content is his, and nothing is held against the backend', async () => {
    const error = {code: 'invalid_prompt', message: 'Your prompt was rejected.'};
    const {proxy, upstreams} = await startLadder(keep, localAndCloud(rawEvents([opening + failed(error)])));
    for (let count = 0; count < 6; count += 1) {
      const response = await stream(proxy);
      expect(response.status).toBe(400);
      expect(await errorOf(response)).toMatchObject(error);
    }
    expect(upstreams[1]?.requests()).toEqual([]);
    expect(await liveView(proxy, 'local')).toMatchObject({breaker: 'Closed', lastError: null});
  });

  it('repeats long instructions in its first events, which is no fault of its backend', async () => {
    const {proxy} = await startLadder(keep, [{name: 'local'}]);
    const response = await stream(proxy, {instructions: 'Be brief. '.repeat(60_000)});
    expect(response.status).toBe(200);
    expect(typedEventsIn(await response.text()).at(-1)?.name).toBe('response.completed');
    expect((await liveView(proxy, 'local')).lastError).toBeNull();
  });

  it('opens the breaker of a backend that fails after content again and again', async () => {
    const {proxy, upstreams} = await startLadder(keep, localAndCloud(rawEvents([opening + token('One') + failed()])), {
      spec: {circuitBreaker: {consecutiveFailures: 3}},
    });
    for (let count = 0; count < 3; count += 1) {
      const text = await stream(proxy).then((response) => response.text());
      expect(typedErrorAtEnd(text).error).toMatchObject({code: 'stream_cut', backend: 'local'});
    }
    await until(async () => (await liveView(proxy, 'local')).breaker === 'Open', 'the breaker opens');
    expect((await stream(proxy)).headers.get('x-modelroute-backend')).toBe('cloud');
    expect(upstreams[0]?.requests()).toHaveLength(3);
  });

  it('is left with its caller, and the backend stops', async () => {
    const {proxy, upstreams} = await startLadder(keep, [
      {name: 'local', behaves: rawEvents([opening, token('One')], 'Hang')},
    ]);
    const leaving = new AbortController();
    const response = await post(proxy.url, responses.body(), {path, signal: leaving.signal});
    await response.body?.getReader().read();
    leaving.abort();
    await until(() => upstreams[0]?.aborted() === 1, 'the backend is left');
    expect(await liveView(proxy, 'local')).toMatchObject({breaker: 'Closed', lastError: null});
  });
});
