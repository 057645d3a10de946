import {afterEach, describe, expect, it} from '@jest/globals';
import type {BehaviourInput, Simulator} from '../../simulator/index.ts';
import {createFakeClock, type FakeClock} from '../fake-clock.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, startUpstream, type Harness} from './harness.ts';
import {done, errorAtEnd, event, raw, readBody, role, textOf, token} from './streams.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

type Setup = {local: Simulator; cloud: Simulator; proxy: Harness; clock: FakeClock};

async function setUp(timeouts: object = {}): Promise<Setup> {
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
        timeouts,
      },
      clock,
    }),
  );
  return {local, cloud, proxy, clock};
}

const twoTokens = [role(), token('One'), token(' two')];

type Break = {behaviour: BehaviourInput; afterMs?: number; code?: string; timeouts?: object; isTheirs?: false};

const breaks: Record<string, Break> = {
  'ends cleanly without a finish': {behaviour: raw(twoTokens)},
  'is cut in its chunked coding': {behaviour: raw(twoTokens, 'Cut')},
  'is cut in the middle of an event': {behaviour: raw([...twoTokens, token(' three').slice(0, 40)], 'Cut')},
  'ends cleanly in the middle of an event': {behaviour: raw([...twoTokens, token(' three').trimEnd()])},
  'is reset': {behaviour: raw(twoTokens, 'Reset')},
  'goes silent': {behaviour: raw(twoTokens, 'Hang'), afterMs: 30_000},
  'sends pings and no tokens': {
    behaviour: {do: 'raw', chunks: [{text: twoTokens.join('')}, {text: ': ping\n\n', afterMs: 1}], end: 'Hang'},
    afterMs: 30_000,
  },
  'sends content in an event that is not JSON': {
    behaviour: raw([...twoTokens, 'data: {"choices":[{"delta":{"content":" thr\n\n', token(' four'), done]),
  },
  'sends an error event': {
    behaviour: raw([...twoTokens, event({error: {message: 'CUDA out of memory at 10.0.0.7', code: 500}}), done]),
  },
  'sends an error event that blames the caller': {
    behaviour: raw([...twoTokens, event({error: {message: 'bad', code: 400}}), done]),
    isTheirs: false,
  },
  'says [DONE] without a finish': {behaviour: raw([...twoTokens, done])},
  'outlasts the try’s own limit': {
    behaviour: raw(twoTokens, 'Hang'),
    timeouts: {attempt: '5s'},
    afterMs: 5_000,
  },
  'outlasts the request’s deadline': {
    behaviour: raw(twoTokens, 'Hang'),
    timeouts: {request: '5s'},
    afterMs: 5_000,
    code: 'deadline_exceeded',
    isTheirs: false,
  },
};

describe('a stream that breaks after content', () => {
  it.each(Object.entries(breaks))(
    'never looks like success when it %s',
    async (_, {behaviour, afterMs, code = 'stream_cut', timeouts, isTheirs = true}) => {
      const {local, cloud, proxy, clock} = await setUp(timeouts);
      local.behave(behaviour);

      const response = await post(proxy.url, chatBody({stream: true}));
      const body = readBody(response);
      await body.untilHas(' two');
      if (afterMs !== undefined) await clock.advance(afterMs);
      const text = await body.rest();

      expect(text.startsWith(twoTokens.join(''))).toBe(true);
      expect(textOf(text)).toBe('One two');
      expect(text).not.toContain('[DONE]');
      expect(text).not.toContain('"finish_reason":"stop"');
      expect(errorAtEnd(text)).toMatchObject({
        error: {code, type: expect.any(String), backend: 'local', attempts: 1},
        usage: {prompt_tokens: expect.any(Number), estimated: true},
      });
      const {usage} = errorAtEnd(text);
      expect(usage!.completion_tokens).toBeGreaterThan(0);
      expect(text).not.toContain('10.0.0.7');
      expect(cloud.requests()).toEqual([]);

      await until(() => proxy.requests().length === 1, 'the log line');
      expect(proxy.requests()[0]).toMatchObject({
        status: 200,
        error: code,
        backend: 'local',
        attempts: 1,
        completionTokens: usage!.completion_tokens,
        usageEstimated: true,
        failures: [expect.stringContaining('local/')],
      });
      const backends = await fetch(`${proxy.admin}/backends`).then((answer) => answer.text());
      expect(backends.includes('"lastError": {')).toBe(isTheirs);
      await until(() => local.activeRequests() === 0, 'the end of the request upstream');
      expect(clock.pending).toBe(0);
    },
  );

  it('reports the usage that the backend had counted so far', async () => {
    const {local, proxy} = await setUp();
    const counted = event({
      choices: [{index: 0, delta: {content: 'One'}, finish_reason: null}],
      usage: {prompt_tokens: 7, completion_tokens: 1, total_tokens: 8},
    });
    local.behave(raw([role(), counted], 'Reset'));
    const text = await post(proxy.url, chatBody({stream: true})).then((response) => response.text());
    expect(errorAtEnd(text).usage).toEqual({prompt_tokens: 7, completion_tokens: 1, total_tokens: 8});
    await until(() => proxy.requests().length === 1, 'the log line');
    expect(proxy.requests()[0]).toMatchObject({promptTokens: 7, completionTokens: 1, usageEstimated: false});
  });

  it('keeps an event that is not JSON and held no content from the caller, counts it, and goes on', async () => {
    const {local, proxy} = await setUp();
    local.behave({do: 'malformedEvent', afterTokens: 2, data: 'upstream hiccup'});
    const text = await post(proxy.url, chatBody({stream: true})).then((response) => response.text());
    expect(text).not.toContain('hiccup');
    expect(text.endsWith(done)).toBe(true);
    const metrics = await fetch(`${proxy.admin}/metrics`).then((answer) => answer.text());
    expect(metrics).toMatch(/modelroute_malformed_events_total\{[^}]*backend="local"[^}]*\} 1/);
  });
});
