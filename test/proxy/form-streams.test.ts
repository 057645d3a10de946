/** Forms that ask for a stream, and what backends make of that. */
import {afterEach, describe, expect, it} from '@jest/globals';
import type {ModelRouteSpec} from '../../operator/api/generated.ts';
import {createFakeClock, type FakeClock} from '../fake-clock.ts';
import {
  fieldPart,
  formOf,
  filePart,
  postForm,
  startFormBackend,
  type Arrival,
  type FormBackend,
} from './form-backend.ts';
import {keeper, post, startHarness, type Harness} from './harness.ts';
import {eventsIn, lastError, liveView} from './ladder.ts';
import {typedEvent} from './typed-streams.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

type World = {backend: FormBackend; proxy: Harness; clock: FakeClock};

/** A clock that stands still: whatever ends, ends by itself. */
async function setUp(answer: (arrival: Arrival) => void, route: Partial<ModelRouteSpec> = {}): Promise<World> {
  const clock = createFakeClock();
  const backend = await keep(startFormBackend(answer));
  const routes = {backends: [{name: 'local', url: backend.url}], ...route};
  return {backend, clock, proxy: await keep(startHarness({routes, clock}))};
}

const asksForStream = (...more: string[]): string =>
  formOf(fieldPart('model', 'chat'), fieldPart('stream', 'true'), filePart, ...more);

/** The proxy runs in this process: these are its turns to read what has been written. */
async function giveTurns(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

describe('a streamed edit of a picture', () => {
  const partial = typedEvent('image_edit.partial_image', {b64_json: 'iVBO', partial_image_index: 0});
  const completed = typedEvent('image_edit.completed', {b64_json: 'iVBORw0K'});

  const ask = (proxy: Harness): Promise<Response> =>
    postForm(proxy.url, asksForStream(fieldPart('n', '2'), fieldPart('partial_images', '1')), {path: '/images/edits'});

  const streams =
    (...events: string[]): ((arrival: Arrival) => void) =>
    ({response}) =>
      void response.writeHead(200, {'content-type': 'text/event-stream'}).end(events.join(''));

  it('is whole with as many as were asked for', async () => {
    const {proxy} = await setUp(streams(partial, completed, partial, completed));
    const answer = await ask(proxy);
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/event-stream']);
    expect(await answer.text()).toBe(partial + completed + partial + completed);
  });

  it.each([
    ['a preview', [partial]],
    ['one of two', [partial, completed]],
    ['one of two and a preview', [partial, completed, partial]],
  ])('ends in an error behind %s', async (_, events) => {
    const {proxy} = await setUp(streams(...events));
    const text = await (await ask(proxy)).text();
    expect(text.startsWith(events.join(''))).toBe(true);
    expect(lastError(eventsIn(text))).toMatchObject({code: 'stream_cut', backend: 'local', attempts: 1});
  });

  it('ends in an error when its connection is reset', async () => {
    const {backend, proxy} = await setUp(({response}) =>
      response.writeHead(200, {'content-type': 'text/event-stream'}).write(partial + completed),
    );
    const answer = await ask(proxy);
    backend.arrivals[0]!.response.socket!.resetAndDestroy();
    const text = await answer.text();
    expect(text.startsWith(partial + completed)).toBe(true);
    expect(lastError(eventsIn(text)).code).toBe('stream_cut');
  });
});

describe('an answer in bytes to who asked for a stream', () => {
  const speech = JSON.stringify({model: 'chat', input: 'Hi', voice: 'alloy', stream_format: 'sse'});
  const cases: [string, string, (proxy: Harness) => Promise<Response>][] = [
    ['a transcription', 'application/json', (proxy) => postForm(proxy.url, asksForStream())],
    ['a transcription in text', 'text/plain', (proxy) => postForm(proxy.url, asksForStream())],
    ['speech', 'audio/mpeg', (proxy) => post(proxy.url, speech, {path: '/v1/audio/speech'})],
  ];

  it.each(cases)('whose head comes long before its first byte passes as it is: %s in %s', async (_, type, ask) => {
    const {backend, proxy, clock} = await setUp(
      ({response}) => {
        response.writeHead(200, {'content-type': type}).flushHeaders();
      },
      {stream: {keepAlive: '1s'}},
    );
    const asking = ask(proxy);
    const {response} = await backend.arrival(1);
    await giveTurns();
    await clock.advance(1_000);
    await clock.advance(1_000);
    response.end('{"text": "Hello"}');
    const answer = await asking;
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, type]);
    expect(await answer.text()).toBe('{"text": "Hello"}');
    expect(proxy.log.filter(({level}) => level === 'error')).toEqual([]);
  });
});

