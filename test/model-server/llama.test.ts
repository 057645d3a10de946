import {afterAll, afterEach, beforeAll, describe, expect, it} from '@jest/globals';
import {
  chatBody,
  keeper,
  post,
  readEvents,
  startHarness,
  startUpstream,
  type Harness,
  type LogLine,
} from '../proxy/harness.ts';
import {until} from '../until.ts';
import {findModelServer, startModelServer, type ModelServer} from './start.ts';

const {available, prepare, prepareMs} = findModelServer((line) => process.stderr.write(line));
const describeWithServer = available ? describe : describe.skip;

type Usage = {prompt_tokens: number; completion_tokens: number; total_tokens: number};
type Chunk = {
  choices: {delta?: {content?: string | null}; finish_reason?: string | null}[];
  usage?: Usage | null;
  error?: {code: string; backend: string; attempts: number};
};

const read = (event: string): Chunk => JSON.parse(event) as Chunk;
const isContent = (event: string): boolean =>
  event !== '[DONE]' && typeof read(event).choices[0]?.delta?.content === 'string';
const isFinish = (event: string): boolean =>
  event !== '[DONE]' && typeof read(event).choices[0]?.finish_reason === 'string';

/** Tokens that it would end with are not drawn, so its answer has exactly this length. */
const ask = (tokens: number, fields: object = {}): string =>
  chatBody({max_tokens: tokens, ignore_eos: true, ...fields});
const endless = 10_000_000;

type Live = {routes: {backends: {name: string; breaker: string; lastError: unknown}[]}[]};

