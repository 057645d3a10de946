import {createServer, type AddressInfo, type Socket} from 'node:net';
import {afterEach, describe, expect, it} from '@jest/globals';
import {createFakeClock} from '../fake-clock.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, startUpstream, type Harness} from './harness.ts';
import {
  chunk,
  errorOf,
  eventsIn,
  follow,
  lastError,
  liveView,
  patientBreaker,
  podsBackend,
  podsOf,
  roleChunk,
  startLadder,
  startScripted,
  streamHead,
  writeThrough,
} from './ladder.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const circuitBreaker = patientBreaker;
const streamed = chatBody({stream: true});
const hang = {do: 'hang'} as const;

/** As the proxy sees it: the backend itself learns of its end only later. */
const expectRunning = async (proxy: Harness, name: string): Promise<void> =>
  expect((await liveView(proxy, name)).inFlight).toBe(1);

/** Takes connections and never says a word: with TLS in front of it the connection is never made. */
async function startSilence() {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).resume();
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const {port} = server.address() as AddressInfo;
  return {
    url: `https://127.0.0.1:${port}/v1`,
    connections: () => sockets.size,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

async function startStream(timeouts: object) {
  const clock = createFakeClock();
  const local = await keep(startScripted());
  const cloud = await keep(startUpstream({name: 'cloud'}));
  const backends = [
    {name: 'local', url: local.url},
    {name: 'cloud', url: cloud.url, priority: 1},
  ];
  const proxy = await keep(
    startHarness({routes: {backends, circuitBreaker, timeouts, stream: {keepAlive: '1h'}}, clock}),
  );
  const asking = post(proxy.url, streamed);
  await until(() => local.asked.length === 1, 'the backend is asked');
  const answer = local.asked[0]!;
  return {clock, cloud, proxy, asking, answer};
}

describe('timeouts.connect', () => {
  it('sends a request on when no connection comes about', async () => {
    const clock = createFakeClock();
    const silence = await keep(startSilence());
    const {proxy} = await startLadder(keep, [{name: 'local', backend: {url: silence.url}}, {name: 'cloud'}], {
      clock,
      spec: {circuitBreaker, timeouts: {connect: '2s'}},
    });
    const asking = post(proxy.url, chatBody());
    await until(() => silence.connections() === 1, 'the proxy tries to connect');
    await clock.advance(1_999);
    await expectRunning(proxy, 'local');
    await clock.advance(1);
    const response = await asking;
    expect(response.headers.get('x-modelroute-backend')).toBe('cloud');
    await until(() => silence.connections() === 0, 'the proxy gives the connection up');
    expect((await liveView(proxy, 'local')).lastError?.message).toContain('timeouts.connect');
  });
});

describe('timeouts.firstToken', () => {
  it('runs on until content, whatever else comes', async () => {
    const {clock, asking, answer, proxy} = await startStream({firstToken: '60s'});
    answer.writeHead(200, streamHead);
    await clock.advance(30_000);
    await writeThrough(answer, ': ping\n\n');
    await writeThrough(answer, roleChunk);
    await writeThrough(answer, chunk({}));
    await clock.advance(29_999);
    await expectRunning(proxy, 'local');
    await clock.advance(1);
    const response = await asking;
    expect(response.headers.get('x-modelroute-backend')).toBe('cloud');
    expect(eventsIn(await response.text()).at(-1)).toBe('[DONE]');
    await until(() => answer.destroyed, 'the backend’s work is stopped');
  });

  it('ends with the first content', async () => {
    const {clock, asking, answer} = await startStream({firstToken: '60s', tokenIdle: '5m', request: '10m'});
    answer.writeHead(200, streamHead);
    await clock.advance(59_000);
    await writeThrough(answer, chunk({content: 'Hi'}));
    const reading = follow(await asking);
    await clock.advance(60_000);
    await writeThrough(answer, chunk({}, 'stop') + 'data: [DONE]\n\n');
    answer.end();
    expect(eventsIn(await reading.ended).at(-1)).toBe('[DONE]');
  });
});

describe('timeouts.tokenIdle', () => {
  it('runs from content to content: pings and empty chunks do not count', async () => {
    const {clock, asking, answer, cloud, proxy} = await startStream({tokenIdle: '30s'});
    answer.writeHead(200, streamHead);
    await writeThrough(answer, roleChunk + chunk({content: 'Hi'}));
    const reading = follow(await asking);
    await clock.advance(29_000);
    await writeThrough(answer, chunk({content: ' there'}));
    await until(() => reading.text().includes(' there'), 'the second token');
    await clock.advance(20_000);
    await writeThrough(answer, `: ping\n\n${chunk({})}`);
    await until(() => reading.text().includes(': ping'), 'the ping');
    await clock.advance(9_999);
    await expectRunning(proxy, 'local');
    await clock.advance(1);
    const events = eventsIn(await reading.ended);
    expect(lastError(events)).toMatchObject({code: 'stream_cut', backend: 'local', attempts: 1});
    expect(lastError(events).message).toContain('timeouts.tokenIdle');
    expect(events).not.toContain('[DONE]');
    expect(cloud.requests()).toEqual([]);
  });
});

describe('timeouts.attempt', () => {
  it('bounds one plain try; the next rung gets its own', async () => {
    const clock = createFakeClock();
    const {proxy, upstreams} = await startLadder(keep, [{name: 'local', behaves: hang}, {name: 'cloud'}], {
      clock,
      spec: {circuitBreaker, timeouts: {attempt: '7s'}},
    });
    const asking = post(proxy.url, chatBody());
    await until(() => upstreams[0]?.activeRequests() === 1, 'the first try');
    await clock.advance(6_999);
    await expectRunning(proxy, 'local');
    await clock.advance(1);
    expect((await asking).headers.get('x-modelroute-backend')).toBe('cloud');
  });

  it('bounds a streamed try too, even in the middle of its answer', async () => {
    const {clock, asking, answer} = await startStream({attempt: '7s'});
    answer.writeHead(200, streamHead);
    await writeThrough(answer, chunk({content: 'Hi'}));
    const reading = follow(await asking);
    await clock.advance(7_000);
    expect(lastError(eventsIn(await reading.ended)).code).toBe('stream_cut');
  });

  it('is, unset, for a plain try its share of what is left, so that the last rung is reached', async () => {
    const clock = createFakeClock();
    const {proxy, upstreams} = await startLadder(
      keep,
      [{name: 'a', behaves: hang}, {name: 'b', behaves: hang}, {name: 'c'}],
      {clock, spec: {circuitBreaker, timeouts: {request: '9s'}}},
    );
    const asking = post(proxy.url, chatBody());
    for (const [rung, name] of ['a', 'b'].entries()) {
      await until(() => upstreams[rung]?.activeRequests() === 1, 'it is asked');
      await clock.advance(2_990);
      await expectRunning(proxy, name);
      await clock.advance(10);
    }
    const response = await asking;
    expect(response.headers.get('x-modelroute-backend')).toBe('c');
    expect(response.headers.get('x-modelroute-attempts')).toBe('3');
  });

  it('leaves the last rung its share after another endpoint of the first was tried', async () => {
    const clock = createFakeClock();
    const failing = {do: 'status', status: 503} as const;
    const pods = await Promise.all([keep(startUpstream({name: 'a'})), keep(startUpstream({name: 'b'}))]);
    const cloud = await keep(startUpstream({name: 'cloud'}));
    const backends = [podsBackend(pods), {name: 'cloud', url: cloud.url, priority: 1}];
    const proxy = await keep(
      startHarness({
        routes: {backends, circuitBreaker, timeouts: {request: '9s'}},
        slices: podsOf(pods),
        clock,
        random: () => 0,
      }),
    );
    pods[0].behave(failing);
    pods[1].behave(hang);
    const asking = post(proxy.url, chatBody());
    await until(() => pods[1].activeRequests() === 1, 'the other pod is asked');
    await clock.advance(4_499);
    await expectRunning(proxy, 'pods');
    await clock.advance(1);
    const response = await asking;
    expect(response.headers.get('x-modelroute-backend')).toBe('cloud');
    expect(response.headers.get('x-modelroute-attempts')).toBe('3');
  });

  it('is no share for rungs that could never take the request', async () => {
    const clock = createFakeClock();
    const rungs = [
      {name: 'a', behaves: hang},
      {name: 'b', backend: {weight: 0}},
    ];
    const {proxy, upstreams} = await startLadder(keep, rungs, {
      clock,
      spec: {circuitBreaker, timeouts: {request: '9s'}},
    });
    const asking = post(proxy.url, chatBody());
    await until(() => upstreams[0]?.activeRequests() === 1, 'it is asked');
    await clock.advance(8_999);
    await expectRunning(proxy, 'a');
    await clock.advance(1);
    expect((await asking).status).toBe(504);
  });
});

describe('timeouts.request', () => {
  it('is one deadline for all hops, and stops the work', async () => {
    const clock = createFakeClock();
    const {proxy, upstreams} = await startLadder(
      keep,
      [
        {name: 'local', behaves: hang},
        {name: 'cloud', behaves: hang},
      ],
      {clock, spec: {circuitBreaker, timeouts: {firstToken: '4s', request: '6s'}}},
    );
    const asking = post(proxy.url, streamed);
    await until(() => upstreams[0]?.activeRequests() === 1, 'the first rung');
    await clock.advance(4_000);
    await until(() => upstreams[1]?.activeRequests() === 1, 'the second rung');
    await clock.advance(1_999);
    await expectRunning(proxy, 'cloud');
    await clock.advance(1);
    const response = await asking;
    expect(response.status).toBe(504);
    const {code, message} = await errorOf(response);
    expect(code).toBe('deadline_exceeded');
    expect(message).toContain('local sent no content in timeouts.firstToken; cloud did not finish');
    await until(() => upstreams[1]?.activeRequests() === 0, 'the work is stopped');
    expect((await liveView(proxy, 'local')).lastError).not.toBeNull();
    expect((await liveView(proxy, 'cloud')).lastError).toBeNull(); // it only had the time that was left
  });

  it('counts against a backend that had all of it', async () => {
    const clock = createFakeClock();
    const {proxy, upstreams} = await startLadder(keep, [{name: 'local', behaves: hang}], {
      clock,
      spec: {circuitBreaker: {consecutiveFailures: 1}, timeouts: {request: '6s'}},
    });
    const asking = post(proxy.url, streamed);
    await until(() => upstreams[0]?.activeRequests() === 1, 'it is asked');
    await clock.advance(6_000);
    expect((await asking).status).toBe(504);
    expect((await liveView(proxy, 'local')).breaker).toBe('Open');
  });

  it('begins no wait that would outlast it', async () => {
    const {proxy} = await startLadder(
      keep,
      [{name: 'local', behaves: {do: 'status', status: 429, headers: {'retry-after': '2'}}}],
      {clock: createFakeClock(), spec: {circuitBreaker, retry: {maxWait: '10s'}, timeouts: {request: '1s'}}},
    );
    expect((await post(proxy.url, chatBody())).status).toBe(429);
  });

  it('ends a wait for a back-off', async () => {
    const clock = createFakeClock();
    const {proxy, upstreams} = await startLadder(
      keep,
      [{name: 'local', behaves: {do: 'status', status: 503, headers: {'retry-after': '5'}}}],
      {clock, spec: {circuitBreaker, retry: {maxWait: '10s'}, timeouts: {request: '5500ms'}}},
    );
    const asking = post(proxy.url, chatBody());
    await until(() => upstreams[0]?.requests()[0]?.endedAt !== undefined, 'the first try has failed');
    upstreams[0]?.behave(hang);
    await until(async () => {
      await clock.advance(100);
      return upstreams[0]?.requests().length === 2;
    }, 'the second try');
    await clock.advance(1_000);
    expect((await errorOf(await asking)).code).toBe('deadline_exceeded');
  });

  it('ends the running stream as well, as an error and not as success', async () => {
    const {clock, asking, answer, proxy} = await startStream({request: '20s'});
    answer.writeHead(200, streamHead);
    await writeThrough(answer, chunk({content: 'Hi'}));
    const reading = follow(await asking);
    await clock.advance(10_000);
    await writeThrough(answer, chunk({content: ' there'}));
    await until(() => reading.text().includes(' there'), 'the second token');
    await clock.advance(10_000);
    const events = eventsIn(await reading.ended);
    expect(lastError(events).code).toBe('deadline_exceeded');
    expect(events).not.toContain('[DONE]');
    await until(() => answer.destroyed, 'the backend’s work is stopped');
    expect((await liveView(proxy, 'local')).lastError).toBeNull(); // it was answering
  });

  it('asks nobody when the body took all of it to arrive', async () => {
    const clock = createFakeClock();
    const {proxy, upstreams} = await startLadder(keep, [{name: 'local'}], {
      clock,
      spec: {timeouts: {request: '5s'}},
    });
    const body = chatBody();
    let sendRest = (): void => {};
    const slowly = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(Buffer.from(body.slice(0, 10)));
        sendRest = () => {
          controller.enqueue(Buffer.from(body.slice(10)));
          controller.close();
        };
      },
    });
    const asking = post(proxy.url, slowly as unknown as string, {duplex: 'half'});
    await until(
      async () => (await (await fetch(`${proxy.admin}/metrics`)).text()).match(/buffered_bytes(\{.*\})? 10$/m) !== null,
      'the first part is here',
    );
    await clock.advance(5_000);
    sendRest();
    expect((await errorOf(await asking)).code).toBe('deadline_exceeded');
    expect(upstreams[0]?.requests()).toEqual([]);
  });
});
