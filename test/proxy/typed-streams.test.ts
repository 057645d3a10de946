/** What Responses and Messages have in common: the promises that a stream of typed events is held to. */
import {afterEach, describe, expect, it} from '@jest/globals';
import type {BehaviourInput} from '../../simulator/index.ts';
import {createFakeClock, type FakeClock} from '../fake-clock.ts';
import {until} from '../until.ts';
import {keeper, post, startHarness, startUpstream, type Harness} from './harness.ts';
import {follow, liveView, patientBreaker, startScripted, streamHead, writeThrough, type Scripted} from './ladder.ts';
import {readBody} from './streams.ts';
import {
  failed,
  messages,
  rawEvents,
  responses,
  typedErrorAtEnd,
  typedEventsIn,
  wholeStream,
  type Dialect,
} from './typed-streams.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

type Ready = {
  proxy: Harness;
  clock: FakeClock;
  local: Awaited<ReturnType<typeof startUpstream>>;
  cloud: Awaited<ReturnType<typeof startUpstream>>;
};

async function setUp(dialect: Dialect, spec: object = {}): Promise<Ready> {
  const clock = createFakeClock();
  const local = await keep(startUpstream({name: 'local'}));
  const cloud = await keep(startUpstream({name: 'cloud'}));
  const backends = [local, cloud].map(({url}, priority) => ({
    name: priority === 0 ? 'local' : 'cloud',
    url,
    priority,
    api: dialect.api,
  }));
  const proxy = await keep(
    startHarness({routes: {backends, retry: {maxAttempts: 1}, stream: {keepAlive: '0s'}, ...spec}, clock}),
  );
  return {proxy, clock, local, cloud};
}

const ask = ({path, body}: Dialect, proxy: Harness): Promise<Response> => post(proxy.url, body(), {path});

type Break = {behaviour: BehaviourInput; afterMs?: number; code?: string; timeouts?: object};

const breaksBefore = ({opening, progress, failure, name, token, closing}: Dialect): Record<string, Break> => ({
  'resets before its headers': {behaviour: {do: 'reset'}},
  'answers 500': {behaviour: {do: 'status', status: 500}},
  'answers 529': {behaviour: {do: 'status', status: 529}},
  'is cut before any content': {behaviour: rawEvents([opening, progress], 'Cut')},
  'ends before any content': {behaviour: rawEvents([opening, progress])},
  'opens its answer, then is silent': {behaviour: rawEvents([opening], 'Hang'), afterMs: 60_000},
  'shows progress, then is silent': {behaviour: rawEvents([opening, progress], 'Hang'), afterMs: 60_000},
  'sends an error event before any content': {behaviour: rawEvents([opening + failure])},
  'says [DONE] at once': {behaviour: rawEvents([opening, 'data: [DONE]\n\n'])},
  'answers without a stream': {behaviour: {do: 'raw', headers: {'content-type': 'application/json'}, chunks: []}},
  'sends content that is not JSON first': {
    behaviour: rawEvents([opening, token('On').replace(/\}+\n/, '\n'), token('e'), closing]),
  },
  ...(name === 'responses'
    ? {
        'fails before any content': {behaviour: rawEvents([opening + failed()])},
        'limits its rate before any content': {
          behaviour: rawEvents([opening + failed({code: 'rate_limit_exceeded', message: 'Too fast.'})]),
        },
      }
    : {}),
});

const breaksAfter = (dialect: Dialect): Record<string, Break> => {
  const {opening, progress, token, failure, name, endName, closing} = dialect;
  const begun = [opening + progress, token('One'), token(' two')];
  return {
    'ends cleanly without its end': {behaviour: rawEvents(begun)},
    'is cut': {behaviour: rawEvents(begun, 'Cut')},
    'is cut in the middle of its end': {
      behaviour: rawEvents([...begun, closing.slice(0, closing.indexOf(`"${endName}"`))], 'Cut'),
    },
    'ends cleanly in the middle of its end': {behaviour: rawEvents([...begun, closing.trimEnd()])},
    'is reset': {behaviour: rawEvents(begun, 'Reset')},
    'goes silent': {behaviour: rawEvents(begun, 'Hang'), afterMs: 30_000},
    'says [DONE] without an end': {behaviour: rawEvents([...begun, 'data: [DONE]\n\n'])},
    'sends an error event': {behaviour: rawEvents([...begun, failure, closing])},
    'sends content that is not JSON': {
      behaviour: rawEvents([...begun, token(' three').replace(/\}+\n/, '\n'), closing]),
    },
    'outlasts the request’s deadline': {
      behaviour: rawEvents(begun, 'Hang'),
      timeouts: {request: '5s'},
      afterMs: 5_000,
      code: 'deadline_exceeded',
    },
    ...(name === 'responses' ? {fails: {behaviour: rawEvents([...begun, failed()])}} : {}),
  };
};

