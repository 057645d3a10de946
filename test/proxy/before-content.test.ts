import {gzipSync} from 'node:zlib';
import {afterEach, describe, expect, it} from '@jest/globals';
import type {BehaviourInput, Simulator} from '../../simulator/index.ts';
import {createFakeClock, type FakeClock} from '../fake-clock.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, startUpstream, type Harness} from './harness.ts';
import {done, errorAtEnd, event, finish, raw, readBody, role, startByHand, textOf, token} from './streams.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

type Setup = {local: Simulator; cloud: Simulator; proxy: Harness; clock: FakeClock};

async function setUp(route: object = {}): Promise<Setup> {
  const local = await keep(startUpstream({name: 'local'}));
  const cloud = await keep(startUpstream({name: 'cloud'}));
  const clock = createFakeClock();
  const proxy = await keep(
    startHarness({
      routes: {
        backends: [
          {name: 'local', url: local.url},
          {name: 'cloud', url: cloud.url, priority: 1},
        ],
        retry: {maxAttempts: 1}, // no second try of the first rung: the next one always gets its own
        stream: {keepAlive: '0s'},
        ...route,
      },
      clock,
    }),
  );
  return {local, cloud, proxy, clock};
}

const gzipped = (text: string): {base64: string} => ({base64: gzipSync(text).toString('base64')});
const json = {'content-type': 'application/json'};

const breaks: Record<string, {behaviour: BehaviourInput; afterMs?: number}> = {
  'resets before its headers': {behaviour: {do: 'reset', where: 'BeforeHeaders'}},
  'closes after its headers': {behaviour: {do: 'raw', chunks: [], end: 'Cut'}},
  'resets before the first token': {behaviour: raw([role()], 'Reset')},
  'is silent before its headers': {behaviour: {do: 'hang', where: 'BeforeHeaders'}, afterMs: 60_000},
  'is silent after its headers': {behaviour: {do: 'hang', where: 'BeforeFirstToken'}, afterMs: 60_000},
  'names its role, then is silent': {behaviour: {do: 'roleOnly'}, afterMs: 60_000},
  'names its role, then ends': {behaviour: raw([role()])},
  'sends empty deltas only': {behaviour: raw([role(), token(''), token(''), done])},
  'pings, then is silent': {behaviour: {do: 'pings', intervalMs: 1, count: 3}, afterMs: 60_000},
  'sends an error event first': {behaviour: {do: 'errorEvent', afterTokens: 0}},
  'sends an error event first, in the role’s packet': {behaviour: raw([role() + event({error: {message: 'no GPU'}})])},
  'answers 200 with a page': {
    behaviour: {do: 'raw', headers: {'content-type': 'text/html'}, chunks: [{text: '<html>welcome</html>'}]},
  },
  'answers a stream’s request with JSON': {
    behaviour: {do: 'raw', headers: json, chunks: [{text: '{"choices":[{"message":{"content":"local"}}]}'}]},
  },
  'answers a stream’s request with an error in a 200': {
    behaviour: {do: 'raw', headers: json, chunks: [{text: '{"error":{"message":"no GPU"}}'}]},
  },
  'sends content in a first event that is not JSON': {
    behaviour: raw(['data: {"choices":[{"delta":{"content":"local\n\n', token('local'), finish(), done]),
  },
  'sends an empty 200': {behaviour: raw([])},
  'says [DONE] at once': {behaviour: raw([done])},
  'compresses its stream': {
    behaviour: {
      do: 'raw',
      headers: {'content-type': 'text/event-stream', 'content-encoding': 'gzip'},
      chunks: [gzipped(token('local') + finish() + done)],
    },
  },
  'sends a megabyte without content': {behaviour: raw([`: ${'x'.repeat(1_100_000)}\n\n`], 'Hang')},
  'sends an event without an end': {behaviour: raw([`data: ${'x'.repeat(17 * 1024 * 1024)}`], 'Hang')},
};

