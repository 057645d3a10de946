import {afterEach, describe, expect, it} from '@jest/globals';
import {secret} from '../objects.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, readEvents, startHarness, startUpstream, type Harness} from './harness.ts';
import {errorOf, lastError, liveView, startLadder} from './ladder.ts';
import type {BehaviourInput} from '../../simulator/index.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const key = 'sk-very-secret-1234567890';
const headersOf = (response: Response) =>
  Object.fromEntries(
    ['route', 'backend', 'attempts'].map((name) => [name, response.headers.get(`x-modelroute-${name}`)]),
  );

/** Two rungs with a credential each; both fail. */
async function startFailing(local: BehaviourInput, cloud: BehaviourInput) {
  const auth = {secretRef: {name: 'openai'}};
  return startLadder(
    keep,
    [
      {name: 'local', backend: {auth}, behaves: local},
      {name: 'cloud', backend: {auth}, behaves: cloud},
    ],
    {
      secrets: [secret({values: {apiKey: key}})],
      random: () => 0,
      spec: {circuitBreaker: {consecutiveFailures: 100, minRequests: 1_000}},
    },
  );
}

const status = (status: number, message = 'No.'): BehaviourInput => ({do: 'status', status, body: {error: {message}}});

const limited = (seconds: string): BehaviourInput => ({do: 'status', status: 429, headers: {'retry-after': seconds}});

type Failing = {
  what: string;
  backends: [local: BehaviourInput, cloud: BehaviourInput];
  error: [code: string, status: number];
  told: string;
};

describe('when every backend has failed a caller gets one error', () => {
  it.each<Failing>([
    {
      what: 'of the last failure',
      backends: [status(503), status(500)],
      error: ['backend_error', 502],
      told: 'local answered 503; local answered 503; cloud answered 500',
    },
    {
      what: 'of a refused credential',
      backends: [status(401), status(401)],
      error: ['backend_refused', 502],
      told: 'local answered 401; cloud answered 401',
    },
    {
      what: 'of limited rates',
      backends: [limited('9'), limited('7')],
      error: ['backend_rate_limited', 429],
      told: 'local answered 429; cloud answered 429',
    },
    {
      what: 'of more than limited rates',
      backends: [status(401), limited('7')],
      error: ['backend_refused', 502],
      told: 'local answered 401; cloud answered 429',
    },
    {
      what: 'of a reset',
      backends: [status(401), {do: 'reset'}],
      error: ['backend_reset', 502],
      told: 'cloud closed the connection before the end of its answer',
    },
    {
      what: 'of nonsense',
      backends: [status(401), {do: 'notJson'}],
      error: ['backend_malformed_reply', 502],
      told: 'cloud answered with malformed JSON',
    },
    {
      what: 'of an error in an answer',
      backends: [status(401), {do: 'status', status: 200, body: {error: {message: 'died'}}}],
      error: ['backend_error', 502],
      told: 'cloud sent an error inside its answer',
    },
  ])('$what', async ({backends, error: [code, expected], told}) => {
    const {proxy, upstreams} = await startFailing(...backends);
    const response = await post(proxy.url, chatBody());
    expect(response.status).toBe(expected);
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(response.headers.get('x-request-id')).toBeTruthy();
    expect(response.headers.get('retry-after')).toBe(code === 'backend_rate_limited' ? '7' : null);
    const attempts = upstreams.reduce((sum, upstream) => sum + upstream.requests().length, 0);
    expect(headersOf(response)).toEqual({route: 'team-a/chat', backend: 'cloud', attempts: String(attempts)});
    const error = await errorOf(response);
    expect(Object.keys(error)).toEqual(['message', 'type', 'param', 'code']);
    expect(error.code).toBe(code);
    expect(error.message).toContain('Route team-a/chat got no whole answer: ');
    expect(error.message).toContain(told);
    await until(() => proxy.requests().length === 1, 'the log line');
    expect(proxy.requests()[0]).toMatchObject({status: expected, error: code, attempts, backend: 'cloud'});
  });
});

