import {afterEach, describe, expect, it} from '@jest/globals';
import type {BehaviourInput, Simulator} from '../../simulator/index.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, startUpstream, type Harness} from './harness.ts';
import {raw, readBody, role, startByHand, token} from './streams.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

type Setup = {local: Simulator; cloud: Simulator; proxy: Harness};

/** Short enough to be waited for, long enough for the requests that are to find it open. */
const openDuration = '300ms';

async function setUp(circuitBreaker: object = {}): Promise<Setup> {
  const local = await keep(startUpstream({name: 'local'}));
  const cloud = await keep(startUpstream({name: 'cloud'}));
  const proxy = await keep(
    startHarness({
      routes: {
        backends: [
          {name: 'local', url: local.url},
          {name: 'cloud', url: cloud.url, priority: 1},
        ],
        circuitBreaker: {consecutiveFailures: 3, openDuration, ...circuitBreaker},
        retry: {maxAttempts: 1},
      },
    }),
  );
  return {local, cloud, proxy};
}

type Answer = {status: number; backend: string | null; attempts: string | null};

async function ask(proxy: Harness, fields: object = {}): Promise<Answer> {
  const response = await post(proxy.url, chatBody(fields));
  await response.text();
  const header = (name: string): string | null => response.headers.get(`x-modelroute-${name}`);
  return {status: response.status, backend: header('backend'), attempts: header('attempts')};
}

type Backends = {routes: {backends: {breaker: string; opensAgainInMs: number}[]}[]};

async function breakerOf(proxy: Harness): Promise<{breaker: string; opensAgainInMs: number}> {
  const {routes} = (await fetch(`${proxy.admin}/backends`).then((answer) => answer.json())) as Backends;
  return routes[0]!.backends[0]!;
}

const becomes = (proxy: Harness, state: string): Promise<void> =>
  until(async () => (await breakerOf(proxy)).breaker === state, `the breaker to be ${state}`);

const failures: Record<string, {behaviour: BehaviourInput; stream: boolean}> = {
  'statuses of 500': {behaviour: {do: 'status', status: 500}, stream: false},
  'statuses of 429': {behaviour: {do: 'status', status: 429}, stream: false},
  'refused credentials': {behaviour: {do: 'status', status: 401}, stream: false},
  resets: {behaviour: {do: 'reset'}, stream: false},
  'truncated answers': {behaviour: {do: 'truncated'}, stream: false},
  'streams that are cut after content': {behaviour: {do: 'cut', afterTokens: 3}, stream: true},
  'error events after content': {behaviour: {do: 'errorEvent', afterTokens: 2}, stream: true},
  'streams that end without a finish': {behaviour: {do: 'cut', afterTokens: 2, graceful: true}, stream: true},
};

