import {request as httpRequest} from 'node:http';
import {afterEach, describe, expect, it} from '@jest/globals';
import type {BehaviourInput, Simulator} from '../../simulator/index.ts';
import {createFakeClock, type FakeClock} from '../fake-clock.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, startUpstream, type Harness} from './harness.ts';
import {raw, readBody, role, token} from './streams.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

type Setup = {local: Simulator; cloud: Simulator; proxy: Harness; clock: FakeClock};

async function setUp(): Promise<Setup> {
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
        circuitBreaker: {consecutiveFailures: 1},
      },
      clock,
      random: () => 0.999,
    }),
  );
  return {local, cloud, proxy, clock};
}

async function expectNothingLeft({local, cloud, proxy, clock}: Setup): Promise<void> {
  await until(() => proxy.requests().length === 1, 'the log line');
  await until(() => local.activeRequests() === 0 && local.openConnections() === 0, 'nothing to be left upstream');
  expect(cloud.requests()).toEqual([]);
  expect(clock.pending).toBe(0);
  const backends = await fetch(`${proxy.admin}/backends`).then((answer) => answer.text());
  expect(backends).not.toMatch(/"breaker": "(Open|HalfOpen)"|"inFlight": [1-9]/);
  expect(await fetch(`${proxy.admin}/metrics`).then((answer) => answer.text())).toMatch(/modelroute_buffered\S* 0$/m);
}

const moments: Record<string, {behaviour: BehaviourInput; stream: boolean}> = {
  'before the headers': {behaviour: {do: 'hang'}, stream: true},
  'before the first token': {behaviour: raw([role()], 'Hang'), stream: true},
  'before the answer that is not streamed': {behaviour: {do: 'hang'}, stream: false},
  'in the middle of an answer that is not streamed': {behaviour: {do: 'hang', where: 'AfterTokens'}, stream: false},
};

describe('a caller that leaves', () => {
  it.each(Object.entries(moments))(
    '%s ends the request upstream at once, at nobody’s cost',
    async (_, {behaviour, stream}) => {
      const setup = await setUp();
      const {local, proxy} = setup;
      local.behave(behaviour);
      const leaving = new AbortController();
      const asked = post(proxy.url, chatBody({stream}), {signal: leaving.signal}).catch(() => 'left');
      await until(() => local.activeRequests() === 1, 'the request at the backend');
      leaving.abort();
      expect(await asked).toBe('left');
      await until(() => local.aborted() === 1, 'the backend to see it');
      await expectNothingLeft(setup);
      expect(proxy.requests()[0]).toMatchObject({status: 499, error: 'caller_gone', attempts: 1, backend: 'local'});
      expect(await fetch(`${proxy.admin}/backends`).then((answer) => answer.text())).not.toMatch(/"lastError": \{/);
    },
  );

  it('mid-stream ends the request upstream at once, and the log has what he got', async () => {
    const setup = await setUp();
    const {local, proxy} = setup;
    local.behave(raw([role(), token('One'), token(' two')], 'Hang'));
    const leaving = new AbortController();
    const body = readBody(await post(proxy.url, chatBody({stream: true}), {signal: leaving.signal}));
    await body.untilHas(' two');
    leaving.abort();
    await until(() => local.aborted() === 1, 'the backend to see it');
    await expectNothingLeft(setup);
    expect(proxy.requests()[0]).toMatchObject({status: 200, error: 'caller_gone', usageEstimated: true});
    expect(proxy.requests()[0]!['completionTokens']).toBeGreaterThan(0);
    expect(await fetch(`${proxy.admin}/backends`).then((answer) => answer.text())).not.toMatch(/"lastError": \{/);
  });

  it('while a back-off waits ends the wait: no other try is made', async () => {
    const setup = await setUp();
    const {local, proxy, clock} = setup;
    proxy.update({routes: {backends: [{name: 'local', url: local.url}]}});
    local.behave({do: 'status', status: 503});
    const leaving = new AbortController();
    const asked = post(proxy.url, chatBody(), {signal: leaving.signal}).catch(() => 'left');
    const backends = (): Promise<string> => fetch(`${proxy.admin}/backends`).then((answer) => answer.text());
    await until(
      async () => (await backends()).includes('"lastError": {'),
      'the first try to fail, and so the wait to begin',
    );
    leaving.abort();
    expect(await asked).toBe('left');
    await until(() => proxy.requests().length === 1, 'the log line');
    await clock.advance(10_000);
    expect(local.requests().length).toBe(1);
    expect(clock.pending).toBe(0);
    expect(proxy.requests()[0]).toMatchObject({error: 'caller_gone', attempts: 1});
  });

  it('during his upload asks no backend', async () => {
    const setup = await setUp();
    const {local, proxy} = setup;
    const headers = {'content-type': 'application/json', 'content-length': '100000'};
    const upload = httpRequest(`${proxy.url}/v1/chat/completions`, {method: 'POST', headers});
    upload.on('error', () => {});
    upload.write(chatBody().slice(0, -1));
    const buffered = async (): Promise<boolean> => {
      const metrics = await fetch(`${proxy.admin}/metrics`).then((answer) => answer.text());
      return /^modelroute_buffered\S* [1-9]/m.test(metrics);
    };
    await until(buffered, 'the first part of the body');
    upload.destroy();
    await expectNothingLeft(setup);
    expect(local.requests()).toEqual([]);
    expect(proxy.requests()[0]).toMatchObject({status: 499, error: 'caller_gone', attempts: 0});
  });
});