describe('a backend that breaks before its first content', () => {
  it.each(Object.entries(breaks))('is failed over unseen when it %s', async (_, {behaviour, afterMs}) => {
    const {local, cloud, proxy, clock} = await setUp();
    local.behave(behaviour);

    const asked = post(proxy.url, chatBody({stream: true}));
    if (afterMs !== undefined) {
      await until(() => local.activeRequests() === 1, 'the request at the first backend');
      await clock.advance(afterMs);
    }
    const response = await asked;
    const text = await response.text();

    expect(response.status).toBe(200);
    expect(response.headers.get('x-modelroute-backend')).toBe('cloud');
    expect(response.headers.get('x-modelroute-attempts')).toBe('2');
    expect(textOf(text)).toContain('from cloud');
    expect(text.endsWith(done)).toBe(true);
    expect(text).not.toMatch(/local|error|ping/);
    expect([local.requests().length, cloud.requests().length]).toEqual([1, 1]);
    await until(() => local.activeRequests() === 0, 'the first backend’s request to end');
    await until(() => proxy.requests().length === 1, 'the log line');
    expect(proxy.requests()[0]).toMatchObject({
      backend: 'cloud',
      attempts: 2,
      failures: [expect.stringContaining('local/')],
    });
    expect(proxy.requests()[0]).not.toHaveProperty('error');
  });

  it('is not waited for any longer because of comments and role-only chunks', async () => {
    const byHand = await keep(startByHand());
    const {proxy, clock} = await setUp({backends: [{name: 'slow', url: byHand.url}]});
    const asked = post(proxy.url, chatBody({stream: true}));
    const stream = await byHand.stream(1, ': ping\n\n');
    await clock.advance(59_999);
    stream.write(`: ping\n\n${role()}`);
    await post(proxy.url, '{}'); // a whole exchange later the proxy has read these bytes
    await clock.advance(1);
    expect((await asked).status).toBe(504);
  });

  it('that compresses its refusal is read all the same: the caller’s fault stays his', async () => {
    const {local, cloud, proxy} = await setUp({circuitBreaker: {consecutiveFailures: 1}});
    const refusal = JSON.stringify({error: {message: 'temperature is too high', type: 'invalid_request_error'}});
    const headers = {'content-type': 'application/json', 'content-encoding': 'gzip'};
    local.behave({do: 'raw', status: 400, headers, chunks: [gzipped(refusal)]});
    const response = await post(proxy.url, chatBody());
    expect({status: response.status, body: await response.text()}).toEqual({status: 400, body: refusal});
    expect(response.headers.get('x-modelroute-backend')).toBe('local');
    expect(cloud.requests()).toEqual([]);
  });
});

describe('keep-alives while a streaming caller waits', () => {
  it('commit to no backend: the answer may still come whole from another', async () => {
    const {local, proxy, clock} = await setUp({stream: {keepAlive: '15s'}});
    local.behave({do: 'hang'});
    const asked = post(proxy.url, chatBody({stream: true}));
    await until(() => local.activeRequests() === 1, 'the request at the first backend');
    await clock.advance(15_000);
    const response = await asked;
    expect(response.headers.get('x-modelroute-backend')).toBeNull();
    await clock.advance(45_000);
    const text = await response.text();
    expect(text.startsWith(': keep-alive\n\n')).toBe(true);
    expect(textOf(text)).toContain('from cloud');
    expect(text.endsWith(done)).toBe(true);
  });

  it('turn what would have been a status into an error event that names backend and attempts', async () => {
    const {local, cloud, proxy, clock} = await setUp({stream: {keepAlive: '15s'}});
    local.behave({do: 'hang'});
    cloud.behave({do: 'status', status: 500});
    const asked = post(proxy.url, chatBody({stream: true}));
    await until(() => local.activeRequests() === 1, 'the request at the first backend');
    await clock.advance(15_000);
    const response = await asked;
    await clock.advance(45_000);
    const body = readBody(response);
    expect(errorAtEnd(await body.rest())).toMatchObject({
      error: {code: 'backend_error', backend: 'cloud', attempts: 2},
    });
    expect(body.text).not.toContain('[DONE]');
  });
});
