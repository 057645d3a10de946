/** The APIs that are answered whole, each with its request as its users send it. */
import {afterEach, describe, expect, it} from '@jest/globals';
import type {BehaviourInput} from '../../simulator/index.ts';
import {until} from '../until.ts';
import {keeper, post, startHarness, startUpstream, type Harness} from './harness.ts';
import {liveView, startLadder} from './ladder.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

type Row = {
  api: string;
  body: object;
  /** Where it is asked at a backend whose base URL ends in `/v1`. */
  at: string;
  /** What makes an answer one. */
  member: string;
  /** As a backend reports them that does; undefined: not counted. */
  counted: {promptTokens: number; completionTokens: number} | undefined;
  /** Whether the simulator, as the servers do, reports usage. */
  reported: boolean;
};

const rows: Record<string, Row> = {
  '/v1/embeddings': {
    api: 'embeddings',
    body: {input: ['one', 'two']},
    at: '/v1/embeddings',
    member: 'data',
    counted: {promptTokens: 2, completionTokens: 0},
    reported: true,
  },
  '/v1/rerank': {
    api: 'rerank',
    body: {query: 'a fox', documents: ['a dog', 'a quick fox']},
    at: '/v1/rerank',
    member: 'results',
    counted: {promptTokens: 7, completionTokens: 0},
    reported: true,
  },
  '/v1/score': {
    api: 'score',
    body: {text_1: 'a fox', text_2: ['a dog', 'a quick fox']},
    at: '/v1/score',
    member: 'data',
    counted: {promptTokens: 7, completionTokens: 0},
    reported: true,
  },
  '/v1/tokenize': {
    api: 'tokenize',
    body: {prompt: 'one two three'},
    at: '/tokenize',
    member: 'tokens',
    counted: undefined,
    reported: false,
  },
  '/v1/images/generations': {
    api: 'image_generation',
    body: {prompt: 'a fox', n: 2, response_format: 'b64_json'},
    at: '/v1/images/generations',
    member: 'data',
    counted: {promptTokens: 2, completionTokens: 128},
    reported: true,
  },
  '/v1/moderations': {
    api: 'moderations',
    body: {input: 'I hate this'},
    at: '/v1/moderations',
    member: 'results',
    counted: {promptTokens: 1, completionTokens: 0},
    reported: false,
  },
  '/v1/messages/count_tokens': {
    api: 'count_tokens',
    body: {messages: [{role: 'user', content: 'one two three'}]},
    at: '/v1/messages/count_tokens',
    member: 'input_tokens',
    counted: undefined,
    reported: false,
  },
};

const backendFor = (path: string): {api?: 'Anthropic'} => (path.startsWith('/v1/messages') ? {api: 'Anthropic'} : {});

const json = (text: string, headers: Record<string, string> = {}): BehaviourInput => ({
  do: 'raw',
  headers: {'content-type': 'application/json', ...headers},
  chunks: [{text}],
});

describe.each(Object.entries(rows))('POST %s', (path, row) => {
  const sent = JSON.stringify({model: 'chat', ...row.body});
  const ask = (proxy: Harness): Promise<Response> => post(proxy.url, sent, {path});
  const start = (behaves: BehaviourInput = {do: 'answer'}) =>
    startLadder(keep, [
      {name: 'local', behaves, backend: backendFor(path)},
      {name: 'cloud', backend: backendFor(path)},
    ]);

  it('is asked of a backend as it came, answered as the backend made it, and counted', async () => {
    const {proxy, upstreams} = await start();
    const response = await ask(proxy);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(await response.json()).toHaveProperty(row.member);
    expect(upstreams[0]?.requests()[0]).toMatchObject({path: row.at, text: sent});

    await until(() => proxy.requests().length === 1, 'the log line');
    const [line] = proxy.requests();
    expect(line).toMatchObject({api: row.api, status: 200, streamed: false, attempts: 1});
    if (row.counted === undefined) expect(line).not.toHaveProperty('promptTokens');
    else if (row.reported) expect(line).toMatchObject({...row.counted, usageEstimated: false});
    else
      expect(line).toMatchObject({completionTokens: 0, usageEstimated: true, promptTokens: Math.ceil(sent.length / 4)});
    const metrics = await (await fetch(`${proxy.admin}/metrics`)).text();
    expect(metrics).toMatch(new RegExp(`modelroute_requests_total\\{[^}]*api="${row.api}"[^}]*\\} 1`));
    expect(/modelroute_tokens_total\{/.test(metrics)).toBe(row.counted !== undefined);
  });

  const unlike = (answer: object): string => JSON.stringify(answer).replace(`"${row.member}"`, '"other"');

  it.each<[string, BehaviourInput]>([
    ['a server error', {do: 'status', status: 500}],
    ['a reset', {do: 'reset'}],
    ['half of an answer', {do: 'truncated'}],
    ['an answer that is cut', {do: 'cut'}],
    ['a page', {do: 'notJson'}],
    ['an error in a 200', json('{"error": {"message": "no GPU"}}')],
    ['something else', json(unlike({[row.member]: []}))],
    ['nothing', json('')],
  ])('is asked of the next backend unseen when the first answers with %s', async (_, behaves) => {
    const {proxy} = await start(behaves);
    const response = await ask(proxy);
    expect([response.status, response.headers.get('x-modelroute-backend')]).toEqual([200, 'cloud']);
    expect(await response.json()).toHaveProperty(row.member);
    expect((await liveView(proxy, 'local')).lastError).not.toBeNull();
  });

  it('is refused in the backend’s own words', async () => {
    const {proxy, upstreams} = await start(json('{"error": {"message": "Not like this."}}'));
    upstreams[0]?.behave({do: 'status', status: 422, body: {detail: 'Not like this.'}});
    const response = await ask(proxy);
    expect([response.status, await response.json()]).toEqual([422, {detail: 'Not like this.'}]);
    expect(upstreams[1]?.requests()).toEqual([]);
    expect((await liveView(proxy, 'local')).lastError).toBeNull();
  });
});

describe('POST /v1/tokenize', () => {
  it.each([
    ['/v1', '/tokenize'],
    ['/v1/', '/tokenize'],
    ['/llm/v1', '/llm/tokenize'],
    ['', '/tokenize'],
    ['/api', '/api/tokenize'],
    ['/v1beta', '/v1beta/tokenize'],
  ])('of a backend whose base ends in "%s" is asked at %s', async (base, at) => {
    const upstream = await keep(startUpstream());
    upstream.behave(json('{"tokens": [1]}'));
    const proxy = await keep(startHarness({routes: {backends: [{name: 'local', url: upstream.origin + base}]}}));
    expect((await post(proxy.url, '{"model": "chat", "prompt": "x"}', {path: '/v1/tokenize'})).status).toBe(200);
    expect(upstream.requests()[0]?.path).toBe(at);
  });
});
