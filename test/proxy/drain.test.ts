import {Agent, request as httpRequest, type IncomingMessage} from 'node:http';
import {connect} from 'node:net';
import {afterEach, describe, expect, it} from '@jest/globals';
import {createFolder, routeFile, startServe} from '../cli/serve-process.ts';
import {createFakeClock, type FakeClock} from '../fake-clock.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, type Harness} from './harness.ts';
import {done, errorAtEnd, finish, readBody, role, startByHand, textOf, token, type ByHand} from './streams.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

type Setup = {backend: ByHand; proxy: Harness; clock: FakeClock};

const drainGraceMs = 5_000;

async function setUp(): Promise<Setup> {
  const backend = await keep(startByHand());
  const clock = createFakeClock();
  const routes = {
    backends: [{name: 'local', url: backend.url}],
    timeouts: {tokenIdle: '10m'},
    stream: {keepAlive: '0s'},
  };
  const gateway = {limits: {drainPeriod: '1m'}};
  return {backend, clock, proxy: await keep(startHarness({routes, gateway, clock, drainGraceMs}))};
}

const readiness = (proxy: Harness): Promise<string> =>
  fetch(`${proxy.admin}/readyz`).then(async (response) => `${response.status} ${await response.text()}`);

const isRefused = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(false);
    });
    socket.on('error', () => resolve(true));
  });

type Tracked<Value> = {promise: Promise<Value>; isSettled(): boolean};

function track<Value>(promise: Promise<Value>): Tracked<Value> {
  let settled = false;
  const settle = (): void => {
    settled = true;
  };
  promise.then(settle, settle);
  return {promise, isSettled: () => settled};
}

async function startStream({
  backend,
  proxy,
}: Setup): Promise<{stream: Awaited<ReturnType<ByHand['stream']>>; body: ReturnType<typeof readBody>}> {
  const asked = post(proxy.url, chatBody({stream: true}));
  const stream = await backend.stream(backend.exchanges.length + 1, role() + token('One'));
  const body = readBody(await asked);
  await body.untilHas('One');
  return {stream, body};
}

const get = (url: string, agent: Agent): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    httpRequest(url, {agent}, resolve).on('error', reject).end();
  });

