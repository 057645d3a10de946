import {afterEach, describe, expect, it} from '@jest/globals';
import type {ModelGatewaySpec} from '../../operator/api/generated.ts';
import type {Simulator} from '../../simulator/index.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, startUpstream, type Harness} from './harness.ts';
import {errorIn, openRaw, rawPost, readAnswers} from './raw-caller.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

async function start(
  options: {requestTimeoutMs?: number; limits?: ModelGatewaySpec['limits']} = {},
): Promise<{upstream: Simulator; proxy: Harness}> {
  const upstream = await keep(startUpstream());
  const {limits, ...rest} = options;
  const proxy = await keep(
    startHarness({
      routes: {backends: [{name: 'local', url: upstream.url}]},
      ...(limits === undefined ? {} : {gateway: {limits}}),
      ...rest,
    }),
  );
  return {upstream, proxy};
}

const head = 'POST /v1/chat/completions HTTP/1.1\r\nhost: models\r\ncontent-type: application/json\r\n';

describe('a caller that is too slow', () => {
  it.each([
    ['no byte of his body', `${head}content-length: 100\r\n\r\n`],
    ['a part of his body', `${head}content-length: 100\r\n\r\n{"model": "chat"`],
    ['some of his chunks', `${head}transfer-encoding: chunked\r\n\r\n10\r\n{"model": "chat"\r\n`],
    ['a part of his headers', `${head}x-a: `],
    ['half of a request line', 'POST /v1/ch'],
  ])('is told so and left, having sent %s; others are served meanwhile', async (_, bytes) => {
    const {proxy, upstream} = await start({requestTimeoutMs: 150});
    const slow = await keep(openRaw(proxy.port));
    slow.write(bytes);
    for (let served = 0; !slow.isClosed(); served += 1) {
      expect((await post(proxy.url, chatBody())).status).toBe(200);
      if (served > 5_000) throw new Error('the slow caller was never left');
    }
    const answers = readAnswers(slow.received());
    expect(answers).toHaveLength(1);
    expect(answers[0]).toMatchObject({status: 408, headers: {connection: 'close'}});
    expect(errorIn(answers[0]!)).toMatchObject({code: 'request_timeout', type: 'timeout_error'});
    expect(upstream.requests().every(({body}) => JSON.stringify(body) === chatBody())).toBe(true);
  });

  it('that keeps sending a byte now and then is left all the same', async () => {
    const {proxy} = await start({requestTimeoutMs: 150});
    const slow = await keep(openRaw(proxy.port));
    slow.write(`${head}content-length: 100000\r\n\r\n`);
    await until(() => {
      if (!slow.isClosed()) slow.write(' ');
      return slow.isClosed();
    }, 'he is left');
    expect(readAnswers(slow.received())[0]?.status).toBe(408);
  });

  it('has the status that he got in his log line, and his bytes are no longer held', async () => {
    const {proxy} = await start({requestTimeoutMs: 150});
    const slow = await keep(openRaw(proxy.port));
    slow.write(`${head}content-length: 50000\r\n\r\n${'x'.repeat(20_000)}`);
    const buffered = async (): Promise<number> =>
      Number(/^modelroute_buffered_bytes (\d+)/m.exec(await (await fetch(`${proxy.admin}/metrics`)).text())?.[1]);
    await until(async () => (await buffered()) === 20_000, 'his bytes are held');
    await slow.closed();
    await until(async () => (await buffered()) === 0, 'his bytes are given back');
    await until(() => proxy.requests().length === 1, 'his log line');
    expect(proxy.requests()[0]).toMatchObject({status: 408, error: 'request_timeout'});
  });

  it('is not one whose answer takes longer than a request may', async () => {
    const {proxy, upstream} = await start({requestTimeoutMs: 200});
    upstream.behave({do: 'delay', ms: 500});
    const started = performance.now();
    const response = await post(proxy.url, chatBody());
    expect(response.status).toBe(200);
    expect(performance.now() - started).toBeGreaterThan(400);
  });
});

describe('bodies in memory', () => {
  const limits = {maxBufferedBytes: '1Mi', maxBodyBytes: '1Mi'};

  it('past limits.maxBufferedBytes in all are refused with 503 until there is room', async () => {
    const {proxy} = await start({limits});
    const holder = await keep(openRaw(proxy.port));
    holder.write(`${head}content-length: 1000000\r\n\r\n${' '.repeat(900_000)}`);
    const large = chatBody({x: 'y'.repeat(300_000)});
    await until(async () => (await post(proxy.url, large)).status === 503, 'memory is full');
    const refused = await post(proxy.url, large);
    expect(refused.headers.get('retry-after')).toBe('1');
    expect(await refused.json()).toMatchObject({error: {code: 'overloaded', type: 'overloaded_error'}});
    expect((await post(proxy.url, chatBody())).status).toBe(200);

    await holder.close();
    await until(async () => (await post(proxy.url, large)).status === 200, 'there is room again');
  });

  it('are given back after every kind of end', async () => {
    const {proxy, upstream} = await start({limits});
    const large = (fields: object = {}): string => chatBody({x: 'y'.repeat(200_000), ...fields});
    const ends: (() => Promise<unknown>)[] = [
      async () => (await post(proxy.url, large())).text(),
      async () => (await post(proxy.url, large({stream: true}))).text(),
      async () => (await post(proxy.url, large({model: 'nobody'}))).text(),
      async () => (await post(proxy.url, `${large()}}`)).text(),
      async () => {
        upstream.behave({do: 'status', status: 400}, {times: 1});
        await (await post(proxy.url, large())).text();
      },
      async () => {
        const caller = await openRaw(proxy.port);
        caller.write(rawPost(large()).slice(0, 150_000));
        await caller.close();
      },
      async () => {
        upstream.behave({do: 'hang'}, {times: 1});
        const asked = upstream.requests().length;
        const caller = await openRaw(proxy.port);
        caller.write(rawPost(large()));
        await until(() => upstream.requests().length > asked, 'it is asked');
        await caller.close();
      },
      async () => {
        upstream.behave({do: 'hang', where: 'AfterTokens', tokens: 1}, {times: 1});
        const asked = upstream.requests().length;
        const caller = await openRaw(proxy.port);
        caller.write(`${rawPost(large({stream: true}))}${rawPost(large())}`); // the second waits behind the first
        await until(() => upstream.requests().length > asked + 1, 'both are asked');
        await caller.close();
      },
    ];
    const counted = async (): Promise<string | undefined> =>
      /^modelroute_buffered_bytes .*/m.exec(await (await fetch(`${proxy.admin}/metrics`)).text())?.[0];
    for (const [index, end] of ends.entries()) {
      await end();
      await until(
        async () => (await counted()) === 'modelroute_buffered_bytes 0',
        `all is given back after end ${index}`,
      );
    }
  });
});
