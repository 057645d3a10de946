/** Which backends of a route an API goes to, by their `api`. */
import {afterEach, describe, expect, it} from '@jest/globals';
import type {Simulator} from '../../simulator/index.ts';
import {apis} from '../../proxy/wire/apis.ts';
import {createFakeClock} from '../fake-clock.ts';
import {keeper, post, startHarness, startUpstream, type Harness} from './harness.ts';
import {errorOf, liveView, podsBackend, podsOf} from './ladder.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const bodies: Record<string, object> = {
  '/v1/chat/completions': {messages: [{role: 'user', content: 'Hi'}]},
  '/v1/responses': {input: 'Hi'},
  '/v1/messages': {max_tokens: 9, messages: [{role: 'user', content: 'Hi'}]},
  '/v1/messages/count_tokens': {messages: [{role: 'user', content: 'Hi'}]},
  '/v1/embeddings': {input: 'Hi'},
};

const ask = (proxy: Harness, path: string, model = 'chat'): Promise<Response> =>
  post(proxy.url, JSON.stringify({model, ...bodies[path]}), {path});

const backendOf = (response: Response): string | null => response.headers.get('x-modelroute-backend');

type Error = {type: string; message: string; code: string};

const refusal = async (response: Response): Promise<Error> => {
  expect(response.status).toBe(404);
  expect(backendOf(response)).toBeNull();
  return ((await response.json()) as {error: Error}).error;
};

async function startMixed(): Promise<{proxy: Harness; gpt: Simulator; claude: Simulator}> {
  const gpt = await keep(startUpstream({name: 'gpt'}));
  const claude = await keep(startUpstream({name: 'claude'}));
  const proxy = await keep(
    startHarness({
      routes: {
        backends: [
          {name: 'gpt', url: gpt.url},
          {name: 'claude', url: claude.url, api: 'Anthropic', priority: 1},
        ],
      },
    }),
  );
  return {proxy, gpt, claude};
}

describe('a route with backends of both kinds', () => {
  it('sends each API to those that speak it, and asks no other', async () => {
    const {proxy, gpt, claude} = await startMixed();
    for (const path of ['/v1/chat/completions', '/v1/responses', '/v1/embeddings'])
      expect(backendOf(await ask(proxy, path))).toBe('gpt');
    for (const path of ['/v1/messages', '/v1/messages/count_tokens']) {
      const response = await ask(proxy, path);
      expect([backendOf(response), response.headers.get('x-modelroute-attempts')]).toEqual(['claude', '1']);
    }
    expect([gpt, claude].map((each) => each.requests().length)).toEqual([3, 2]);
  });

  it('does not fail over to those that do not speak it', async () => {
    const {proxy, gpt, claude} = await startMixed();
    gpt.behave({do: 'status', status: 500});
    const response = await ask(proxy, '/v1/chat/completions');
    expect(response.status).toBe(502);
    expect((await errorOf(response)).code).toBe('backend_error');
    expect(claude.requests()).toEqual([]);
  });

  it('asks any backend what no API of its own is', async () => {
    const {proxy, gpt, claude} = await startMixed();
    await ask(proxy, '/v1/some/thing');
    expect(gpt.requests().map(({path}) => path)).toEqual(['/v1/some/thing']);
    await ask(proxy, '/v1/messages/some/thing');
    expect(claude.requests().map(({path}) => path)).toEqual(['/v1/messages/some/thing']);
    expect(claude.requests()[0]?.headers['anthropic-version']).toBe('2023-06-01');
  });
});

describe('a server that speaks both', () => {
  it('is listed twice, and shares nothing between the two but its address', async () => {
    const both = await keep(startUpstream());
    const backends = [
      {name: 'as-openai', url: both.url},
      {name: 'as-anthropic', url: both.url, api: 'Anthropic'},
    ] as const;
    const proxy = await keep(
      startHarness({routes: {backends: [...backends], circuitBreaker: {consecutiveFailures: 1, openDuration: '20s'}}}),
    );
    both.behave(({path}) => (path.includes('chat') ? {do: 'status', status: 500} : undefined));
    expect((await ask(proxy, '/v1/chat/completions')).status).toBe(502);
    expect((await liveView(proxy, 'as-openai')).breaker).toBe('Open');
    expect(backendOf(await ask(proxy, '/v1/messages'))).toBe('as-anthropic');
  });
});