describe('a backend’s breaker', () => {
  it.each(Object.entries(failures))('is opened by %s', async (_, {behaviour, stream}) => {
    const {local, proxy} = await setUp({openDuration: '1m', maxOpenDuration: '1m'});
    local.behave(behaviour);
    for (let asked = 0; asked < 3; asked += 1) {
      expect((await breakerOf(proxy)).breaker).toBe('Closed');
      await ask(proxy, {stream});
    }
    await becomes(proxy, 'Open');
    const before = local.requests().length;
    expect(await ask(proxy, {stream})).toEqual({status: 200, backend: 'cloud', attempts: '1'}); // at once
    expect(local.requests().length).toBe(before);
  });

  it('lets one probe through after a while, and closes when that answers', async () => {
    const {local, proxy} = await setUp();
    local.behave({do: 'status', status: 503});
    for (let asked = 0; asked < 3; asked += 1) await ask(proxy);
    await becomes(proxy, 'Open');
    local.behave({do: 'answer'});
    await becomes(proxy, 'HalfOpen');
    expect(await ask(proxy)).toEqual({status: 200, backend: 'local', attempts: '1'});
    expect((await breakerOf(proxy)).breaker).toBe('Closed');
    const changes = proxy.log.filter(({message}) => message === 'breaker changed').map(({state}) => state);
    expect(changes).toEqual(['Open', 'HalfOpen', 'Closed']);
  });

  it('opens again for twice as long when its probe fails', async () => {
    const {local, proxy} = await setUp({openDuration: '500ms'});
    local.behave({do: 'status', status: 503});
    for (let asked = 0; asked < 3; asked += 1) await ask(proxy);
    await becomes(proxy, 'HalfOpen');
    expect((await ask(proxy)).backend).toBe('cloud'); // the probe failed, unseen
    const {breaker, opensAgainInMs} = await breakerOf(proxy);
    expect(breaker).toBe('Open');
    expect(opensAgainInMs).toBeGreaterThan(500);
  });

  it('closes at its probe’s first content, and opens again if that very stream is cut', async () => {
    const local = await keep(startByHand());
    const routes = {
      backends: [{name: 'local', url: local.url}],
      circuitBreaker: {consecutiveFailures: 1, openDuration: '1s', whenAllOpen: 'FailFast' as const},
      retry: {maxAttempts: 1},
    };
    const proxy = await keep(startHarness({routes}));
    const first = ask(proxy);
    (await local.exchange(1)).response.writeHead(500).end();
    await first;
    await becomes(proxy, 'HalfOpen');

    const probing = post(proxy.url, chatBody({stream: true}));
    const stream = await local.stream(2, role());
    expect((await ask(proxy)).status).toBe(503); // one probe at a time
    stream.write(token('Hello'));
    const body = readBody(await probing);
    await body.untilHas('Hello');
    expect((await breakerOf(proxy)).breaker).toBe('Closed');
    stream.destroy();
    expect(await body.rest()).toContain('stream_cut');
    expect((await breakerOf(proxy)).breaker).toBe('Open');
  });

  const callersOwn: Record<string, BehaviourInput> = {
    'bad requests': {do: 'status', status: 400},
    'requests that are too large': {do: 'status', status: 413},
    'requests that cannot be processed': {do: 'status', status: 422},
    'prompts that are too long': {
      do: 'status',
      status: 400,
      body: {error: {message: 'too long', code: 'context_length_exceeded'}},
    },
    'prompts that a filter refuses': {
      do: 'status',
      status: 400,
      body: {error: {message: 'refused', code: 'content_filter'}},
    },
    'an error of theirs inside a 200': {do: 'errorEvent', afterTokens: 0, error: {message: 'bad', code: 400}},
  };

  it.each(Object.entries(callersOwn))('is never opened by callers: %s', async (_, behaviour) => {
    const {local, proxy} = await setUp({consecutiveFailures: 1, minRequests: 1, failurePercent: 1});
    local.behave(behaviour);
    for (let asked = 0; asked < 5; asked += 1) await ask(proxy, {stream: behaviour.do === 'errorEvent'});
    expect((await breakerOf(proxy)).breaker).toBe('Closed');
    expect(local.requests().length).toBeGreaterThanOrEqual(5);
  });

  it('is never opened by callers that leave', async () => {
    const {local, proxy} = await setUp({consecutiveFailures: 1, minRequests: 1, failurePercent: 1});
    local.behave(raw([role(), token('Hello')], 'Hang'));
    for (let left = 0; left < 5; left += 1) {
      const leaving = new AbortController();
      const body = readBody(await post(proxy.url, chatBody({stream: true}), {signal: leaving.signal}));
      await body.untilHas('Hello');
      leaving.abort();
      await until(() => local.aborted() === left + 1, 'the backend to see it');
    }
    await until(() => proxy.requests().length === 5, 'the log lines');
    expect((await breakerOf(proxy)).breaker).toBe('Closed');
  });

  it('is opened by a share of failures, too', async () => {
    const {local, proxy} = await setUp({
      consecutiveFailures: 1_000,
      minRequests: 10,
      failurePercent: 50,
      openDuration: '1m',
      maxOpenDuration: '1m',
    });
    for (let asked = 0; asked < 10; asked += 1) {
      local.behave(asked % 2 === 0 ? {do: 'answer'} : {do: 'status', status: 500});
      expect((await breakerOf(proxy)).breaker).toBe('Closed');
      await ask(proxy);
    }
    await becomes(proxy, 'Open');
  });

  it('keeps its state over another config, and starts afresh with another URL', async () => {
    const {local, cloud, proxy} = await setUp({openDuration: '1m', maxOpenDuration: '1m'});
    local.behave({do: 'status', status: 503});
    for (let asked = 0; asked < 3; asked += 1) await ask(proxy);
    await becomes(proxy, 'Open');
    const routes = (url: string): object => ({
      backends: [
        {name: 'local', url},
        {name: 'cloud', url: cloud.url, priority: 1},
      ],
      circuitBreaker: {consecutiveFailures: 7, openDuration: '2m', maxOpenDuration: '2m'},
    });
    proxy.update({routes: routes(local.url)});
    expect((await breakerOf(proxy)).breaker).toBe('Open');
    proxy.update({routes: routes(cloud.url)});
    expect((await breakerOf(proxy)).breaker).toBe('Closed');
  });
});
