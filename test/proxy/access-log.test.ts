import {afterAll, beforeAll, beforeEach, describe, expect, it} from '@jest/globals';
import type {BehaviourInput, Simulator} from '../../simulator/index.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, startUpstream, type Harness, type LogLine} from './harness.ts';

const {keep, closeAll} = keeper();
let upstream: Simulator;
let proxy: Harness;

beforeAll(async () => {
  upstream = await keep(startUpstream({tokens: 5, ttftMs: 10}));
  proxy = await keep(startHarness({routes: {backends: [{name: 'local', url: upstream.url}], retry: {maxAttempts: 2}}}));
});
beforeEach(() => upstream.reset());
afterAll(closeAll);

/** Lines that come of `act`; exactly `count`. */
async function lines(act: () => Promise<unknown>, count = 1): Promise<LogLine[]> {
  const before = proxy.requests().length;
  await act();
  await until(() => proxy.requests().length >= before + count, `${count} log lines`);
  return proxy.requests().slice(before);
}

const ask = async (fields: object = {}): Promise<unknown> => (await post(proxy.url, chatBody(fields))).text();

describe('the log', () => {
  it('has one line for a plain answer, with all of it', async () => {
    const [line, ...others] = await lines(() => post(proxy.url, chatBody(), {headers: {'x-request-id': 'id-1'}}));
    expect(others).toEqual([]);
    expect(line).toEqual({
      level: 'info',
      message: 'request',
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      requestId: 'id-1',
      traceId: expect.stringMatching(/^[\da-f]{32}$/),
      route: 'team-a/chat',
      model: 'chat',
      api: 'chat',
      backend: 'local',
      endpoint: `127.0.0.1:${upstream.port}`,
      status: 200,
      attempts: 1,
      streamed: false,
      totalMs: expect.any(Number),
      promptTokens: 1,
      completionTokens: 5,
      usageEstimated: false,
    });
    expect(line?.['totalMs']).toBeGreaterThanOrEqual(10);
  });

  it('has the time to the first token of a stream, and its tokens', async () => {
    const [line] = await lines(() => ask({stream: true}));
    expect(line).toMatchObject({
      streamed: true,
      status: 200,
      promptTokens: 1,
      completionTokens: 5,
      usageEstimated: false,
    });
    expect(line?.['firstTokenMs']).toBeGreaterThanOrEqual(10);
    expect(line?.['firstTokenMs']).toBeLessThanOrEqual(Number(line?.['totalMs']) + 1);
  });

  it('has the code of an error, each failed attempt and its endpoint', async () => {
    upstream.behave({do: 'reset'});
    const [line] = await lines(ask);
    expect(line).toMatchObject({status: 502, error: 'backend_reset', attempts: 2, backend: 'local'});
    expect(line?.['failures']).toEqual([
      expect.stringContaining(`127.0.0.1:${upstream.port}`),
      expect.stringContaining(`127.0.0.1:${upstream.port}`),
    ]);
  });

  it('has a stream that was cut as one: status 200 and the code', async () => {
    upstream.behave({do: 'cut', afterTokens: 2});
    const [line] = await lines(() => ask({stream: true}));
    expect(line).toMatchObject({
      status: 200,
      error: 'stream_cut',
      completionTokens: expect.any(Number),
      usageEstimated: true,
    });
  });

  it('has a caller who left before his answer as 499, and one who left in the middle as what he saw', async () => {
    upstream.behave({do: 'hang'});
    const early = new AbortController();
    const [before] = await lines(async () => {
      const asked = upstream.requests().length;
      const leaving = post(proxy.url, chatBody(), {signal: early.signal}).catch(() => {});
      await until(() => upstream.requests().length >= asked + 1, 'it is asked');
      early.abort();
      await leaving;
    });
    expect(before).toMatchObject({status: 499, error: 'caller_gone', backend: 'local'});

    upstream.behave({do: 'hang', where: 'AfterTokens', tokens: 1});
    const [middle] = await lines(async () => (await post(proxy.url, chatBody({stream: true}))).body?.cancel());
    expect(middle).toMatchObject({status: 200, error: 'caller_gone', streamed: true});
    expect(middle?.['firstTokenMs']).toEqual(expect.any(Number));
  });

  it('has what a backend refused as refused by it', async () => {
    upstream.behave({do: 'status', status: 422});
    const [line] = await lines(ask);
    expect(line).toMatchObject({status: 422, error: 'upstream_refused', attempts: 1});
  });

  it('has a request that no route takes, with its model or its path, cut short', async () => {
    const [model] = await lines(() => ask({model: 'x'.repeat(5_000)}));
    expect(model).toMatchObject({
      status: 404,
      error: 'model_not_found',
      route: '',
      attempts: 0,
      model: 'x'.repeat(128),
    });
    expect(model).not.toHaveProperty('path');
    const [path] = await lines(() => fetch(`${proxy.url}/v2/${'y'.repeat(500)}?key=sk-in-the-query`));
    expect(path).toMatchObject({status: 404, error: 'unknown_path', path: `/v2/${'y'.repeat(124)}`});
    const [models] = await lines(() => fetch(`${proxy.url}/v1/models`));
    expect(models).toMatchObject({status: 200, api: 'models', route: '', attempts: 0});
    expect(JSON.stringify(proxy.log)).not.toContain('sk-in-the-query');
  });

  it('has one line per request, not more, whatever happens', async () => {
    const before = proxy.requests().length;
    upstream.behave({do: 'status', status: 500}, {times: 3});
    await Promise.all(Array.from({length: 20}, (_, index) => ask({stream: index % 2 === 0})));
    await until(() => proxy.requests().length >= before + 20, 'twenty lines');
    await ask();
    await until(() => proxy.requests().length >= before + 21, 'one more');
    expect(proxy.requests()).toHaveLength(before + 21);
    expect(new Set(proxy.requests().map(({requestId}) => requestId)).size).toBe(proxy.requests().length);
  });

  it('never has a prompt, nor an answer', async () => {
    const prompt = 'PROMPT-6f1d';
    const said = 'ANSWER-90ab';
    const echo = {error: {message: `cannot digest ${prompt}`, type: 'x', param: null, code: 'y'}};
    const ways: BehaviourInput[] = [
      {do: 'answer', text: said},
      {do: 'status', status: 400, body: echo},
      {do: 'status', status: 422, body: echo},
      {do: 'status', status: 500, body: echo},
      {do: 'status', status: 503, body: prompt},
      {do: 'cut', afterTokens: 1, text: [said, said]},
      {do: 'errorEvent', afterTokens: 0, error: echo.error},
      {do: 'errorEvent', afterTokens: 1, error: echo.error, text: [said, said]},
      {do: 'malformedEvent', afterTokens: 1, data: `{"content": "${said}`},
      {do: 'notJson', body: said},
    ];
    for (const way of ways) {
      upstream.behave(way);
      for (const stream of [false, true]) await ask({stream, messages: [{role: 'user', content: prompt}]});
    }
    await ask({model: 'nobody', messages: [{role: 'user', content: prompt}]});
    await (await post(proxy.url, `{"model": "chat", "messages": [{"content": "${prompt}"}]} trailing`)).text();
    expect(upstream.requests().length).toBeGreaterThan(2 * ways.length - 1);
    const seen = JSON.stringify(proxy.log) + (await (await fetch(`${proxy.admin}/backends`)).text());
    expect(seen).toContain('"upstream_refused"');
    expect(seen).not.toContain(prompt);
    expect(seen).not.toContain(said);
  });

  it('has no line for requests if the gateway wants warnings only', async () => {
    const quiet = await keep(
      startHarness({routes: {backends: [{name: 'local', url: upstream.url}]}, gateway: {logging: {level: 'Warn'}}}),
    );
    await (await post(quiet.url, chatBody())).text();
    await until(
      async () =>
        /modelroute_requests_total\{.*status="200".*\} 1/.test(await (await fetch(`${quiet.admin}/metrics`)).text()),
      'it is counted',
    );
    expect(quiet.requests()).toEqual([]);
  });
});
