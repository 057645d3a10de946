import {afterEach, describe, expect, it} from '@jest/globals';
import type {Simulator} from '../../simulator/index.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, startUpstream, type Harness} from './harness.ts';
import {startByHand} from './streams.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const startProxyTo = (url: string): Promise<Harness> =>
  keep(
    startHarness({
      routes: {
        backends: [{name: 'local', url}],
        retry: {maxAttempts: 1},
        circuitBreaker: {consecutiveFailures: 1, whenAllOpen: 'FailFast'},
      },
    }),
  );

const ask = async (proxy: Harness, stream = false): Promise<{status: number; attempts: string | null}> => {
  const response = await post(proxy.url, chatBody({stream}));
  await response.text();
  return {status: response.status, attempts: response.headers.get('x-modelroute-attempts')};
};

const atNoCost = {status: 200, attempts: '1'};

async function setUp(): Promise<{local: Simulator; proxy: Harness}> {
  const local = await keep(startUpstream());
  return {local, proxy: await startProxyTo(local.url)};
}

describe('a kept-alive connection that the backend has closed meanwhile', () => {
  it.each([false, true])('costs nothing when it is reset by the next request (streamed: %s)', async (stream) => {
    const {local, proxy} = await setUp();
    local.behave({do: 'closeIdle', onNextRequest: true});
    for (let asked = 0; asked < 10; asked += 1) expect(await ask(proxy, stream)).toEqual(atNoCost);
    expect(local.requests().length).toBe(19); // nine of them came twice, on another connection
    await until(() => proxy.requests().length === 10, 'the log lines');
    for (const line of proxy.requests()) expect(line).not.toHaveProperty('failures');
    const backends = await fetch(`${proxy.admin}/backends`).then((response) => response.text());
    expect(backends).toContain('"lastError": null');
    expect(backends).toContain('"breaker": "Closed"');
  });

  it('costs nothing when it closes at the very moment in which it is used', async () => {
    const {local, proxy} = await setUp();
    local.behave({do: 'closeIdle', afterMs: 0});
    for (let asked = 0; asked < 100; asked += 1) expect(await ask(proxy)).toEqual(atNoCost);
  });

  it('costs nothing when many of them have', async () => {
    const {local, proxy} = await setUp();
    local.behave({do: 'delay', ms: 20});
    await Promise.all(Array.from({length: 20}, () => ask(proxy)));
    expect(local.openConnections()).toBeGreaterThan(5);
    local.behave({do: 'closeIdle', onNextRequest: true});
    await Promise.all(Array.from({length: 20}, () => ask(proxy)));
    const answers = await Promise.all(Array.from({length: 20}, () => ask(proxy)));
    expect(answers).toEqual(answers.map(() => atNoCost));
  });

  it('costs nothing when the backend was restarted', async () => {
    const first = await startUpstream();
    const proxy = await startProxyTo(first.url);
    expect(await ask(proxy)).toEqual(atNoCost);
    await first.close();
    await keep(startUpstream({port: first.port}));
    expect(await ask(proxy)).toEqual(atNoCost);
  });

  it('is not used again when the backend said that it would close it', async () => {
    const {local, proxy} = await setUp();
    const headers = {'content-type': 'application/json', connection: 'close'};
    local.behave({do: 'raw', headers, chunks: [{text: '{"choices":[]}'}]});
    for (let asked = 0; asked < 10; asked += 1) expect(await ask(proxy)).toEqual(atNoCost);
    expect(local.requests().map(({connection}) => connection)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });
});

describe('what is no stale connection', () => {
  it('is a reset of a new one', async () => {
    const {local, proxy} = await setUp();
    local.behave({do: 'reset'});
    expect((await ask(proxy)).status).toBe(502);
    expect(await fetch(`${proxy.admin}/backends`).then((response) => response.text())).toContain('"breaker": "Open"');
  });

  it('is a reset of a used one after the first byte of an answer', async () => {
    const backend = await keep(startByHand());
    const proxy = await startProxyTo(backend.url);
    const first = ask(proxy);
    const {response} = await backend.exchange(1);
    response.writeHead(200, {'content-type': 'application/json'}).end('{"choices":[]}');
    expect(await first).toEqual(atNoCost);

    const second = ask(proxy);
    const {request, connection} = await backend.exchange(2);
    expect(connection).toBe(1);
    request.socket.write('HTTP/1.1 20', () => request.socket.destroy());
    expect((await second).status).toBe(502);
    expect(backend.exchanges.length).toBe(2);
  });
});

describe('connections to a backend', () => {
  it('are closed when it vanishes from the config, those that run after their answer', async () => {
    const {local, proxy} = await setUp();
    const other = await keep(startUpstream({name: 'other'}));
    await ask(proxy);
    local.behave({do: 'answer', tokensPerSecond: 50, answerTokens: 10});
    const running = post(proxy.url, chatBody({stream: true}));
    await until(() => local.activeRequests() === 1, 'the stream to run');

    proxy.update({routes: {backends: [{name: 'other', url: other.url}]}});
    expect(await (await running).text()).toContain('[DONE]');
    await until(() => local.openConnections() === 0, 'the connections to be closed');
    expect(await ask(proxy)).toEqual(atNoCost);
    expect(other.requests().length).toBe(1);
  });
});
