import {afterEach, describe, expect, it} from '@jest/globals';
import {createFakeClock, type FakeClock} from '../fake-clock.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, type Harness} from './harness.ts';
import {done, errorAtEnd, finish, readBody, role, startByHand, token, usage, type ByHand} from './streams.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

type Setup = {backend: ByHand; proxy: Harness; clock: FakeClock};

async function setUp(): Promise<Setup> {
  const backend = await keep(startByHand());
  const clock = createFakeClock();
  const proxy = await keep(startHarness({routes: {backends: [{name: 'local', url: backend.url}]}, clock}));
  return {backend, proxy, clock};
}

const askCompletions = (proxy: Harness, fields: object): Promise<Response> =>
  fetch(`${proxy.url}/v1/completions`, {
    method: 'POST',
    headers: {'content-type': 'application/json'},
    body: JSON.stringify({model: 'chat', stream: true, ...fields}),
  });

const lastLine = async (proxy: Harness): Promise<object> => {
  await until(() => proxy.requests().length === 1, 'the log line');
  return proxy.requests()[0]!;
};

const answer = role() + token('Hello') + finish();
const asksForUsage = {stream: true, stream_options: {include_usage: true}};

describe('a stream that finishes without [DONE]', () => {
  it('is closed properly after two seconds, with the usage that came meanwhile', async () => {
    const {backend, proxy, clock} = await setUp();
    const asked = post(proxy.url, chatBody(asksForUsage));
    const stream = await backend.stream(1, answer);
    const body = readBody(await asked);
    await body.untilHas('"finish_reason":"stop"');
    await clock.advance(1_999);
    stream.write(usage(11, 22));
    await body.untilHas('"completion_tokens":22');
    expect(body.text).not.toContain('[DONE]');
    await clock.advance(1);
    expect(await body.rest()).toBe(answer + usage(11, 22) + done);
    expect(await lastLine(proxy)).toMatchObject({promptTokens: 11, completionTokens: 22, usageEstimated: false});
    expect(proxy.requests()[0]).not.toHaveProperty('error');
    await until(() => backend.openConnections() === 0, 'the backend’s connection to be let go');
  });

  it('is closed properly at its end, before that', async () => {
    const {backend, proxy} = await setUp();
    const asked = post(proxy.url, chatBody(asksForUsage));
    (await backend.stream(1, answer)).end(usage(11, 22));
    expect(await (await asked).text()).toBe(answer + usage(11, 22) + done);
  });

  it('is whole even when the backend then resets the connection', async () => {
    const {backend, proxy} = await setUp();
    const asked = post(proxy.url, chatBody({stream: true}));
    const stream = await backend.stream(1, answer);
    const body = readBody(await asked);
    await body.untilHas('"finish_reason":"stop"');
    stream.socket!.resetAndDestroy();
    expect(await body.rest()).toBe(answer + done);
    expect(await lastLine(proxy)).not.toHaveProperty('error');
  });

  it('keeps usage from a caller who did not ask for it, and still counts it', async () => {
    const {backend, proxy} = await setUp();
    const asked = post(proxy.url, chatBody({stream: true}));
    (await backend.stream(1, answer)).end(usage(11, 22));
    expect(await (await asked).text()).toBe(answer + done);
    expect(await lastLine(proxy)).toMatchObject({promptTokens: 11, completionTokens: 22, usageEstimated: false});
  });

  it('is not the backend’s failure when it also stays silent', async () => {
    const {backend, proxy, clock} = await setUp();
    const asked = post(proxy.url, chatBody({stream: true}));
    await backend.stream(1, answer);
    const body = readBody(await asked);
    await body.untilHas('"finish_reason":"stop"');
    await clock.advance(60_000);
    expect(await body.rest()).toBe(answer + done);
    expect(await fetch(`${proxy.admin}/backends`).then((response) => response.text())).toContain('"lastError": null');
  });
});

describe('a stream that says [DONE] and does not end', () => {
  it('has ended for its caller at once, and for the backend after two seconds', async () => {
    const {backend, proxy, clock} = await setUp();
    const asked = post(proxy.url, chatBody({stream: true}));
    await backend.stream(1, answer + done);
    expect(await (await asked).text()).toBe(answer + done);
    await lastLine(proxy); // the caller's exchange is over
    const inFlight = (): Promise<boolean> =>
      fetch(`${proxy.admin}/backends`)
        .then((response) => response.text())
        .then((text) => text.includes('"inFlight": 1'));
    expect(await inFlight()).toBe(true);
    await clock.advance(2_000);
    await until(async () => !(await inFlight()), 'nothing in flight');
    await until(() => backend.openConnections() === 0, 'the connection to be closed');
    expect(clock.pending).toBe(0);
  });

  it('leaves its connection for the next request when the end comes in time', async () => {
    const {backend, proxy} = await setUp();
    const asked = post(proxy.url, chatBody({stream: true}));
    const stream = await backend.stream(1, answer + done);
    await (await asked).text();
    stream.end();
    await until(async () => {
      const backends = await fetch(`${proxy.admin}/backends`).then((response) => response.text());
      return backends.includes('"inFlight": 0');
    }, 'the end to be read');
    const again = post(proxy.url, chatBody({stream: true}));
    (await backend.stream(2, answer + done)).end();
    await (await again).text();
    expect(backend.exchanges.map(({connection}) => connection)).toEqual([1, 1]);
  });
});

const text = (content: string, index: number, finishReason: string | null = null): string =>
  `data: ${JSON.stringify({object: 'text_completion', choices: [{index, text: content, finish_reason: finishReason}]})}\n\n`;

describe('a stream of several choices', () => {
  it('is cut when one of two has not finished', async () => {
    const {backend, proxy} = await setUp();
    const asked = post(proxy.url, chatBody({stream: true, n: 2}));
    (await backend.stream(1, token('a', 0) + token('b', 1) + finish(0))).end();
    expect(errorAtEnd(await (await asked).text()).error.code).toBe('stream_cut');
  });

  it('does not start to close when the first has finished, however long the second takes', async () => {
    const {backend, proxy, clock} = await setUp();
    const asked = post(proxy.url, chatBody({stream: true, n: 2}));
    const stream = await backend.stream(1, token('a', 0) + token('b', 1) + finish(0));
    const body = readBody(await asked);
    await body.untilHas('"finish_reason":"stop"');
    await clock.advance(10_000);
    stream.end(token('c', 1) + finish(1) + done);
    expect(await body.rest()).toBe(token('a', 0) + token('b', 1) + finish(0) + token('c', 1) + finish(1) + done);
  });

  it.each([
    ['n × prompts', {n: 2, prompt: ['x', 'y']}, 4],
    ['prompts of token ids', {prompt: [[1, 2], [3], [4]]}, 3],
    ['one prompt of token ids', {prompt: [1, 2, 3]}, 1],
  ])('of completions has %s', async (_, fields, choices) => {
    const {backend, proxy} = await setUp();
    const indexes = [...Array(choices).keys()];
    const whole = indexes.map((index) => text('a', index) + text('', index, 'stop')).join('');
    const first = askCompletions(proxy, fields);
    (await backend.stream(1, whole)).end();
    expect(await (await first).text()).toBe(whole + done);

    const second = askCompletions(proxy, fields);
    const lacking =
      text('a', 0) +
      indexes
        .slice(1)
        .map((index) => text('', index, 'stop'))
        .join('');
    (await backend.stream(2, lacking)).end();
    expect(errorAtEnd(await (await second).text()).error.code).toBe('stream_cut');
  });
});
