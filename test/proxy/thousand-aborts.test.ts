import {Agent, request as httpRequest, type IncomingMessage} from 'node:http';
import {afterEach, describe, expect, it} from '@jest/globals';
import type {Simulator} from '../../simulator/index.ts';
import {until} from '../until.ts';
import {chatBody, keeper, startHarness, startUpstream, type Harness} from './harness.ts';
import {fillUp, startByHand, token} from './streams.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const count = 1_000;
const atOnce = 250;

type Leaving = {body: string; agent: Agent; /** Whether he looks at what comes before he leaves. */ reads: boolean};

const open = (proxy: Harness, {body, agent}: Pick<Leaving, 'body' | 'agent'>): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    const headers = {'content-type': 'application/json'};
    const request = httpRequest(`${proxy.url}/v1/chat/completions`, {method: 'POST', agent, headers});
    request.on('response', resolve).on('error', reject).end(body);
  });

async function leaveMidStream(proxy: Harness, leaving: Leaving): Promise<void> {
  const response = await open(proxy, leaving);
  response.on('error', () => {});
  if (leaving.reads) await new Promise((resolve) => response.once('data', resolve));
  response.destroy();
}

async function askWhole(proxy: Harness, agent: Agent): Promise<number> {
  const response = await open(proxy, {body: chatBody({stream: true}), agent});
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk as string;
  if (!text.endsWith('data: [DONE]\n\n')) throw new Error(`not whole: ${text}`);
  return response.statusCode ?? 0;
}

async function inWaves<Result>(run: () => Promise<Result>): Promise<Result[]> {
  const results: Result[] = [];
  for (let started = 0; started < count; started += atOnce)
    results.push(...(await Promise.all(Array.from({length: atOnce}, run))));
  return results;
}

async function setUp(): Promise<{local: Simulator; proxy: Harness; agent: Agent}> {
  const local = await keep(startUpstream());
  const routes = {backends: [{name: 'local', url: local.url}], circuitBreaker: {consecutiveFailures: 1}};
  const proxy = await keep(startHarness({routes}));
  const agent = new Agent({keepAlive: true});
  await keep(Promise.resolve({close: async () => agent.destroy()}));
  return {local, proxy, agent};
}

describe('after a thousand callers have left in the middle of their streams', () => {
  it('nothing is left open upstream, and the next thousand requests all succeed', async () => {
    const {local, proxy, agent} = await setUp();
    local.behave({do: 'answer', tokensPerSecond: 20, answerTokens: 1_000});
    await inWaves(() => leaveMidStream(proxy, {body: chatBody({stream: true}), agent, reads: true}));
    await until(() => local.aborted() === count, 'the backend to have seen all of them leave', 10_000);
    await until(() => local.activeRequests() === 0 && local.openConnections() === 0, 'nothing to be left upstream');
    await until(() => proxy.requests().length === count, 'the log lines');

    local.behave({do: 'answer'});
    expect(new Set(await inWaves(() => askWhole(proxy, agent)))).toEqual(new Set([200]));
    const backends = await fetch(`${proxy.admin}/backends`).then((answer) => answer.text());
    expect(backends).toContain('"breaker": "Closed"');
    expect(backends).not.toMatch(/"inFlight": [1-9]/);
  }, 30_000);
});

describe('callers that do not read and then leave', () => {
  it('leave nothing open upstream: the drain that never comes is not waited for', async () => {
    const backend = await keep(startByHand());
    const proxy = await keep(startHarness({routes: {backends: [{name: 'local', url: backend.url}]}}));
    const agent = new Agent({keepAlive: true});
    const callers = 8;
    const responses = Promise.all(
      Array.from({length: callers}, () => open(proxy, {body: chatBody({stream: true}), agent})),
    );
    for (let number = 1; number <= callers; number += 1) await fillUp(await backend.stream(number, token('a')));
    for (const response of await responses) response.on('error', () => {}).destroy();
    await until(() => backend.openConnections() === 0, 'the upstream connections to be closed');
    await until(() => proxy.requests().length === callers, 'the log lines');
    agent.destroy();
  }, 15_000);
});