describe('a proxy that drains', () => {
  it('is not ready at once, and still answers everybody through the grace, the last time on each connection', async () => {
    const setup = await setUp();
    const {backend, proxy} = setup;
    const running = post(proxy.url, chatBody());
    await backend.exchange(1);
    expect(await readiness(proxy)).toBe('200 ok\n');
    const draining = track(proxy.proxy.drain());
    expect(await readiness(proxy)).toBe('503 draining\n');

    backend.exchanges[0]!.response.writeHead(200, {'content-type': 'application/json'}).end('{"choices":[]}');
    const {stream, body} = await startStream(setup);
    stream.end(finish() + done);
    await body.rest();
    const answers = {
      'begun before': await running,
      'a refusal': await post(proxy.url, '{}'),
      models: await fetch(`${proxy.url}/v1/models`),
      'no such path': await fetch(`${proxy.url}/nothing`),
    };
    for (const [name, answer] of Object.entries(answers))
      expect({name, connection: answer.headers.get('connection')}).toEqual({name, connection: 'close'});
    const streamed = post(proxy.url, chatBody({stream: true}));
    (await backend.stream(3, role() + token('One'))).end(finish() + done);
    expect((await streamed).headers.get('connection')).toBe('close');
    expect(draining.isSettled()).toBe(false);
  });

  it('refuses new connections after the grace, and ends when the last stream has', async () => {
    const setup = await setUp();
    const {proxy, clock} = setup;
    const {stream, body} = await startStream(setup);
    const draining = track(proxy.proxy.drain());
    await clock.advance(drainGraceMs - 1_000);
    expect(await isRefused(proxy.port)).toBe(false);
    await clock.advance(1_000);
    await until(() => isRefused(proxy.port), 'new connections to be refused');
    expect(await readiness(proxy)).toBe('503 draining\n');

    await clock.advance(60_000 - 1); // short of the drain period
    stream.write(token(' two'));
    await body.untilHas(' two');
    expect(draining.isSettled()).toBe(false);
    stream.end(finish() + done);
    expect(await body.rest()).toBe(role() + token('One') + token(' two') + finish() + done);
    await draining.promise;
    await until(() => setup.backend.openConnections() === 0, 'upstream connections to be closed');
    expect(clock.pending).toBe(0);
  });

  it('answers the next request on the connection of a stream that it has promised to keep', async () => {
    const setup = await setUp();
    const {backend, proxy, clock} = setup;
    const socket = connect(proxy.port, '127.0.0.1');
    let text = '';
    socket.setEncoding('utf8').on('data', (more: string) => (text += more));
    const body = chatBody({stream: true});
    const ask = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    socket.write(ask);
    const stream = await backend.stream(1, role() + token('One'));
    await until(() => text.includes('One'), 'the stream');
    const draining = track(proxy.proxy.drain());
    await clock.advance(drainGraceMs);
    await until(() => isRefused(proxy.port), 'new connections to be refused');
    stream.end(finish() + done);
    await until(() => text.includes('[DONE]'), 'its end');
    await new Promise((resolve) => setTimeout(resolve, 200)); // of the second for which it is kept
    socket.write(ask);
    (await backend.stream(2, role() + token('Two'))).end(finish() + done);
    await until(() => text.split('[DONE]').length === 3, 'the end of the second');
    expect(text.slice(text.indexOf('[DONE]')).toLowerCase()).toContain('connection: close');
    await draining.promise;
  });

  it('goes on accepting while callers still come, for as long as a slow node may send them, and no longer', async () => {
    const {proxy, clock} = await setUp();
    const draining = track(proxy.proxy.drain());
    await clock.advance(drainGraceMs - 1);
    for (let waitedMs = 0; waitedMs < 29_500; waitedMs += 500) {
      expect(await isRefused(proxy.port)).toBe(false);
      await clock.advance(500);
    }
    expect(draining.isSettled()).toBe(false);
    await clock.advance(501);
    await until(() => isRefused(proxy.port), 'new connections to be refused');
    await draining.promise;
    expect(clock.pending).toBe(0);
  });

  it('has one drain period for all, also for those who came late', async () => {
    const setup = await setUp();
    const {proxy, clock} = setup;
    const {body} = await startStream(setup);
    const draining = track(proxy.proxy.drain());
    await clock.advance(drainGraceMs - 500);
    for (let waitedMs = 0; waitedMs < 30_000; waitedMs += 500) {
      expect(await isRefused(proxy.port)).toBe(false);
      await clock.advance(500);
    }
    await clock.advance(500);
    await until(() => isRefused(proxy.port), 'new connections to be refused');
    await clock.advance(60_000 - 30_000 - 1);
    expect(draining.isSettled()).toBe(false);
    await clock.advance(1);
    expect(errorAtEnd(await body.rest())).toMatchObject({error: {code: 'shutting_down'}});
    await draining.promise;
  });

  it('ends what still runs after the drain period in an error event, and closes it', async () => {
    const setup = await setUp();
    const {backend, proxy, clock} = setup;
    const {stream, body} = await startStream(setup);
    const plain = post(proxy.url, chatBody());
    await backend.exchange(2);
    const draining = track(proxy.proxy.drain());
    await clock.advance(drainGraceMs);
    await until(() => isRefused(proxy.port), 'new connections to be refused');
    await clock.advance(60_000 - 1);
    stream.write(token(' two'));
    await body.untilHas(' two');
    expect(draining.isSettled()).toBe(false);
    await clock.advance(1);

    const text = await body.rest();
    expect(textOf(text)).toBe('One two');
    expect(errorAtEnd(text)).toMatchObject({
      error: {code: 'shutting_down', backend: 'local', attempts: 1},
      usage: {estimated: true},
    });
    expect(text).not.toContain('[DONE]');
    const refused = await plain;
    expect({status: refused.status, retryAfter: refused.headers.get('retry-after')}).toEqual({
      status: 503,
      retryAfter: '1',
    });
    expect(await refused.json()).toMatchObject({error: {code: 'shutting_down'}});
    await draining.promise;
    await until(() => backend.openConnections() === 0, 'upstream connections to be closed');
    await until(() => proxy.requests().length === 2, 'the log lines');
    expect(proxy.requests().map(({error}) => error)).toEqual(['shutting_down', 'shutting_down']);
  });

  it('breaks off who does not even read that', async () => {
    const {proxy, clock} = await setUp();
    const upload = connect(proxy.port, '127.0.0.1');
    upload.on('error', () => {});
    upload.write(
      'POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{',
    );
    const closed = track(new Promise((resolve) => upload.on('close', resolve)));
    await until(
      async () =>
        (await fetch(`${proxy.admin}/metrics`).then((answer) => answer.text())).includes('modelroute_buffered_bytes 1'),
      'the upload',
    );
    const draining = proxy.proxy.drain();
    await clock.advance(drainGraceMs);
    await until(() => isRefused(proxy.port), 'new connections to be refused');
    await clock.advance(60_000);
    expect(closed.isSettled()).toBe(false);
    await clock.advance(1_000);
    await draining;
    await closed.promise;
  });

  it('leaves at once when nothing runs, idle connections or not', async () => {
    const {proxy, clock} = await setUp();
    const agent = new Agent({keepAlive: true});
    const response = await get(`${proxy.url}/v1/models`, agent);
    response.resume();
    await new Promise((resolve) => response.on('end', resolve));
    const draining = proxy.proxy.drain();
    await clock.advance(drainGraceMs);
    await draining;
    expect(clock.pending).toBe(0);
    expect(proxy.log.some(({message}) => message === 'drain period over')).toBe(false);
    agent.destroy();
  });
});

