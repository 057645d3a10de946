import {createHash} from 'node:crypto';
import {afterEach, describe, expect, it} from '@jest/globals';
import type {BehaviourInput} from '../../simulator/index.ts';
import {createFakeClock} from '../fake-clock.ts';
import {until} from '../until.ts';
import {keeper, post, type Harness} from './harness.ts';
import {errorOf, liveView, startLadder, type Ladder} from './ladder.ts';
import {readBody, startByHand} from './streams.ts';
import {rawEvents} from './typed-streams.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const path = '/v1/audio/speech';
const input = 'The quick brown fox jumps over the lazy dog.';

const speechBody = (fields: object = {}): string =>
  JSON.stringify({model: 'chat', input, voice: 'alloy', response_format: 'pcm', ...fields});

const ask = (proxy: Harness, fields: object = {}, init: RequestInit = {}): Promise<Response> =>
  post(proxy.url, speechBody(fields), {path, signal: init.signal ?? null});

const hashOf = async (response: Response): Promise<string> =>
  createHash('sha256')
    .update(Buffer.from(await response.arrayBuffer()))
    .digest('hex');

const audio = {'content-type': 'audio/mpeg'};
const bytes = (...parts: string[]): {base64: string}[] =>
  parts.map((part) => ({base64: Buffer.from(part, 'latin1').toString('base64')}));

const start = (behaves: BehaviourInput = {do: 'answer'}): Promise<Ladder> =>
  startLadder(keep, [{name: 'local', behaves}, {name: 'cloud'}], {
    spec: {retry: {maxAttempts: 1}, circuitBreaker: {consecutiveFailures: 1, openDuration: '20s'}},
  });

