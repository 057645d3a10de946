/** An answer in bytes that nobody here reads: what its caller sees when it breaks, and when he himself is slow. */
import {createHash, randomBytes} from 'node:crypto';
import {once} from 'node:events';
import {Agent, request as httpRequest, type IncomingMessage} from 'node:http';
import {connect} from 'node:net';
import {afterEach, describe, expect, it} from '@jest/globals';
import {createFakeClock, type FakeClock} from '../fake-clock.ts';
import {until} from '../until.ts';
import {keeper, startHarness, startUpstream, type Harness} from './harness.ts';
import {liveView} from './ladder.ts';
import {openRaw, readAnswers} from './raw-caller.ts';
import {fillUp, startByHand, type ByHand} from './streams.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const body = JSON.stringify({model: 'chat', input: 'Hi', voice: 'alloy'});
const audio = {'content-type': 'audio/mpeg'};

/** The bytes of a request, by the version of HTTP. */
const asked = (version: '1.0' | '1.1', path = '/v1/audio/speech'): string =>
  `POST ${path} HTTP/${version}\r\nhost: models\r\ncontent-type: application/json\r\n` +
  `content-length: ${body.length}\r\n\r\n${body}`;

type Setup = {backend: ByHand; cloud: Awaited<ReturnType<typeof startUpstream>>; proxy: Harness; clock: FakeClock};

async function start(): Promise<Setup> {
  const backend = await keep(startByHand());
  const cloud = await keep(startUpstream({name: 'cloud'}));
  const clock = createFakeClock();
  const backends = [
    {name: 'local', url: backend.url},
    {name: 'cloud', url: cloud.url, priority: 1},
  ];
  const circuitBreaker = {consecutiveFailures: 1, openDuration: '20s'};
  return {backend, cloud, clock, proxy: await keep(startHarness({routes: {backends, circuitBreaker}, clock}))};
}

const paths = ['/v1/audio/speech', '/v1/some/thing'];

describe.each(paths)('an answer in bytes to %s that is cut', (path) => {
  const breaks: Record<string, (backend: ByHand) => Promise<void>> = {
    'the backend closes its connection': async (backend) => {
      (await backend.exchange(1)).response.destroy();
    },
    'the backend resets its connection': async (backend) => {
      (await backend.exchange(1)).request.socket.resetAndDestroy();
    },
  };

  it.each(Object.entries(breaks))(
    'ends with the caller’s connection, and not with its last chunk, when %s',
    async (_, breakOff) => {
      const {backend, proxy, cloud} = await start();
      const caller = await keep(openRaw(proxy.port));
      caller.write(asked('1.1', path));
      (await backend.exchange(1)).response.writeHead(200, audio).write('half of it');
      await until(() => caller.received().includes('half of it'), 'the first bytes');
      await breakOff(backend);
      await caller.closed();

      const [answer, ...others] = readAnswers(caller.received());
      expect(others).toEqual([]);
      expect(answer).toMatchObject({status: 200, body: 'half of it', whole: false});
      expect(answer?.headers['transfer-encoding']).toBe('chunked');
      expect(caller.received()).not.toContain('0\r\n\r\n');
      expect(cloud.requests()).toEqual([]);
      await until(() => proxy.requests().length === 1, 'the log line');
      expect(proxy.requests()[0]).toMatchObject({status: 200, error: 'stream_cut', backend: 'local', attempts: 1});
      expect((await liveView(proxy, 'local')).breaker).toBe('Open');
    },
  );

  it('is shorter than it said that it would be', async () => {
    const {backend, proxy} = await start();
    const caller = await keep(openRaw(proxy.port));
    caller.write(asked('1.1', path));
    const {response} = await backend.exchange(1);
    response.writeHead(200, {...audio, 'content-length': '100'}).write('half of it');
    await until(() => caller.received().includes('half of it'), 'the first bytes');
    response.destroy();
    await caller.closed();
    expect(readAnswers(caller.received())[0]).toMatchObject({
      headers: {'content-length': '100'},
      body: 'half of it',
      whole: false,
    });
  });

  it('resets the connection of a caller of HTTP/1.0, to whom a close would be its end', async () => {
    const {backend, proxy} = await start();
    const socket = connect({port: proxy.port, host: '127.0.0.1'});
    let received = '';
    socket.on('data', (chunk) => (received += chunk.toString()));
    const failed = once(socket, 'error');
    socket.write(asked('1.0', path));
    (await backend.exchange(1)).response.writeHead(200, audio).write('half of it');
    await until(() => received.includes('half of it'), 'the first bytes');
    (await backend.exchange(1)).response.destroy();
    expect(((await failed)[0] as NodeJS.ErrnoException).code).toBe('ECONNRESET');
  });

  it('is told from a whole one, also for a caller of HTTP/1.0', async () => {
    const {backend, proxy} = await start();
    const caller = await keep(openRaw(proxy.port));
    caller.write(asked('1.0', path));
    (await backend.exchange(1)).response.writeHead(200, audio).end('all of it');
    await caller.closed();
    expect(caller.received()).toMatch(/\r\n\r\nall of it$/);
    await until(() => proxy.requests().length === 1, 'the log line');
    expect(proxy.requests()[0]).not.toHaveProperty('error');
  });

  it('is broken off at the deadline of the request, with nothing held against the backend', async () => {
    const {backend, proxy, clock} = await start();
    const caller = await keep(openRaw(proxy.port));
    caller.write(asked('1.1', path));
    const {response} = await backend.exchange(1);
    response.writeHead(200, audio);
    for (let at = 0; at < 600; at += 20) {
      const seen = caller.received().length;
      response.write('byte');
      await until(() => caller.received().length > seen, 'the next bytes');
      await clock.advance(20_000);
    }
    await caller.closed();
    expect(readAnswers(caller.received())[0]?.whole).toBe(false);
    await until(() => proxy.requests().length === 1, 'the log line');
    expect(proxy.requests()[0]).toMatchObject({error: 'deadline_exceeded'});
    expect(await liveView(proxy, 'local')).toMatchObject({breaker: 'Closed', lastError: null});
  });
});