describe('modelroute serve, when it is told to stop', () => {
  const start = async (): Promise<{backend: ByHand; serving: Awaited<ReturnType<typeof startServe>>}> => {
    const backend = await keep(startByHand());
    const files = await keep(Promise.resolve(createFolder()));
    return {backend, serving: await keep(startServe(files.write('route.yaml', routeFile(backend.url))))};
  };

  it('ends by itself at once when nothing runs, though callers keep connections open', async () => {
    const {backend, serving} = await start();
    const asked = post(serving.url, chatBody({stream: true}));
    (await backend.stream(1, token('One'))).end(finish() + done);
    await (await asked).text();
    serving.process.kill('SIGTERM');
    await until(() => serving.exitCode() !== undefined, 'the process to end');
    expect(serving.exitCode()).toBe(0);
    expect(serving.log.at(-1)).toMatchObject({message: 'stopped'});
    expect(serving.stderr()).toBe('');
  }, 15_000);

  it('finishes the streams that run, and then ends', async () => {
    const {backend, serving} = await start();
    const asked = post(serving.url, chatBody({stream: true}));
    const stream = await backend.stream(1, token('One'));
    const body = readBody(await asked);
    await body.untilHas('One');
    serving.process.kill('SIGTERM');
    await until(() => isRefused(Number(new URL(serving.url).port)), 'new connections to be refused');
    expect((await fetch(`${serving.admin}/readyz`)).status).toBe(503);
    stream.end(token(' two') + finish() + done);
    expect(await body.rest()).toBe(token('One') + token(' two') + finish() + done);
    await until(() => serving.exitCode() !== undefined, 'the process to end');
    expect(serving.exitCode()).toBe(0);
  }, 15_000);

  it('ends at once when it is told twice', async () => {
    const {backend, serving} = await start();
    const asked = post(serving.url, chatBody({stream: true}));
    await backend.stream(1, token('One'));
    const body = readBody(await asked);
    await body.untilHas('One');
    serving.process.kill('SIGTERM');
    await serving.untilSays('draining');
    serving.process.kill('SIGTERM');
    await until(() => serving.exitCode() !== undefined, 'the process to end');
    expect(serving.exitCode()).toBe(1);
    await expect(body.rest()).rejects.toThrow();
  }, 15_000);
});