describe('an API that no backend of a route speaks by its configuration', () => {
  it('is refused before anything is sent, and those are named who may', async () => {
    const upstream = await keep(startUpstream());
    const openai = {backends: [{name: 'gpt', url: upstream.url}]};
    const anthropic = {backends: [{name: 'claude', url: upstream.url, api: 'Anthropic' as const}]};
    const proxy = await keep(startHarness({routes: {chat: openai, opus: anthropic, sonnet: anthropic}}));

    const messages = await refusal(await ask(proxy, '/v1/messages'));
    expect(messages.type).toBe('not_found_error');
    expect(messages.message).toBe(
      'No backend of route team-a/chat speaks /v1/messages; the model "opus" or "sonnet" may.',
    );
    const responses = await refusal(await ask(proxy, '/v1/responses', 'opus'));
    expect(responses).toMatchObject({type: 'invalid_request_error', code: 'api_not_supported'});
    expect(responses.message).toContain('the model "chat" may');
    expect(upstream.requests()).toEqual([]);
  });

  it('is refused with what an operator would have to do where nobody may', async () => {
    const backends = [{name: 'gpt', url: 'http://127.0.0.1:9/v1'}];
    const proxy = await keep(startHarness({routes: {chat: {backends}, other: {backends}}}));
    const {message} = await refusal(await ask(proxy, '/v1/messages'));
    expect(message).toContain('that takes a backend with "api: Anthropic" whose server has it');
  });

  it('names three of many at most', async () => {
    const backends = [{name: 'claude', url: 'http://127.0.0.1:9/v1', api: 'Anthropic' as const}];
    const claudes = Object.fromEntries(Array.from({length: 9}, (_, each) => [`claude-${each}`, {backends}]));
    const chat = {backends: [{name: 'gpt', url: 'http://127.0.0.1:9/v1'}]};
    const proxy = await keep(startHarness({routes: {chat, ...claudes}}));
    const {message} = await refusal(await ask(proxy, '/v1/messages'));
    expect(message.match(/"claude-/g)).toHaveLength(3);
  });
});

describe('an API that a server turns out not to have', () => {
  it.each([404, 405, 501])('(%i) is learnt for that API alone, for a minute', async (status) => {
    const clock = createFakeClock();
    const local = await keep(startUpstream({name: 'local'}));
    const cloud = await keep(startUpstream({name: 'cloud'}));
    const backends = [local, cloud].map(({url}, priority) => ({
      name: priority === 0 ? 'local' : 'cloud',
      url,
      priority,
    }));
    const proxy = await keep(startHarness({routes: {backends}, clock}));
    local.behave(({path}) => (path.endsWith('/responses') ? {do: 'status', status} : undefined));

    for (let count = 0; count < 3; count += 1) expect(backendOf(await ask(proxy, '/v1/responses'))).toBe('cloud');
    expect(local.requests()).toHaveLength(1);
    expect(backendOf(await ask(proxy, '/v1/chat/completions'))).toBe('local');
    await clock.advance(60_000);
    await ask(proxy, '/v1/responses');
    expect(local.requests().filter(({path}) => path.endsWith('/responses'))).toHaveLength(2);
    expect(await liveView(proxy, 'local')).toMatchObject({breaker: 'Closed', lastError: null});
  });

  it('is refused where no server of the route has it, and others are named', async () => {
    const pods = [await keep(startUpstream()), await keep(startUpstream())];
    for (const pod of pods) pod.behave({do: 'status', status: 404});
    const other = await keep(startUpstream());
    const proxy = await keep(
      startHarness({
        routes: {chat: {backends: [podsBackend(pods)]}, other: {backends: [{name: 'other', url: other.url}]}},
        slices: podsOf(pods),
      }),
    );
    const response = await ask(proxy, '/v1/responses');
    expect(response.status).toBe(404);
    expect(await errorOf(response)).toMatchObject({
      code: 'api_not_supported',
      message: 'No backend of route team-a/chat speaks /v1/responses; the model "other" may.',
    });
    expect(response.headers.get('x-modelroute-attempts')).toBe('1'); // what one pod lacks the others lack as well
  });

  it.each(apis.filter(({spokenBy}) => spokenBy.includes('OpenAI')).map(({path}) => path))(
    'is refused for /v1%s like for any other',
    async (path) => {
      const upstream = await keep(startUpstream());
      upstream.behave({do: 'status', status: 501});
      const proxy = await keep(startHarness({routes: {backends: [{name: 'local', url: upstream.url}]}}));
      const response = await ask(proxy, `/v1${path}`);
      expect(response.status).toBe(404);
      expect((await errorOf(response)).code).toBe('api_not_supported');
    },
  );
});