describe.each([responses, messages].map((dialect) => [dialect.name, dialect] as const))(
  'a stream of %s',
  (_, dialect) => {
    const {opening, progress, token, closing, endName, keepAlive, textOf} = dialect;

    it('passes byte by byte, and ends with its own last event', async () => {
      const {proxy, local} = await setUp(dialect);
      const whole = wholeStream(dialect, 'One', ' two');
      local.behave(rawEvents([whole]));
      const response = await ask(dialect, proxy);
      expect(response.status).toBe(200);
      expect(response.headers.get('content-type')).toBe('text/event-stream');
      expect(response.headers.get('x-modelroute-backend')).toBe('local');
      expect(await response.text()).toBe(whole);
      await until(() => proxy.requests().length === 1, 'the log line');
      expect(proxy.requests()[0]).toMatchObject({
        api: dialect.name,
        status: 200,
        streamed: true,
        promptTokens: 7,
        completionTokens: 2,
        usageEstimated: false,
      });
      expect(proxy.requests()[0]).not.toHaveProperty('error');
    });

    it.each([
      ['in a chunk of its own', [wholeStream(dialect, 'One'), token(' more')]],
      ['in the same chunk', [wholeStream(dialect, 'One') + token(' more')]],
    ])('is over with its last event, whatever the backend still sends %s', async (__, chunks) => {
      const {proxy, local, clock} = await setUp(dialect);
      local.behave({do: 'raw', chunks: chunks.map((text, index) => ({text, afterMs: index * 20})), end: 'Hang'});
      expect(await ask(dialect, proxy).then((response) => response.text())).toBe(wholeStream(dialect, 'One'));
      await clock.advance(2_000); // the backend has this long to end its own side
      await until(() => local.activeRequests() === 0, 'the end of the request upstream');
      expect((await liveView(proxy, 'local')).lastError).toBeNull();
    });

    it('is cut into pieces anywhere without harm', async () => {
      const {proxy, local} = await setUp(dialect);
      const whole = wholeStream(dialect, 'Grüße', ' 🙂');
      local.behave({
        do: 'raw',
        chunks: Array.from(Buffer.from(whole), (byte) => ({base64: Buffer.from([byte]).toString('base64')})),
      });
      expect(await ask(dialect, proxy).then((response) => response.text())).toBe(whole);
    });

    it.each(Object.entries(breaksBefore(dialect)))(
      'is failed over unseen when the first backend %s',
      async (__, {behaviour, afterMs}) => {
        const {proxy, local, cloud, clock} = await setUp(dialect);
        local.behave(behaviour);
        cloud.behave(rawEvents([wholeStream(dialect, 'from', ' cloud')]));
        const asking = ask(dialect, proxy);
        if (afterMs !== undefined) {
          await until(() => local.activeRequests() === 1, 'the request at the first backend');
          await clock.advance(afterMs);
        }
        const response = await asking;
        expect(response.headers.get('x-modelroute-backend')).toBe('cloud');
        expect(response.headers.get('x-modelroute-attempts')).toBe('2');
        expect(await response.text()).toBe(wholeStream(dialect, 'from', ' cloud'));
        expect((await liveView(proxy, 'local')).lastError).not.toBeNull();
      },
    );

    it.each(Object.entries(breaksAfter(dialect)))(
      'never looks like success when after content it %s',
      async (__, {behaviour, afterMs, code = 'stream_cut', timeouts = {}}) => {
        const {proxy, local, cloud, clock} = await setUp(dialect, {timeouts});
        local.behave(behaviour);
        const body = readBody(await ask(dialect, proxy));
        await body.untilHas(' two');
        if (afterMs !== undefined) await clock.advance(afterMs);
        const text = await body.rest();

        const begun = opening + progress + token('One') + token(' two');
        expect(text.startsWith(begun)).toBe(true);
        expect(textOf(text)).toBe('One two');
        const names = typedEventsIn(text).map(({name}) => name);
        expect(names).not.toContain(endName);
        expect(names).not.toContain('response.failed');
        expect(names.filter((name) => name === 'error')).toHaveLength(1);
        expect(text).not.toContain('[DONE]');
        expect(text).not.toContain('10.0.0.7');
        const {error, usage} = typedErrorAtEnd(text);
        expect(error).toMatchObject({code, backend: 'local', attempts: 1, message: expect.any(String)});
        const isReported = names.includes('message_delta'); // by an event that came before the break
        expect(usage).toEqual({
          input_tokens: isReported ? 7 : expect.any(Number),
          output_tokens: isReported ? 2 : expect.any(Number),
          ...(isReported ? {} : {estimated: true}),
          ...(dialect.name === 'responses' ? {total_tokens: expect.any(Number)} : {}),
        });
        expect(usage!.output_tokens).toBeGreaterThan(0);
        expect(cloud.requests()).toEqual([]);
        await until(() => proxy.requests().length === 1, 'the log line');
        expect(proxy.requests()[0]).toMatchObject({
          status: 200,
          error: code,
          completionTokens: usage!.output_tokens,
          usageEstimated: !isReported,
        });
        await until(() => local.activeRequests() === 0, 'the end of the request upstream');
        expect(clock.pending).toBe(0);
      },
    );

    describe('whose backend is slow', () => {
      type Slow = {proxy: Harness; clock: FakeClock; local: Scripted; asking: Promise<Response>};

      async function startSlow(spec: object): Promise<Slow> {
        const clock = createFakeClock();
        const local = await keep(startScripted());
        const cloud = await keep(startUpstream({name: 'cloud'}));
        cloud.behave(rawEvents([wholeStream(dialect, 'from', ' cloud')]));
        const backends = [local, cloud].map(({url}, priority) => ({
          name: priority === 0 ? 'local' : 'cloud',
          url,
          priority,
          api: dialect.api,
        }));
        const proxy = await keep(startHarness({routes: {backends, circuitBreaker: patientBreaker, ...spec}, clock}));
        const asking = ask(dialect, proxy);
        await until(() => local.asked.length === 1, 'the backend is asked');
        local.asked[0]!.writeHead(200, streamHead);
        return {proxy, clock, local, asking};
      }
      const backendOf = async (asking: Promise<Response>): Promise<string | null> =>
        (await asking).headers.get('x-modelroute-backend');
      const timeouts = {firstToken: '10s', tokenIdle: '10s'};
      const noKeepAlive = {stream: {keepAlive: '0s'}};

      it('gets no more time for opening its answer', async () => {
        const {clock, local, asking} = await startSlow({timeouts, ...noKeepAlive});
        await clock.advance(9_999);
        await writeThrough(local.asked[0]!, opening);
        await clock.advance(1);
        expect(await backendOf(asking)).toBe('cloud');
      });

      it('gets more time for progress, which commits to nothing', async () => {
        const {clock, local, asking} = await startSlow({timeouts, ...noKeepAlive});
        await writeThrough(local.asked[0]!, opening);
        for (let count = 0; count < 3; count += 1) {
          await clock.advance(9_999);
          await writeThrough(local.asked[0]!, progress);
        }
        await clock.advance(10_000);
        expect(await backendOf(asking)).toBe('cloud');
      });

      it('keeps the request once it has made progress and then says something', async () => {
        const {clock, local, asking} = await startSlow({timeouts, ...noKeepAlive});
        await clock.advance(9_999);
        await writeThrough(local.asked[0]!, opening + progress);
        await clock.advance(9_999);
        await writeThrough(local.asked[0]!, token('One'));
        await clock.advance(9_999);
        await writeThrough(local.asked[0]!, progress);
        await clock.advance(9_999);
        local.asked[0]!.end(closing);
        const response = await asking;
        expect(response.headers.get('x-modelroute-backend')).toBe('local');
        expect(await response.text()).toBe(opening + progress + token('One') + progress + closing);
      });

      it('is waited for with what its clients ignore, and may still be failed over', async () => {
        const {proxy, clock, asking} = await startSlow({timeouts: {firstToken: '40s'}, stream: {keepAlive: '15s'}});
        await clock.advance(15_000);
        const response = await asking;
        expect(response.status).toBe(200);
        expect(response.headers.get('x-modelroute-backend')).toBeNull();
        const reading = follow(response);
        await until(() => reading.text() === keepAlive, 'the first sign of life');
        await clock.advance(15_000);
        await until(() => reading.text() === keepAlive + keepAlive, 'the second');
        await clock.advance(10_000);
        const text = await reading.ended;
        expect(text).toBe(keepAlive + keepAlive + wholeStream(dialect, 'from', ' cloud'));
        await until(() => proxy.requests().length === 1, 'the log line');
        expect(proxy.requests()[0]).toMatchObject({backend: 'cloud', attempts: 2});
      });
    });
  },
);