describe('speech', () => {
  it.each(['mp3', 'wav', 'pcm'])('passes byte by byte, as %s', async (response_format) => {
    const {proxy, upstreams} = await start();
    const direct = await post(upstreams[0]!.origin, speechBody({response_format}), {path});
    const through = await ask(proxy, {response_format});
    expect(through.status).toBe(200);
    expect(through.headers.get('content-type')).toBe(direct.headers.get('content-type'));
    expect(through.headers.get('x-modelroute-backend')).toBe('local');
    expect(await hashOf(through)).toBe(await hashOf(direct));
  });

  it('keeps bytes that are no text, and their length where the backend knows it', async () => {
    const all = Buffer.from(Array.from({length: 70_000}, (_, index) => (index * 7919) % 256));
    const {proxy} = await start({
      do: 'raw',
      headers: {...audio, 'content-length': String(all.length)},
      chunks: [
        {base64: all.subarray(0, 3).toString('base64')},
        {base64: all.subarray(3).toString('base64'), afterMs: 20},
      ],
    });
    const response = await ask(proxy);
    expect(response.headers.get('content-length')).toBe(String(all.length));
    expect(Buffer.from(await response.arrayBuffer()).equals(all)).toBe(true);
  });

  it('reaches the caller while the backend still speaks', async () => {
    const {proxy} = await start({do: 'raw', headers: audio, chunks: bytes('first'), end: 'Hang'});
    const reader = (await ask(proxy)).body!.getReader();
    expect(Buffer.from((await reader.read()).value as Uint8Array).toString()).toBe('first');
    await reader.cancel();
  });

  it('is sent with the name that the backend knows the model by', async () => {
    const {proxy, upstreams} = await startLadder(keep, [
      {name: 'local', options: {models: ['tts-1']}, backend: {model: 'tts-1'}},
    ]);
    expect((await ask(proxy)).status).toBe(200);
    expect(upstreams[0]?.requests()[0]).toMatchObject({path, body: {model: 'tts-1', input, voice: 'alloy'}});
  });

  it('has a log line with estimated tokens, and the time to its first byte', async () => {
    const {proxy} = await start();
    await (await ask(proxy)).arrayBuffer();
    await until(() => proxy.requests().length === 1, 'the log line');
    expect(proxy.requests()[0]).toMatchObject({
      api: 'speech',
      status: 200,
      streamed: true,
      firstTokenMs: expect.any(Number),
      promptTokens: Math.ceil(speechBody().length / 4),
      completionTokens: 0,
      usageEstimated: true,
    });
    expect(await (await fetch(`${proxy.admin}/metrics`)).text()).toContain('api="speech"');
  });

  const faults: Record<string, BehaviourInput> = {
    'answers 500': {do: 'status', status: 500},
    'answers 429': {do: 'status', status: 429},
    'resets before its headers': {do: 'reset'},
    'is cut before its first byte': {do: 'raw', headers: audio, chunks: [], end: 'Cut'},
    'is reset before its first byte': {do: 'raw', headers: audio, chunks: [], end: 'Reset'},
    'answers with nothing': {do: 'raw', headers: audio, chunks: []},
    'answers with nothing, and says so': {do: 'raw', headers: {...audio, 'content-length': '0'}, chunks: []},
    'answers with an error in a 200': {
      do: 'raw',
      headers: {'content-type': 'application/json; charset=utf-8'},
      chunks: [{text: '{"error": {"message": "no voice"}}'}],
    },
    'answers with a page': {do: 'raw', headers: {'content-type': 'text/html'}, chunks: [{text: '<html>'}]},
    'answers with events that nobody asked for': rawEvents(['data: {"type": "speech.audio.done"}\n\n']),
    'compresses its answer': {do: 'raw', headers: {...audio, 'content-encoding': 'gzip'}, chunks: bytes('\x1f\x8b')},
    redirects: {do: 'status', status: 302, headers: {location: 'http://127.0.0.1:9/'}},
  };

  it.each(Object.entries(faults))('is asked of the next backend unseen when the first one %s', async (_, behaviour) => {
    const {proxy, upstreams} = await start(behaviour);
    const direct = await post(upstreams[1]!.origin, speechBody(), {path});
    const response = await ask(proxy);
    expect(response.status).toBe(200);
    expect(response.headers.get('x-modelroute-backend')).toBe('cloud');
    expect(response.headers.get('content-type')).toBe('audio/pcm');
    expect(await hashOf(response)).toBe(await hashOf(direct));
    expect((await liveView(proxy, 'local')).breaker).toBe('Open');
  });

  it('is asked of the next backend when the first has sent no byte in timeouts.firstToken', async () => {
    const clock = createFakeClock();
    const {proxy, upstreams} = await startLadder(
      keep,
      [{name: 'local', behaves: {do: 'raw', headers: audio, chunks: [], end: 'Hang'}}, {name: 'cloud'}],
      {clock, spec: {timeouts: {firstToken: '7s'}}},
    );
    const asking = ask(proxy);
    await until(() => upstreams[0]!.activeRequests() === 1, 'the request at the first backend');
    await clock.advance(6_999);
    expect(upstreams[1]?.requests()).toEqual([]);
    await clock.advance(1);
    expect((await asking).headers.get('x-modelroute-backend')).toBe('cloud');
  });

  it('that is refused comes back as JSON in the backend’s words', async () => {
    const {proxy, upstreams} = await start();
    const response = await ask(proxy, {input: ''});
    expect(response.status).toBe(400);
    expect((await errorOf(response)).message).toContain('input');
    expect(upstreams[1]?.requests()).toEqual([]);
    expect((await liveView(proxy, 'local')).breaker).toBe('Closed');
  });

  it('is one error where no backend speaks', async () => {
    const {proxy, upstreams} = await start({do: 'reset'});
    upstreams[1]?.behave({do: 'raw', headers: audio, chunks: []});
    const response = await ask(proxy);
    expect(response.status).toBe(502);
    expect((await errorOf(response)).message).toMatch(/local closed the connection.*; cloud answered with nothing/);
  });

  it('goes on past timeouts.tokenIdle as long as bytes come, and is broken off when they do not', async () => {
    const clock = createFakeClock();
    const backend = await keep(startByHand());
    const {proxy} = await startLadder(keep, [{name: 'local', backend: {url: backend.url}}], {
      clock,
      spec: {timeouts: {tokenIdle: '10s', firstToken: '10s'}},
    });
    const asking = ask(proxy);
    const {response} = await backend.exchange(1);
    response.writeHead(200, audio).write('a');
    const body = readBody(await asking);
    for (const letter of 'bcd') {
      await body.untilHas(String.fromCharCode(letter.charCodeAt(0) - 1));
      await clock.advance(9_999);
      response.write(letter);
    }
    await body.untilHas('d');
    await clock.advance(10_000);
    await expect(body.rest()).rejects.toThrow();
    await until(() => proxy.requests().length === 1, 'the log line');
    expect(proxy.requests()[0]).toMatchObject({status: 200, error: 'stream_cut', usageEstimated: true});
    expect((await liveView(proxy, 'local')).lastError?.message).toContain('sent no byte in timeouts.tokenIdle');
  });

  it('stops at the backend at once when its caller leaves, before and after the first byte', async () => {
    for (const chunks of [[], bytes('first')]) {
      const {proxy, upstreams} = await start({do: 'raw', headers: audio, chunks, end: 'Hang'});
      const leaving = new AbortController();
      const asking = ask(proxy, {}, {signal: leaving.signal});
      await until(() => upstreams[0]!.activeRequests() === 1, 'the backend is at work');
      if (chunks.length > 0) await (await asking).body!.getReader().read();
      leaving.abort();
      if (chunks.length === 0) await expect(asking).rejects.toThrow();
      await until(() => upstreams[0]!.aborted() === 1, 'the backend is left');
      await until(() => proxy.requests().length === 1, 'the log line');
      expect(proxy.requests()[0]).toMatchObject({error: 'caller_gone'});
      expect(await liveView(proxy, 'local')).toMatchObject({breaker: 'Closed', lastError: null});
      expect(upstreams[1]?.requests()).toEqual([]);
    }
  });
});

describe('speech in events', () => {
  const events = {stream_format: 'sse'};
  const eventOf = (value: object): string => `data: ${JSON.stringify(value)}\n\n`;
  const delta = eventOf({type: 'speech.audio.delta', audio: 'AAAA'});

  it('passes whole, and is counted', async () => {
    const {proxy} = await start();
    const response = await ask(proxy, events);
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    const all = (await response.text()).split('\n\n').filter((each) => each !== '');
    expect(all.at(-1)).toContain('speech.audio.done');
    await until(() => proxy.requests().length === 1, 'the log line');
    expect(proxy.requests()[0]).toMatchObject({
      promptTokens: 11,
      completionTokens: all.length - 1,
      usageEstimated: false,
    });
  });

  it('is failed over before its first sound', async () => {
    const {proxy} = await start({do: 'errorEvent', afterTokens: 0});
    expect((await ask(proxy, events)).headers.get('x-modelroute-backend')).toBe('cloud');
  });

  it('ends in an error event when it is cut', async () => {
    const {proxy} = await start(rawEvents([delta, delta], 'Cut'));
    const text = await (await ask(proxy, events)).text();
    expect(text.startsWith(delta + delta)).toBe(true);
    const last = text.split('\n\n').at(-2) ?? '';
    expect(JSON.parse(last.slice('data: '.length))).toMatchObject({error: {code: 'stream_cut', backend: 'local'}});
    expect(text).not.toContain('speech.audio.done');
  });
});
