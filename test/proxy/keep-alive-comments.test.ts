import {afterEach, describe, expect, it} from '@jest/globals';
import {createFakeClock, type FakeClock} from '../fake-clock.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, startUpstream, type Harness} from './harness.ts';
import {
  chunk,
  eventsIn,
  follow,
  lastError,
  patientBreaker,
  startScripted,
  streamHead,
  writeThrough,
  type Scripted,
} from './ladder.ts';
import type {Simulator} from '../../simulator/index.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const comment = ': keep-alive\n\n';
const streamed = chatBody({stream: true});

type Waiting = {clock: FakeClock; local: Scripted; cloud: Simulator; proxy: Harness};

async function start(): Promise<Waiting> {
  const clock = createFakeClock();
  const local = await keep(startScripted());
  const cloud = await keep(startUpstream({name: 'cloud'}));
  const proxy = await keep(
    startHarness({
      routes: {
        backends: [
          {name: 'local', url: local.url},
          {name: 'cloud', url: cloud.url, priority: 1},
        ],
        circuitBreaker: patientBreaker,
        stream: {keepAlive: '15s'},
        timeouts: {firstToken: '40s'},
      },
      clock,
      random: () => 0,
    }),
  );
  return {clock, local, cloud, proxy};
}

/** A streaming caller who has got his 200 and a comment, and nothing else. */
async function startCommented(waiting: Waiting) {
  const {clock, local, proxy} = waiting;
  const asking = post(proxy.url, streamed);
  await until(() => local.asked.length === 1, 'the backend is asked');
  await clock.advance(15_000);
  const response = await asking;
  return {response, reading: follow(response), answer: local.asked[0]!};
}

describe('a streaming caller who waits', () => {
  it('gets 200 and a comment after each keepAlive, and no backend is named', async () => {
    const waiting = await start();
    const {response, reading} = await startCommented(waiting);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    expect(response.headers.get('x-accel-buffering')).toBe('no');
    expect(response.headers.get('x-modelroute-route')).toBe('team-a/chat');
    expect(response.headers.get('x-request-id')).toBeTruthy();
    expect(response.headers.get('x-modelroute-backend')).toBeNull();
    expect(response.headers.get('x-modelroute-attempts')).toBeNull();
    await until(() => reading.text() === comment, 'the first comment');
    await waiting.clock.advance(14_999);
    expect(reading.text()).toBe(comment);
    await waiting.clock.advance(1);
    await until(() => reading.text() === comment + comment, 'the second comment');
  });

  it('gets nothing before keepAlive has passed', async () => {
    const {clock, local, proxy} = await start();
    const asking = post(proxy.url, streamed);
    await until(() => local.asked.length === 1, 'the backend is asked');
    await clock.advance(14_999);
    local.asked[0]?.writeHead(200, streamHead).end(chunk({content: 'Hi'}) + chunk({}, 'stop') + 'data: [DONE]\n\n');
    const response = await asking;
    expect(response.headers.get('x-modelroute-backend')).toBe('local');
    expect(await response.text()).not.toContain(comment);
  });

  it('is still failed over', async () => {
    const waiting = await start();
    const {reading} = await startCommented(waiting);
    await waiting.clock.advance(25_000); // firstToken
    const text = await reading.ended;
    expect(text.startsWith(comment)).toBe(true);
    expect(text).toContain(' cloud');
    expect(eventsIn(text).at(-1)).toBe('[DONE]');
    await until(() => waiting.proxy.requests().length === 1, 'the log line');
    expect(waiting.proxy.requests()[0]).toMatchObject({status: 200, backend: 'cloud', attempts: 2});
  });

  it('gets the answer of the backend that comes to speak', async () => {
    const waiting = await start();
    const {reading, answer} = await startCommented(waiting);
    answer.writeHead(200, streamHead).end(chunk({content: 'Hi'}) + chunk({}, 'stop') + 'data: [DONE]\n\n');
    expect(eventsIn(await reading.ended)).toHaveLength(3);
    expect(waiting.cloud.requests()).toEqual([]);
  });

  it('gets no comment while tokens come', async () => {
    const waiting = await start();
    const {reading, answer} = await startCommented(waiting);
    answer.writeHead(200, streamHead);
    for (let token = 0; token < 3; token += 1) {
      await waiting.clock.advance(14_000);
      await writeThrough(answer, chunk({content: `token ${token}`}));
      await until(() => reading.text().includes(`token ${token}`), 'the token');
    }
    expect(reading.text().split(comment).length - 1).toBe(1);
    await writeThrough(answer, chunk({}, 'stop'));
    answer.end();
    expect(eventsIn(await reading.ended).at(-1)).toBe('[DONE]');
  });
});

