import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import {afterEach, describe, expect, it} from '@jest/globals';
import {until} from '../until.ts';
import {keeper, post, startHarness, startUpstream, type Harness} from './harness.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

type Fixed = {url: string; close(): Promise<void>};

/** A backend that answers everybody with these bytes of JSON. */
async function startFixed(body: Buffer): Promise<Fixed> {
  const server = createServer((request, response) => {
    request.resume().once('end', () => response.writeHead(200, {'content-type': 'application/json'}).end(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

const bufferedBytes = async ({admin}: Harness): Promise<number> =>
  Number(/^modelroute_buffered_bytes (\d+)/m.exec(await (await fetch(`${admin}/metrics`)).text())?.[1]);

describe('a rerank of ten thousand documents', () => {
  const documents = Array.from(
    {length: 10_000},
    (_, index) => `Document ${index}: "quoted", \\escaped\\ and Ünïcödé 🙂`,
  );
  const sent = JSON.stringify({documents, query: 'Which one is it?', model: 'chat'});

  it('reaches the backend as it came and comes back with all of them', async () => {
    const upstream = await keep(startUpstream());
    const proxy = await keep(startHarness({routes: {backends: [{name: 'local', url: upstream.url}]}}));
    const response = await post(proxy.url, sent, {path: '/v1/rerank'});
    expect(response.status).toBe(200);
    const {results} = (await response.json()) as {results: {index: number}[]};
    expect(new Set(results.map(({index}) => index)).size).toBe(10_000);
    expect(upstream.requests()[0]?.text).toBe(sent);
    await until(() => proxy.requests().length === 1, 'the log line');
    expect(proxy.requests()[0]).toMatchObject({api: 'rerank', usageEstimated: false});
    await until(async () => (await bufferedBytes(proxy)) === 0, 'its bytes are given back');
  });

  it('reaches the next backend just the same, under the name that it knows the model by', async () => {
    const [local, cloud] = [await keep(startUpstream()), await keep(startUpstream({models: ['reranker']}))];
    local.behave({do: 'reset'});
    const backends = [
      {name: 'local', url: local.url},
      {name: 'cloud', url: cloud.url, priority: 1, model: 'reranker'},
    ];
    const proxy = await keep(startHarness({routes: {backends, retry: {maxAttempts: 1}}}));
    const response = await post(proxy.url, sent, {path: '/v1/rerank'});
    expect([response.status, response.headers.get('x-modelroute-backend')]).toEqual([200, 'cloud']);
    expect(cloud.requests()[0]?.text).toBe(sent.replace('"model":"chat"', '"model":"reranker"'));
  });
});

describe('an answer of five megabytes', () => {
  const numbers = (index: number): number[] =>
    Array.from({length: 1_536}, (_, place) => Math.sin(index * 1_536 + place) / 3);
  const data = Array.from({length: 160}, (_, index) => ({object: 'embedding', index, embedding: numbers(index)}));
  const asText = data.map((each) => ({
    ...each,
    embedding: Buffer.from(new Float32Array([...each.embedding, ...each.embedding, ...each.embedding]).buffer).toString(
      'base64',
    ),
  }));
  const usage = {prompt_tokens: 640, total_tokens: 640};

  it.each([
    ['numbers', {object: 'list', data, model: 'm', usage}],
    ['numbers, with its usage first', {object: 'list', usage, data}],
    ['base64', {object: 'list', data: asText, model: 'm', usage}],
  ])('of embeddings in %s passes byte by byte, and is counted', async (_, answer) => {
    const body = Buffer.from(JSON.stringify(answer));
    expect(body.length).toBeGreaterThan(3_900_000);
    const backend = await keep(startFixed(body));
    const proxy = await keep(startHarness({routes: {backends: [{name: 'local', url: backend.url}]}}));
    const response = await post(proxy.url, '{"model": "chat", "input": ["x"]}', {path: '/v1/embeddings'});
    expect(response.status).toBe(200);
    expect(Buffer.from(await response.arrayBuffer()).equals(body)).toBe(true);
    await until(() => proxy.requests().length === 1, 'the log line');
    expect(proxy.requests()[0]).toMatchObject({promptTokens: 640, completionTokens: 0, usageEstimated: false});
    await until(async () => (await bufferedBytes(proxy)) === 0, 'its bytes are given back');
  });

  it('that breaks off before its end is no answer', async () => {
    const body = Buffer.from(JSON.stringify({object: 'list', data, model: 'm', usage}));
    const local = await keep(startFixed(body.subarray(0, body.length - 100)));
    const cloud = await keep(startFixed(body));
    const backends = [
      {name: 'local', url: local.url},
      {name: 'cloud', url: cloud.url, priority: 1},
    ];
    const proxy = await keep(startHarness({routes: {backends}}));
    const response = await post(proxy.url, '{"model": "chat", "input": ["x"]}', {path: '/v1/embeddings'});
    expect([response.status, response.headers.get('x-modelroute-backend')]).toEqual([200, 'cloud']);
    expect((await response.arrayBuffer()).byteLength).toBe(body.length);
  });

  it('is refused where limits.maxBufferedBytes has no room for it, which is nobody’s fault', async () => {
    const backend = await keep(startFixed(Buffer.from(JSON.stringify({object: 'list', data, usage}))));
    const proxy = await keep(
      startHarness({
        routes: {backends: [{name: 'local', url: backend.url}]},
        gateway: {limits: {maxBufferedBytes: '2Mi', maxBodyBytes: '1Mi'}},
      }),
    );
    const response = await post(proxy.url, '{"model": "chat", "input": ["x"]}', {path: '/v1/embeddings'});
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({error: {code: 'overloaded'}});
    expect(await (await fetch(`${proxy.admin}/backends`)).text()).toContain('"lastError": null');
    await until(async () => (await bufferedBytes(proxy)) === 0, 'its bytes are given back');
  });
});
