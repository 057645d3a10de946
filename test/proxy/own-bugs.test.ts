import {afterEach, describe, expect, it} from '@jest/globals';
import {systemClock, type Clock} from '../../proxy/engine/clock.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, type Harness} from './harness.ts';
import {errorAtEnd, readBody, role, startByHand, token, type ByHand} from './streams.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

type Breakable = Clock & {
  /** The next look at the time throws. */
  breakOnce(): void;
};

function createBreakable(): Breakable {
  let broken = false;
  return {
    ...systemClock,
    now() {
      if (!broken) return systemClock.now();
      broken = false;
      throw new Error('the clock fell off the wall');
    },
    breakOnce() {
      broken = true;
    },
  };
}

async function setUp(): Promise<{backend: ByHand; other: ByHand; proxy: Harness; clock: Breakable}> {
  const backend = await keep(startByHand());
  const other = await keep(startByHand());
  const clock = createBreakable();
  const routes = {
    backends: [
      {name: 'local', url: backend.url},
      {name: 'cloud', url: other.url, priority: 1},
    ],
    circuitBreaker: {consecutiveFailures: 1},
  };
  return {backend, other, clock, proxy: await keep(startHarness({routes, clock}))};
}

async function expectOnlyOurs(proxy: Harness, other: ByHand): Promise<void> {
  await until(() => proxy.requests().length === 1, 'the log line');
  expect(proxy.requests()[0]).toMatchObject({error: 'internal_error', backend: 'local', attempts: 1});
  const told = proxy.log.filter(({level}) => level === 'error');
  expect(told).toEqual([expect.objectContaining({error: expect.stringContaining('the clock fell off the wall')})]);
  const backends = await fetch(`${proxy.admin}/backends`).then((answer) => answer.text());
  expect(backends).not.toMatch(/"lastError": \{|"breaker": "Open"|"inFlight": [1-9]/);
  expect(other.exchanges).toEqual([]);
}

describe('a fault of ModelRoute’s own while an answer comes', () => {
  it('is an internal error, logged, and no failure of the backend', async () => {
    const {backend, other, proxy, clock} = await setUp();
    const asked = post(proxy.url, chatBody({stream: true}));
    await backend.exchange(1);
    clock.breakOnce();
    await backend.stream(1, role() + token('Hello'));
    const response = await asked;
    expect(response.status).toBe(500);
    const body = await response.text();
    expect(JSON.parse(body)).toMatchObject({error: {code: 'internal_error'}});
    expect(body).not.toContain('wall');
    await expectOnlyOurs(proxy, other);
    await until(() => backend.openConnections() === 0, 'the backend to be let go of');
  });

  it('ends a stream that has begun in an error event', async () => {
    const {backend, other, proxy, clock} = await setUp();
    const asked = post(proxy.url, chatBody({stream: true}));
    const stream = await backend.stream(1, role() + token('Hello'));
    const body = readBody(await asked);
    await body.untilHas('Hello');
    clock.breakOnce();
    stream.write(token(' world'));
    const text = await body.rest();
    expect(errorAtEnd(text)).toMatchObject({
      error: {code: 'internal_error', backend: 'local'},
      usage: {estimated: true},
    });
    expect(text).not.toContain('[DONE]');
    await expectOnlyOurs(proxy, other);
    await until(() => backend.openConnections() === 0, 'the backend to be let go of');
  });

  it('does no harm to the next request', async () => {
    const {backend, proxy, clock} = await setUp();
    const asked = post(proxy.url, chatBody({stream: true}));
    await backend.exchange(1);
    clock.breakOnce();
    await backend.stream(1, token('Hello'));
    await asked;
    const next = post(proxy.url, chatBody());
    (await backend.exchange(2)).response.writeHead(200, {'content-type': 'application/json'}).end('{"choices":[]}');
    expect((await next).status).toBe(200);
  });
});