describe('after a comment any failure is an error event', () => {
  it('when every backend has failed', async () => {
    const waiting = await start();
    waiting.cloud.behave({do: 'status', status: 503});
    const {reading, answer} = await startCommented(waiting);
    answer.writeHead(500).end('{}');
    await until(async () => {
      await waiting.clock.advance(1);
      return waiting.local.asked.length === 2;
    }, 'the retry after its back-off');
    waiting.local.asked[1]?.writeHead(500).end('{}');
    const events = eventsIn(await reading.ended);
    expect(events).toHaveLength(1);
    expect(lastError(events)).toMatchObject({code: 'backend_error', backend: 'cloud', attempts: 3});
    expect(lastError(events).message).toContain('local answered 500; local answered 500; cloud answered 503');
  });

  it('when it is the caller’s own', async () => {
    const waiting = await start();
    const {reading, answer} = await startCommented(waiting);
    const error = {message: 'temperature: too hot', type: 'invalid_request_error', param: 'temperature', code: 'bad'};
    const refuse = (index: number) =>
      waiting.local.asked[index]?.writeHead(400, {'content-type': 'application/json'}).end(JSON.stringify({error}));
    refuse(0);
    await until(() => waiting.local.asked.length === 2, 'it is asked once more without stream_options');
    refuse(1);
    const events = eventsIn(await reading.ended);
    expect(events).toHaveLength(1);
    expect(lastError(events)).toEqual({...error, backend: 'local', attempts: 1});
    expect(answer.destroyed || answer.writableFinished).toBe(true);
    expect(waiting.cloud.requests()).toEqual([]);
    await until(() => waiting.proxy.requests().length === 1, 'the log line');
    expect(waiting.proxy.requests()[0]).toMatchObject({error: 'upstream_refused', attempts: 1});
  });

  it('when the deadline has passed', async () => {
    const clock = createFakeClock();
    const local = await keep(startScripted());
    const proxy = await keep(
      startHarness({
        routes: {
          backends: [{name: 'local', url: local.url}],
          stream: {keepAlive: '15s'},
          timeouts: {request: '20s'},
        },
        clock,
      }),
    );
    const asking = post(proxy.url, streamed);
    await until(() => local.asked.length === 1, 'the backend is asked');
    await clock.advance(15_000);
    const reading = follow(await asking);
    await clock.advance(5_000);
    const error = lastError(eventsIn(await reading.ended));
    expect(error).toMatchObject({code: 'deadline_exceeded', backend: 'local', attempts: 1});
  });
});

describe('a plain caller', () => {
  it('gets no comment, however long he waits', async () => {
    const {clock, local, proxy} = await start();
    const asking = post(proxy.url, chatBody());
    await until(() => local.asked.length === 1, 'the backend is asked');
    await clock.advance(100_000);
    const answer = JSON.stringify({choices: [{index: 0, message: {role: 'assistant', content: 'Hi'}}]});
    local.asked[0]?.writeHead(200, {'content-type': 'application/json'}).end(answer);
    const response = await asking;
    expect(await response.text()).toBe(answer);
    expect(response.headers.get('x-modelroute-backend')).toBe('local');
  });
});