describe('an answer in bytes to a caller who does not read', () => {
  function askWithoutReading(proxy: Harness): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const headers = {'content-type': 'application/json'};
      httpRequest(`${proxy.url}/v1/audio/speech`, {method: 'POST', agent: new Agent(), headers})
        .on('response', resolve)
        .on('error', reject)
        .end(body);
    });
  }

  it('stops the backend, is nobody’s fault for as long as it takes, and comes whole when he reads on', async () => {
    const {backend, proxy, clock} = await start();
    const asking = askWithoutReading(proxy);
    const {response} = await backend.exchange(1);
    const first = randomBytes(1_000);
    response.writeHead(200, audio).write(first);
    const answer = await asking;
    const filled = await fillUp(response);
    expect(filled).toBeLessThan(50_000_000);
    await clock.advance(300_000); // longer than tokenIdle, shorter than the request's own limit

    const last = randomBytes(1_000);
    const hash = createHash('sha256');
    let bytes = 0;
    answer.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > first.length + filled)
        hash.update(chunk.subarray(Math.max(0, chunk.length - (bytes - first.length - filled))));
    });
    const ended = once(answer, 'end');
    response.end(last);
    await ended;
    expect(answer.complete).toBe(true);
    expect(bytes).toBe(first.length + filled + last.length);
    expect(hash.digest('hex')).toBe(createHash('sha256').update(last).digest('hex'));
    await until(() => proxy.requests().length === 1, 'the log line');
    expect(proxy.requests()[0]).not.toHaveProperty('error');
    expect((await liveView(proxy, 'local')).lastError).toBeNull();
  });

  it('is cut if the backend falls silent once he has read on', async () => {
    const {backend, proxy, clock} = await start();
    const asking = askWithoutReading(proxy);
    const {response} = await backend.exchange(1);
    response.writeHead(200, audio).write('first');
    const answer = await asking;
    const filled = await fillUp(response);
    await clock.advance(300_000);
    let bytes = 0;
    answer.on('data', (chunk: Buffer) => (bytes += chunk.length));
    const failed = once(answer, 'error');
    await until(() => bytes === 'first'.length + filled, 'all to be read');
    await clock.advance(30_000);
    await failed;
    expect(answer.complete).toBe(false);
    expect((await liveView(proxy, 'local')).breaker).toBe('Open');
  });

  it('ends at the backend when he leaves', async () => {
    const {backend, proxy} = await start();
    const asking = askWithoutReading(proxy);
    const {response} = await backend.exchange(1);
    response.writeHead(200, audio).write('first');
    const answer = await asking;
    await fillUp(response);
    answer.on('error', () => {}).destroy();
    await until(() => response.destroyed, 'the backend is left');
    await until(() => proxy.requests().length === 1, 'the log line');
    expect(proxy.requests()[0]).toMatchObject({error: 'caller_gone'});
    expect((await liveView(proxy, 'local')).lastError).toBeNull();
  });
});
