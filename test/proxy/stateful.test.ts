/** Requests that refer to what one server holds. */
import {afterEach, describe, expect, it} from '@jest/globals';
import type {Simulator} from '../../simulator/index.ts';
import {until} from '../until.ts';
import {keeper, post, startHarness, startUpstream, type Harness} from './harness.ts';
import {errorOf, liveView, podsBackend, podsOf} from './ladder.ts';
import {rawEvents, responses, typedErrorAtEnd} from './typed-streams.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const ask = (proxy: Harness, fields: object = {}): Promise<Response> =>
  post(proxy.url, responses.body({stream: false, ...fields}), {path: '/v1/responses'});

const stateful: [string, object][] = [
  ['previous_response_id', {previous_response_id: 'resp_1'}],
  ['conversation', {conversation: 'conv_1'}],
  ['conversation', {conversation: {id: 'conv_1'}}],
  ['background', {background: true}],
];

const stateless: [string, object][] = [
  ['null', {previous_response_id: null, conversation: null, background: null}],
  ['false', {background: false}],
  ['another API’s field', {metadata: {previous_response_id: 'resp_1'}}],
];

async function startSeveral(): Promise<{proxy: Harness; upstreams: Simulator[]}> {
  const upstreams = [await keep(startUpstream({name: 'one'})), await keep(startUpstream({name: 'two'}))];
  const proxy = await keep(startHarness({routes: {backends: [podsBackend(upstreams)]}, slices: podsOf(upstreams)}));
  return {proxy, upstreams};
}

/** One endpoint, and where `others` speak another API, those. */
async function startSingle(options: {others?: boolean} = {}): Promise<{proxy: Harness; upstream: Simulator}> {
  const upstream = await keep(startUpstream());
  const claude = {name: 'claude', url: upstream.url, api: 'Anthropic' as const, priority: 1};
  const backends = [{name: 'local', url: upstream.url}, ...(options.others === true ? [claude] : [])];
  return {upstream, proxy: await keep(startHarness({routes: {backends}}))};
}

describe('a request that refers to what one server holds, on a route with several endpoints', () => {
  it.each(stateful)('is refused for its %s, with the remedy, and nothing is sent', async (member, fields) => {
    const {proxy, upstreams} = await startSeveral();
    const response = await ask(proxy, fields);
    expect(response.status).toBe(400);
    const error = await errorOf(response);
    expect(error).toMatchObject({code: 'stateful_unsupported', type: 'invalid_request_error', param: member});
    expect(error.message).toContain(
      `"${member}" refers to what one server holds, and route team-a/chat has 2 endpoints`,
    );
    expect(error.message).toMatch(
      /send all of the conversation in "input" instead, or ask a route with a single endpoint/,
    );
    expect(upstreams.flatMap((upstream) => upstream.requests())).toEqual([]);
    await until(() => proxy.requests().length === 1, 'the log line');
    expect(proxy.requests()[0]).toMatchObject({api: 'responses', error: 'stateful_unsupported', attempts: 0});
  });

  it('is refused over several backends too', async () => {
    const upstreams = [await keep(startUpstream()), await keep(startUpstream())];
    const backends = upstreams.map(({url}, priority) => ({name: `b${priority}`, url, priority}));
    const proxy = await keep(startHarness({routes: {backends}}));
    expect((await ask(proxy, {background: true})).status).toBe(400);
    expect(upstreams.flatMap((upstream) => upstream.requests())).toEqual([]);
  });

  it.each(stateless)('is none where it says %s, and is failed over', async (_, fields) => {
    const {proxy, upstreams} = await startSeveral();
    upstreams[0]?.behave({do: 'status', status: 500});
    for (let count = 0; count < 4; count += 1) expect((await ask(proxy, fields)).status).toBe(200);
    expect(upstreams[1]?.requests()).toHaveLength(4);
  });
});