describeWithServer('llama.cpp behind the proxy', () => {
  const {keep, closeAll} = keeper();
  let folder: string;
  let server: ModelServer;

  beforeAll(async () => {
    folder = await prepare();
    server = await startModelServer(folder);
  }, prepareMs);
  afterAll(() => server.close());
  afterEach(closeAll);

  const proxyTo = (url = server.url): Promise<Harness> =>
    keep(startHarness({routes: {backends: [{name: 'llama', url, model: 'tiny'}]}}));

  const backendsOf = async ({admin}: Harness): Promise<Live['routes'][number]['backends']> =>
    ((await (await fetch(`${admin}/backends`)).json()) as Live).routes[0]?.backends ?? [];

  const loggedRequests = async (proxy: Harness, count: number): Promise<LogLine[]> => {
    await until(() => proxy.requests().length >= count, `${count} requests in the log`);
    return proxy.requests();
  };

  it('answers plainly, with the usage that it reports', async () => {
    const proxy = await proxyTo();
    const response = await post(proxy.url, ask(7));
    expect(response.status).toBe(200);
    const {usage, model} = (await response.json()) as {usage: Usage; model: string};
    expect(model).toBe('tiny');
    expect(usage.completion_tokens).toBe(7);
    expect((await loggedRequests(proxy, 1))[0]).toMatchObject({
      status: 200,
      promptTokens: usage.prompt_tokens,
      completionTokens: 7,
      usageEstimated: false,
    });
  });

  it('streams, and reports usage to a caller that did not ask only in the log', async () => {
    const proxy = await proxyTo();
    const events = await readEvents(await post(proxy.url, ask(12, {stream: true})));
    expect(events.at(-1)).toBe('[DONE]');
    expect(events.filter(isFinish)).toHaveLength(1);
    expect(events.filter(isContent).length).toBeGreaterThan(0);
    expect(events.some((event) => event !== '[DONE]' && read(event).choices.length === 0)).toBe(false);
    const [line] = await loggedRequests(proxy, 1);
    expect(line).toMatchObject({streamed: true, attempts: 1, completionTokens: 12, usageEstimated: false});
    expect(line?.['firstTokenMs']).toEqual(expect.any(Number));
  });

  it('gives usage to a caller that asked for it with stream_options', async () => {
    const proxy = await proxyTo();
    const events = await readEvents(
      await post(proxy.url, ask(9, {stream: true, stream_options: {include_usage: true}})),
    );
    const last = read(events.at(-2) ?? '');
    expect(events.at(-1)).toBe('[DONE]');
    expect(last.choices).toEqual([]);
    expect(last.usage?.completion_tokens).toBe(9);
    expect((await loggedRequests(proxy, 1))[0]).toMatchObject({
      promptTokens: last.usage?.prompt_tokens,
      completionTokens: 9,
    });
  });

  it('completes text, plainly and streamed', async () => {
    const proxy = await proxyTo();
    const complete = (fields: object): Promise<Response> =>
      fetch(`${proxy.url}/v1/completions`, {
        method: 'POST',
        headers: {'content-type': 'application/json'},
        body: JSON.stringify({model: 'chat', prompt: 'one two', max_tokens: 6, ignore_eos: true, ...fields}),
      });
    const plain = (await (await complete({})).json()) as {usage: Usage};
    expect(plain.usage.completion_tokens).toBe(6);
    const events = await readEvents(await complete({stream: true}));
    expect(events.at(-1)).toBe('[DONE]');
    expect((await loggedRequests(proxy, 2))[1]).toMatchObject({api: 'text_completion', completionTokens: 6});
  });

  const tooLong = ask(5, {messages: [{role: 'user', content: 'word '.repeat(320)}]});

  it('passes its refusal of a prompt that is too long as it came, and holds nothing against it', async () => {
    const proxy = await proxyTo();
    const direct = await post(server.url.replace(/\/v1$/, ''), tooLong);
    const response = await post(proxy.url, tooLong);
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual(await direct.json());
    for (let again = 0; again < 10; again += 1) expect((await post(proxy.url, tooLong)).status).toBe(400);
    expect(await backendsOf(proxy)).toMatchObject([{breaker: 'Closed', lastError: null}]);
    expect((await loggedRequests(proxy, 11))[0]).toMatchObject({attempts: 1, error: 'upstream_refused'});
  });

  it('tries a later rung that declares a larger window with a prompt that was too long', async () => {
    const large = await keep(startModelServer(folder, {contextTokens: 2_048}));
    const proxy = await keep(
      startHarness({
        routes: {
          backends: [
            {name: 'small', url: server.url, contextWindow: 1_024},
            {name: 'large', url: large.url, contextWindow: 2_048, priority: 1},
          ],
        },
      }),
    );
    const response = await post(proxy.url, tooLong);
    expect(response.status).toBe(200);
    expect(response.headers.get('x-modelroute-backend')).toBe('large');
    expect(response.headers.get('x-modelroute-attempts')).toBe('2');
    expect((await backendsOf(proxy)).map(({breaker}) => breaker)).toEqual(['Closed', 'Closed']);
  });

  it('stops its work when the caller leaves in the middle of a stream', async () => {
    const proxy = await proxyTo();
    const leaving = new AbortController();
    const response = await post(proxy.url, ask(endless, {stream: true}), {signal: leaving.signal});
    await response.body?.getReader().read();
    await until(async () => (await server.busySlots()) === 1, 'it is at work');
    leaving.abort();
    await until(async () => (await server.busySlots()) === 0, 'it has stopped');
    expect((await loggedRequests(proxy, 1))[0]).toMatchObject({error: 'caller_gone', attempts: 1});
    expect(await backendsOf(proxy)).toMatchObject([{breaker: 'Closed', lastError: null}]);
  });

  it('stops its work when the caller of a plain answer leaves', async () => {
    const proxy = await proxyTo();
    const leaving = new AbortController();
    const asking = post(proxy.url, ask(endless), {signal: leaving.signal}).catch(() => 'left');
    await until(async () => (await server.busySlots()) === 1, 'it is at work');
    leaving.abort();
    expect(await asking).toBe('left');
    // It looks for its caller after a second in which nothing else happened: asked for its slots more often, it would never look.
    await until(async () => {
      await new Promise((resolve) => setTimeout(resolve, 1_200));
      return (await server.busySlots()) === 0;
    }, 'it has stopped');
  });

  it('is killed in the middle of a stream: the stream ends in an error, others answer, and restarted it serves again', async () => {
    const first = await keep(startModelServer(folder));
    const cloud = await keep(startUpstream({name: 'cloud'}));
    const proxy = await keep(
      startHarness({
        routes: {
          backends: [
            {name: 'llama', url: first.url},
            {name: 'cloud', url: cloud.url, priority: 1},
          ],
          circuitBreaker: {openDuration: '200ms', maxOpenDuration: '200ms'},
        },
      }),
    );
    const response = await post(proxy.url, ask(endless, {stream: true}));
    expect(response.headers.get('x-modelroute-backend')).toBe('llama');
    const whole = readEvents(response);
    await until(async () => (await first.busySlots()) === 1, 'it is at work');
    await first.kill();
    const events = await whole;
    const last = read(events.at(-1) ?? '') as Chunk & {usage: Usage};
    expect(last.error).toMatchObject({code: 'stream_cut', backend: 'llama', attempts: 1});
    expect(last.usage.completion_tokens).toBeGreaterThan(0);
    expect(events).not.toContain('[DONE]');
    expect(events.slice(0, -1).filter(isFinish)).toEqual([]);

    const other = await post(proxy.url, ask(3));
    expect(other.headers.get('x-modelroute-backend')).toBe('cloud');
    expect(other.headers.get('x-modelroute-attempts')).toBe('2');

    await keep(startModelServer(folder, {port: first.port}));
    await until(
      async () => (await post(proxy.url, ask(3))).headers.get('x-modelroute-backend') === 'llama',
      'it serves again',
    );
  });

  it('embeds, if it was started for that; if not, the route says that nobody speaks the API', async () => {
    const embedder = await keep(startModelServer(folder, {args: ['--embeddings', '--pooling', 'mean']}));
    const proxy = await keep(
      startHarness({
        routes: {
          embed: {backends: [{name: 'embedder', url: embedder.url}]},
          chat: {backends: [{name: 'llama', url: server.url}]},
        },
      }),
    );
    const embed = (model: string): Promise<Response> =>
      fetch(`${proxy.url}/v1/embeddings`, {
        method: 'POST',
        headers: {'content-type': 'application/json'},
        body: JSON.stringify({model, input: ['one', 'two']}),
      });
    const {data, usage} = (await (await embed('embed')).json()) as {data: {embedding: number[]}[]; usage: Usage};
    expect(data.map(({embedding}) => embedding.length)).toEqual([64, 64]);
    expect((await loggedRequests(proxy, 1))[0]).toMatchObject({
      api: 'embeddings',
      promptTokens: usage.prompt_tokens,
      usageEstimated: false,
    });

    const refused = await embed('chat');
    expect(refused.status).toBe(404);
    expect(await refused.json()).toMatchObject({error: {code: 'api_not_supported'}});
    expect((await post(proxy.url, ask(2))).status).toBe(200);
  });
});