/** All that a caller sees. */
const seen = async (response: Response): Promise<string> =>
  [...response.headers].map(([name, value]) => `${name}: ${value}`).join('\n') + (await response.text());

describe('nowhere does a caller read', () => {
  it.each<[what: string, behaviour: BehaviourInput]>([
    ['a server error', status(500, `Traceback at 10.1.2.3:8000, Authorization: Bearer ${key}`)],
    ['a refused key', status(401, `Incorrect API key provided: ${key}`)],
    ['a redirect', {do: 'status', status: 307, headers: {location: 'http://10.1.2.3:8000/internal'}}],
    ['a reset', {do: 'reset'}],
    ['a web page', {do: 'status', status: 502, body: '<html>10.1.2.3</html>', headers: {'content-type': 'text/html'}}],
    ['an error inside a 200', {do: 'status', status: 200, body: {error: {message: `10.1.2.3 ${key}`}}}],
  ])('an address, a URL or a key of a backend: %s', async (_, behaviour) => {
    const {proxy, upstreams} = await startFailing(behaviour, behaviour);
    for (const fields of [{}, {stream: true}]) {
      const text = await seen(await post(proxy.url, chatBody(fields)));
      expect(text).toContain('local');
      for (const hidden of ['10.1.2.3', '127.0.0.1', '://', key, ...upstreams.map(({port}) => String(port))]) {
        expect(text).not.toContain(hidden);
      }
    }
  });

  it('an address of one that cannot be reached', async () => {
    const gone = await startUpstream();
    await gone.close();
    const proxy = await keep(startHarness({routes: {backends: [{name: 'local', url: gone.url}]}}));
    const response = await post(proxy.url, chatBody());
    expect(response.status).toBe(502);
    const text = await seen(response);
    expect(text).toContain('local could not be connected to');
    expect(text).not.toContain(String(gone.port));
    expect(text).not.toContain('127.0.0.1');
    await until(() => proxy.requests().length === 1, 'the log line');
    expect(JSON.stringify(proxy.requests()[0])).toContain(`:${gone.port}`); // the operator of the gateway has to know
  });
});

describe('a key that a backend quotes', () => {
  it.each([
    ['short', `Incorrect API key provided: ${key}.`],
    ['at the end of a long story', `${'x'.repeat(285)} ${key}`],
  ])('is in no log and not on the admin port: %s', async (_, message) => {
    const {proxy} = await startFailing(status(401, message), status(401, message));
    await post(proxy.url, chatBody());
    await until(() => proxy.requests().length === 1, 'the log line');
    const {lastError} = await liveView(proxy, 'local');
    expect(lastError?.message).toContain('answered 401');
    for (const text of [JSON.stringify(proxy.log), JSON.stringify(lastError)])
      expect(text).not.toContain(key.slice(0, 8));
  });
});

describe('a stream that is cut after content', () => {
  const expectCut = async (proxy: Harness): Promise<void> => {
    const events = await readEvents(await post(proxy.url, chatBody({stream: true})));
    const error = lastError(events);
    expect(error).toMatchObject({code: 'stream_cut', backend: 'local', attempts: 1});
    expect(events.filter((event) => event.includes('"error"'))).toHaveLength(1);
    expect(events).not.toContain('[DONE]');
    expect(events.some((event) => event.includes('"finish_reason":"'))).toBe(false);
  };

  it.each<[how: string, behaviour: BehaviourInput]>([
    ['by a closed connection', {do: 'cut', afterTokens: 2}],
    ['gracefully', {do: 'cut', afterTokens: 2, graceful: true}],
    ['by a reset', {do: 'reset', where: 'AfterTokens', tokens: 2}],
    ['by an error event', {do: 'errorEvent', afterTokens: 2}],
    ['by an error event with [DONE] behind it', {do: 'errorEvent', afterTokens: 2, done: true}],
  ])('%s ends in one error event, and no other backend is asked', async (_, behaviour) => {
    const {proxy, upstreams} = await startFailing(behaviour, {do: 'answer'});
    await expectCut(proxy);
    expect(upstreams[1]?.requests()).toEqual([]);
  });
});