describe('a request that refers to what one server holds, on a route with one endpoint', () => {
  it.each([
    ['one backend', {}],
    ['another one that does not speak the API', {others: true}],
  ])('goes to it, with %s', async (_, options) => {
    const {proxy, upstream} = await startSingle(options);
    const first = (await (await ask(proxy)).json()) as {id: string};
    const second = await ask(proxy, {previous_response_id: first.id});
    expect(second.status).toBe(200);
    expect(await second.json()).toMatchObject({previous_response_id: first.id});
    expect(upstream.requests().at(-1)?.body).toMatchObject({previous_response_id: first.id});
  });

  it('gets what the server says to an id that it does not know, and nothing is held against it', async () => {
    const {proxy, upstream} = await startSingle();
    upstream.behave(({body}) =>
      (body as {previous_response_id?: string}).previous_response_id === undefined
        ? undefined
        : {do: 'status', status: 404, body: {error: {message: "Previous response 'resp_x' not found.", code: 404}}},
    );
    for (let count = 0; count < 6; count += 1) {
      const response = await ask(proxy, {previous_response_id: 'resp_x'});
      expect(response.status).toBe(404);
      expect(await response.json()).toEqual({error: {message: "Previous response 'resp_x' not found.", code: 404}});
    }
    expect((await ask(proxy)).status).toBe(200); // the API has not been learnt to be missing
    expect(await liveView(proxy, 'local')).toMatchObject({breaker: 'Closed', lastError: null});
  });

  it.each([
    ['500', {do: 'status', status: 500} as const, 502, 'backend_error'],
    ['a reset', {do: 'reset'} as const, 502, 'backend_reset'],
    ['an answer that is cut', {do: 'cut'} as const, 502, 'backend_reset'],
    ['429', {do: 'status', status: 429, headers: {'retry-after': '0'}} as const, 429, 'backend_rate_limited'],
  ])('is never sent again after %s', async (_, behaviour, status, code) => {
    const {proxy, upstream} = await startSingle();
    upstream.behave(behaviour, {times: 1});
    const response = await ask(proxy, {conversation: 'conv_1'});
    expect(response.status).toBe(status);
    expect((await errorOf(response)).code).toBe(code);
    expect(response.headers.get('x-modelroute-attempts')).toBe('1');
    expect(upstream.requests()).toHaveLength(1);
    expect((await ask(proxy)).status).toBe(200);
  });

  it('is never sent again on a connection that the server has closed meanwhile', async () => {
    const {proxy, upstream} = await startSingle();
    upstream.behave({do: 'closeIdle', onNextRequest: true}, {times: 1});
    expect((await ask(proxy)).status).toBe(200);
    expect((await ask(proxy, {conversation: 'conv_1'})).status).toBe(200);
    expect(upstream.requests()).toHaveLength(2); // on a new connection at once: on the old one nobody could tell what has arrived
    expect(upstream.totalConnections()).toBe(2);
  });

  it('is one clean error where the server cannot be reached', async () => {
    const {proxy, upstream} = await startSingle();
    await upstream.close();
    const response = await ask(proxy, {background: true});
    expect(response.status).toBe(502);
    expect((await errorOf(response)).code).toBe('backend_connect_failed');
  });

  it('streamed, is never sent again after a break before its first content, and ends in an error after it', async () => {
    const {proxy, upstream} = await startSingle();
    upstream.behave(rawEvents([responses.opening], 'Cut'), {times: 1});
    const response = await ask(proxy, {stream: true, previous_response_id: 'resp_1'});
    expect(response.status).toBe(502);
    expect(upstream.requests()).toHaveLength(1);

    upstream.behave(rawEvents([responses.opening, responses.token('One')], 'Cut'), {times: 1});
    const cut = await ask(proxy, {stream: true, previous_response_id: 'resp_1'});
    expect(typedErrorAtEnd(await cut.text()).error).toMatchObject({code: 'stream_cut', attempts: 1});
    expect(upstream.requests()).toHaveLength(2);
  });
});
