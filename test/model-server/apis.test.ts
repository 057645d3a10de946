/** Every API that llama.cpp's server speaks, through the proxy and past it. */
import {afterAll, afterEach, beforeAll, describe, expect, it} from '@jest/globals';
import {keeper, post, startHarness, startUpstream, type Harness, type LogLine} from '../proxy/harness.ts';
import {liveView} from '../proxy/ladder.ts';
import {typedErrorAtEnd, typedEventsIn} from '../proxy/typed-streams.ts';
import {until} from '../until.ts';
import {findModelServer, startModelServer, type ModelServer} from './start.ts';

const {available, prepare, prepareMs} = findModelServer((line) => process.stderr.write(line));
const describeWithServer = available ? describe : describe.skip;

type Usage = {input_tokens: number; output_tokens: number};

const user = {role: 'user', content: 'Hi'};
const endless = 10_000_000;

describeWithServer('llama.cpp behind the proxy, API by API', () => {
  const {keep, closeAll} = keeper();
  let generating: ModelServer;
  let embedding: ModelServer;
  let reranking: ModelServer;

  beforeAll(async () => {
    const folder = await prepare();
    [generating, embedding, reranking] = await Promise.all([
      startModelServer(folder),
      startModelServer(folder, {args: ['--embeddings', '--pooling', 'mean']}),
      startModelServer(folder, {args: ['--reranking']}),
    ]);
  }, prepareMs);
  afterAll(() => Promise.all([generating, embedding, reranking].map((server) => server.close())));
  afterEach(closeAll);

  /** It is listed twice: once for each kind of API that it speaks. */
  const start = ({url}: ModelServer = generating): Promise<Harness> =>
    keep(
      startHarness({
        routes: {
          backends: [
            {name: 'openai', url, model: 'tiny'},
            {name: 'anthropic', url, model: 'tiny', api: 'Anthropic'},
          ],
        },
      }),
    );

  const ask = (proxy: Harness, path: string, fields: object): Promise<Response> =>
    post(proxy.url, JSON.stringify({model: 'chat', ...fields}), {path});

  const lineOf = async (proxy: Harness): Promise<LogLine> => {
    await until(() => proxy.requests().length === 1, 'the log line');
    return proxy.requests()[0]!;
  };

  const direct = ({port}: ModelServer, path: string, fields: object): Promise<Response> =>
    post(`http://127.0.0.1:${port}`, JSON.stringify({model: 'tiny', ...fields}), {path});

  describe('responses', () => {
    const path = '/v1/responses';
    const fields = {input: 'Hi', max_output_tokens: 6, ignore_eos: true};

    it('are answered plainly, with the usage that it reports', async () => {
      const proxy = await start();
      const response = await ask(proxy, path, fields);
      expect([response.status, response.headers.get('x-modelroute-backend')]).toEqual([200, 'openai']);
      const {status, usage} = (await response.json()) as {status: string; usage: Usage};
      expect(status).toBe('completed');
      expect(await lineOf(proxy)).toMatchObject({
        api: 'responses',
        promptTokens: usage.input_tokens,
        completionTokens: usage.output_tokens,
        usageEstimated: false,
      });
    });

    it('are streamed to their end', async () => {
      const proxy = await start();
      const events = typedEventsIn(await (await ask(proxy, path, {...fields, stream: true})).text());
      expect(events[0]?.name).toBe('response.created');
      expect(events.at(-1)?.name).toBe('response.completed');
      const {usage} = events.at(-1)!.data['response'] as {usage: Usage};
      expect(await lineOf(proxy)).toMatchObject({
        streamed: true,
        firstTokenMs: expect.any(Number),
        promptTokens: usage.input_tokens,
        completionTokens: usage.output_tokens,
        usageEstimated: false,
      });
    });

    it('are left with their caller: it stops its work', async () => {
      const proxy = await start();
      const leaving = new AbortController();
      const body = JSON.stringify({model: 'chat', ...fields, max_output_tokens: endless, stream: true});
      const response = await post(proxy.url, body, {path, signal: leaving.signal});
      await response.body?.getReader().read();
      await until(async () => (await generating.busySlots()) === 1, 'it is at work');
      leaving.abort();
      await until(async () => (await generating.busySlots()) === 0, 'it has stopped');
      expect(await lineOf(proxy)).toMatchObject({error: 'caller_gone'});
    });
  });

  describe('messages', () => {
    const path = '/v1/messages';
    const fields = {messages: [user], max_tokens: 6, ignore_eos: true};

    it('are answered plainly, with the usage that it reports', async () => {
      const proxy = await start();
      const response = await ask(proxy, path, fields);
      expect([response.status, response.headers.get('x-modelroute-backend')]).toEqual([200, 'anthropic']);
      const {type, usage} = (await response.json()) as {type: string; usage: Usage & {cache_read_input_tokens: number}};
      expect([type, usage.output_tokens]).toEqual(['message', 6]);
      expect(await lineOf(proxy)).toMatchObject({
        api: 'messages',
        promptTokens: usage.input_tokens + usage.cache_read_input_tokens,
        completionTokens: 6,
        usageEstimated: false,
      });
    });

    it('are streamed to their end', async () => {
      const proxy = await start();
      const events = typedEventsIn(await (await ask(proxy, path, {...fields, stream: true})).text());
      expect(events[0]?.name).toBe('message_start');
      expect(events.at(-1)?.name).toBe('message_stop');
      expect(await lineOf(proxy)).toMatchObject({
        streamed: true,
        promptTokens: expect.any(Number),
        completionTokens: 6,
        usageEstimated: false,
      });
    });

    it('end in an error when it is killed in the middle, and go elsewhere then', async () => {
      const dying = await keep(startModelServer(await prepare()));
      const cloud = await keep(startUpstream({name: 'cloud'}));
      const proxy = await keep(
        startHarness({
          routes: {
            backends: [
              {name: 'llama', url: dying.url, api: 'Anthropic'},
              {name: 'cloud', url: cloud.url, api: 'Anthropic', priority: 1},
            ],
          },
        }),
      );
      const response = await ask(proxy, path, {...fields, max_tokens: endless, stream: true});
      expect(response.headers.get('x-modelroute-backend')).toBe('llama');
      const text = response.text();
      await until(async () => (await dying.busySlots()) === 1, 'it is at work');
      await dying.kill();
      const {error, usage} = typedErrorAtEnd(await text);
      expect(error).toMatchObject({code: 'stream_cut', backend: 'llama', attempts: 1});
      expect(usage!.output_tokens).toBeGreaterThan(0);
      expect(await text).not.toContain('message_stop');
      const other = await ask(proxy, path, fields);
      expect([other.status, other.headers.get('x-modelroute-backend')]).toEqual([200, 'cloud']);
    });

    it('are counted before they are sent', async () => {
      const proxy = await start();
      const response = await ask(proxy, '/v1/messages/count_tokens', {messages: [user]});
      expect(response.status).toBe(200);
      expect(await response.json()).toEqual({input_tokens: expect.any(Number)});
      expect(await lineOf(proxy)).toMatchObject({api: 'count_tokens', backend: 'anthropic'});
      expect(await lineOf(proxy)).not.toHaveProperty('promptTokens');
    });
  });

  it('tokenizes, where it has that: beside its /v1', async () => {
    const proxy = await start();
    const response = await ask(proxy, '/v1/tokenize', {content: 'one two'});
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual(await (await direct(generating, '/tokenize', {content: 'one two'})).json());
    expect((await direct(generating, '/v1/tokenize', {content: 'one two'})).status).toBe(404);
  });

  it('completes, chats and embeds', async () => {
    const proxy = await start(embedding);
    for (const [path, fields] of [
      ['/v1/chat/completions', {messages: [user], max_tokens: 3}],
      ['/v1/completions', {prompt: 'one two', max_tokens: 3}],
      ['/v1/embeddings', {input: ['one', 'two']}],
    ] as const) {
      const response = await ask(proxy, path, fields);
      expect([path, response.status]).toEqual([path, 200]);
    }
  });

  it('is asked at any other path of its own, word for word', async () => {
    const proxy = await start(reranking);
    const path = '/v1/reranking';
    const fields = {query: 'a', documents: ['b', 'c d', 'e']};
    const own = (await (await direct(reranking, path, fields)).json()) as {results: object[]};
    expect(own.results).toHaveLength(3);
    const response = await ask(proxy, path, fields);
    expect([response.status, response.headers.get('x-modelroute-attempts')]).toEqual([200, '1']);
    expect(await response.json()).toEqual(own);
    expect(await lineOf(proxy)).toMatchObject({api: 'other', status: 200, model: 'chat'});
    const refused = await direct(reranking, path, {documents: []});
    const again = await ask(proxy, path, {documents: []});
    expect(refused.status).toBeGreaterThanOrEqual(400);
    expect([again.status, await again.json()]).toEqual([refused.status, await refused.json()]);
    const unknown = await direct(reranking, '/v1/reranked', fields);
    const other = await ask(proxy, '/v1/reranked', fields);
    expect([unknown.status, other.status]).toEqual([404, 404]);
    expect(await other.json()).toEqual(await unknown.json());
    expect((await ask(proxy, path, fields)).status).toBe(200);
  });

  it('ranks, with the usage that it reports', async () => {
    const proxy = await start(reranking);
    const fields = {query: 'a', documents: ['b', 'c d', 'e']};
    const response = await ask(proxy, '/v1/rerank', fields);
    expect(response.status).toBe(200);
    const {results, usage} = (await response.json()) as {results: {index: number}[]; usage: {prompt_tokens: number}};
    expect(new Set(results.map(({index}) => index))).toEqual(new Set([0, 1, 2]));
    expect(await lineOf(proxy)).toMatchObject({
      api: 'rerank',
      promptTokens: usage.prompt_tokens,
      completionTokens: 0,
      usageEstimated: false,
    });
  });

  it.each([
    '/v1/rerank',
    '/v1/embeddings',
    '/v1/score',
    '/v1/moderations',
    '/v1/images/generations',
    '/v1/audio/speech',
  ])('says that it has no %s, which the route then says too', async (path) => {
    const proxy = await start();
    const response = await ask(proxy, path, {input: 'x', query: 'x', documents: ['y'], prompt: 'x', voice: 'x'});
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({error: {code: 'api_not_supported'}});
    expect(await liveView(proxy, 'openai')).toMatchObject({breaker: 'Closed', lastError: null});
  });

  const long = 'word '.repeat(320);

  it.each<[string, () => ModelServer, object]>([
    ['/v1/chat/completions', () => generating, {messages: [{role: 'user', content: long}]}],
    ['/v1/completions', () => generating, {prompt: long}],
    ['/v1/responses', () => generating, {input: long}],
    ['/v1/responses', () => generating, {input: long, stream: true}],
    ['/v1/messages', () => generating, {max_tokens: 5, messages: [{role: 'user', content: long}]}],
    ['/v1/messages', () => generating, {max_tokens: 5, messages: [{role: 'user', content: long}], stream: true}],
    ['/v1/embeddings', () => embedding, {input: long}],
    ['/v1/rerank', () => reranking, {query: 'a', documents: [long]}],
  ])(
    'refuses what is too long for %s in its own words, and nothing is held against it',
    async (path, server, fields) => {
      const proxy = await start(server());
      const own = await direct(server(), path, fields);
      expect(own.status).toBeGreaterThanOrEqual(400);
      const said: unknown = await own.json();
      for (let count = 0; count < 6; count += 1) {
        const response = await ask(proxy, path, fields);
        expect(response.status).toBe(own.status);
        expect(await response.json()).toEqual(said);
      }
      for (const name of ['openai', 'anthropic'])
        expect(await liveView(proxy, name)).toMatchObject({breaker: 'Closed', lastError: null});
    },
  );
});