describe('a form whose backend answers 101', () => {
  it.each([
    ['with an upgrade', 'connection: Upgrade\r\nupgrade: websocket\r\n'],
    ['without one', ''],
  ])('%s, which nobody has asked for, ends at once in one error', async (_, headers) => {
    const {backend, proxy} = await setUp(({response}) => {
      response.socket!.write(`HTTP/1.1 101 Switching Protocols\r\n${headers}\r\n`);
    });
    for (const form of [formOf(fieldPart('model', 'chat'), filePart), asksForStream()]) {
      const answer = await postForm(proxy.url, form);
      expect(answer.status).toBe(502);
      const {error} = (await answer.json()) as {error: {code: string}};
      expect(['backend_malformed_reply', 'backend_reset']).toContain(error.code);
    }
    expect(backend.arrivals).toHaveLength(2);
    expect(await liveView(proxy, 'local')).toMatchObject({inFlight: 0});
    expect(proxy.log.filter(({level}) => level === 'error')).toEqual([]);
  });
});

describe('a form whose backend knows no streams', () => {
  const route: Partial<ModelRouteSpec> = {
    stream: {keepAlive: '1s'},
    timeouts: {firstToken: '10s', request: '5m'},
    circuitBreaker: {consecutiveFailures: 1},
  };

  async function expectNoVerdict({backend, proxy}: World): Promise<void> {
    expect(backend.arrivals).toHaveLength(5);
    expect(await liveView(proxy, 'local')).toMatchObject({breaker: 'Closed', inFlight: 0});
  }

  it('and answers in JSON behind a keep-alive opens no breaker', async () => {
    const world = await setUp(() => {}, route);
    const {backend, proxy, clock} = world;
    for (let times = 1; times <= 5; times += 1) {
      const asking = postForm(proxy.url, asksForStream());
      const {response} = await backend.arrival(times);
      await clock.advance(1_000);
      const answer = await asking;
      expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8']);
      response.writeHead(200, {'content-type': 'application/json'}).end('{"text": "Hello"}');
      expect(lastError(eventsIn(await answer.text())).code).toBe('backend_malformed_reply');
    }
    await expectNoVerdict(world);
  });

  it('and has not begun in timeouts.firstToken opens no breaker', async () => {
    const world = await setUp(() => {}, {...route, stream: {keepAlive: '1h'}});
    const {backend, proxy, clock} = world;
    for (let times = 1; times <= 5; times += 1) {
      const asking = postForm(proxy.url, asksForStream());
      await backend.arrival(times);
      await clock.advance(10_000);
      const answer = await asking;
      expect(answer.status).toBe(504);
      expect(((await answer.json()) as {error: {code: string}}).error.code).toBe('backend_timeout');
    }
    await expectNoVerdict(world);
  });

  it('and answers 500 opens it all the same', async () => {
    const {proxy} = await setUp(({response}) => void response.writeHead(500).end('{}'), route);
    expect((await postForm(proxy.url, asksForStream())).status).toBe(502);
    expect(await liveView(proxy, 'local')).toMatchObject({breaker: 'Open'});
  });
});
