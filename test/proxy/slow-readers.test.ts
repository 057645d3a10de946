import {Agent, request as httpRequest, type IncomingMessage} from 'node:http';
import {afterEach, describe, expect, it} from '@jest/globals';
import {createFakeClock, type FakeClock} from '../fake-clock.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, type Harness} from './harness.ts';
import {done, event, fillUp, finish, startByHand, token, usage, type ByHand} from './streams.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

type Setup = {backend: ByHand; proxy: Harness; clock: FakeClock};

async function setUp(timeouts: object = {}): Promise<Setup> {
  const backend = await keep(startByHand());
  const clock = createFakeClock();
  const routes = {
    backends: [{name: 'local', url: backend.url}],
    circuitBreaker: {consecutiveFailures: 1},
    stream: {keepAlive: '0s'},
    timeouts,
  };
  const proxy = await keep(startHarness({routes, clock}));
  return {backend, proxy, clock};
}

/** His answer, of which he reads nothing until told. */
function askWithoutReading(proxy: Harness, fields: object = {}): Promise<IncomingMessage> {
  const agent = new Agent();
  return new Promise((resolve, reject) => {
    const headers = {'content-type': 'application/json'};
    const request = httpRequest(`${proxy.url}/v1/chat/completions`, {method: 'POST', agent, headers});
    request
      .on('response', resolve)
      .on('error', reject)
      .end(chatBody({stream: true, ...fields}));
  });
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

const backends = (proxy: Harness): Promise<string> => fetch(`${proxy.admin}/backends`).then((answer) => answer.text());

async function bufferedBytes(proxy: Harness): Promise<number> {
  const metrics = await fetch(`${proxy.admin}/metrics`).then((answer) => answer.text());
  return Number(/^modelroute_buffered\S* (\d+)$/m.exec(metrics)?.[1]);
}

/** Longer than any limit on silence, shorter than the request's own. */
const longMs = 300_000;

describe('a caller that does not read', () => {
  it('stops the backend: what waits for him in memory has a bound', async () => {
    const {backend, proxy} = await setUp();
    const asked = askWithoutReading(proxy);
    const stream = await backend.stream(1, token('a'));
    const response = await asked;
    expect(await fillUp(stream)).toBeLessThan(50_000_000);
    response.on('error', () => {}).destroy();
  });

  it('is no fault of the backend: tokenIdle does not run, and he gets his whole answer later', async () => {
    const {backend, proxy, clock} = await setUp();
    const asked = askWithoutReading(proxy);
    const stream = await backend.stream(1, token('a'));
    const response = await asked;
    const bytes = await fillUp(stream);
    await clock.advance(longMs);

    const read = readAll(response);
    stream.end(finish() + done);
    const text = await read;
    expect(text.length).toBe(token('a').length + bytes + finish().length + done.length);
    expect(text.endsWith(finish() + done)).toBe(true);
    await until(() => proxy.requests().length === 1, 'the log line');
    expect(proxy.requests()[0]).not.toHaveProperty('error');
    expect(await backends(proxy)).toContain('"lastError": null');
  });

  it('starts tokenIdle again when he reads on', async () => {
    const {backend, proxy, clock} = await setUp();
    const asked = askWithoutReading(proxy);
    const stream = await backend.stream(1, token('a'));
    const response = await asked;
    await fillUp(stream);
    await clock.advance(longMs);
    let text = '';
    response.on('data', (chunk: Buffer) => (text = (text + chunk.toString()).slice(-2_000)));
    stream.write(token('the last'));
    await until(() => text.includes('the last'), 'all to be read');
    expect(text).not.toContain('stream_cut');
    await until(async () => {
      await clock.advance(30_000);
      return text.includes('stream_cut');
    }, 'the error event');
  });

  const filler = 'x'.repeat(15_000_000);
  const finishWith = (content: string): string =>
    event({choices: [{index: 0, delta: {content}, finish_reason: 'stop'}]});

  it.each([
    ['with his last token, which is huge', finishWith(filler)],
    ['before something huge that is no token', `${finish()}: ${filler}\n\n`],
  ])('does not lose his usage when the answer finishes %s', async (_, ending) => {
    const {backend, proxy, clock} = await setUp();
    const asked = askWithoutReading(proxy, {stream_options: {include_usage: true}});
    const stream = await backend.stream(1, token('a'));
    const response = await asked;
    stream.write(ending);
    await until(() => stream.writableLength === 0, 'it to be on its way');
    await until(async () => (await bufferedBytes(proxy)) < 1_000_000, 'the proxy to have read it');
    await clock.advance(longMs);
    const read = readAll(response);
    stream.end(usage(11, 22) + done);
    expect((await read).endsWith(`\n\n${usage(11, 22)}${done}`)).toBe(true);
    await until(() => proxy.requests().length === 1, 'the log line');
    expect(proxy.requests()[0]).toMatchObject({completionTokens: 22, usageEstimated: false});
  });

  it.each([
    ['the request’s', {request: '1m'}],
    ['a try’s', {request: '1m', attempt: '30s'}],
  ])('is cut off by %s limit, which nobody holds against the backend', async (_, timeouts) => {
    const {backend, proxy, clock} = await setUp(timeouts);
    const asked = askWithoutReading(proxy);
    const stream = await backend.stream(1, token('a'));
    const response = await asked;
    response.on('error', () => {});
    await fillUp(stream);
    await clock.advance(60_000);
    await until(() => backend.openConnections() === 0, 'the backend to be let go of');
    await clock.advance(2_000);
    await until(() => proxy.requests().length === 1, 'his connection to be closed');
    expect(await backends(proxy)).toContain('"lastError": null');
    expect(await backends(proxy)).toContain('"breaker": "Closed"');
    expect(clock.pending).toBe(0);
  });

  it('does no harm to others', async () => {
    const {backend, proxy} = await setUp();
    const asked = askWithoutReading(proxy);
    await fillUp(await backend.stream(1, token('a')));
    const response = await asked;
    const other = post(proxy.url, chatBody({stream: true}));
    (await backend.stream(2, token('b'))).end(finish() + done);
    expect(await (await other).text()).toBe(token('b') + finish() + done);
    response.on('error', () => {}).destroy();
  });
});
