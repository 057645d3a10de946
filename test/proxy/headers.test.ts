import {afterAll, beforeAll, beforeEach, describe, expect, it} from '@jest/globals';
import type {RecordedRequest, Simulator} from '../../simulator/index.ts';
import {secret} from '../objects.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, startUpstream, type Harness} from './harness.ts';
import {openRaw, rawPost, readAnswers, type RawAnswer} from './raw-caller.ts';

const {keep, closeAll} = keeper();
let upstream: Simulator;
let proxy: Harness;

beforeAll(async () => {
  upstream = await keep(startUpstream());
  const auth = {secretRef: {name: 'openai'}};
  proxy = await keep(
    startHarness({
      routes: {
        chat: {backends: [{name: 'local', url: upstream.url, auth}]},
        keyed: {
          backends: [
            {name: 'keyed', url: upstream.url, model: 'chat', auth: {...auth, type: 'Header', headerName: 'X-Api-Key'}},
          ],
        },
        open: {backends: [{name: 'open', url: upstream.url, model: 'chat'}]},
      },
      secrets: [secret({values: {apiKey: 'sk-of-the-gateway'}})],
    }),
  );
});
beforeEach(() => upstream.reset());
afterAll(closeAll);

const lastRequest = (): RecordedRequest => {
  const last = upstream.requests().at(-1);
  if (last === undefined) throw new Error('the backend was not asked');
  return last;
};

const uuid = /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[\da-f]{4}-[\da-f]{12}$/;

/** The answer to raw headers, which may be such as no client would send. */
async function answerTo(headers: string, body = chatBody()): Promise<RawAnswer> {
  const caller = await openRaw(proxy.port);
  try {
    caller.write(rawPost(body, headers));
    await until(() => readAnswers(caller.received()).some(({whole}) => whole), 'the answer');
    return readAnswers(caller.received())[0]!;
  } finally {
    await caller.close();
  }
}

describe('headers to the backend', () => {
  it('are those that a model server may need, ours, and no others', async () => {
    const passed = {
      accept: 'application/json',
      'openai-beta': 'x=1',
      'idempotency-key': 'k-1',
      'anthropic-version': '2023-06-01',
      'anthropic-beta': 'b',
    };
    const kept = {
      authorization: 'Bearer sk-of-the-caller',
      'proxy-authorization': 'Basic sk-of-the-caller',
      cookie: 'session=sk-of-the-caller',
      'x-api-key': 'sk-of-the-caller',
      'api-key': 'sk-of-the-caller',
      'openai-organization': 'org-of-the-caller',
      'openai-project': 'project-of-the-caller',
      'x-forwarded-for': '1.2.3.4',
      'x-forwarded-host': 'evil.example',
      'x-forwarded-proto': 'https',
      'x-real-ip': '1.2.3.4',
      forwarded: 'for=1.2.3.4',
      via: '1.1 other',
      'x-modelroute-backend': 'mine',
      'x-modelroute-attempts': '7',
      'x-envoy-retry-on': '5xx',
      'x-simulate': '{"do": "status", "status": 500}',
      'user-agent': 'caller/1',
      referer: 'http://caller.example',
      origin: 'http://caller.example',
      baggage: 'user=alice',
      te: 'trailers',
      'keep-alive': 'timeout=1',
      'accept-encoding': 'gzip, br',
      'content-language': 'en',
    };
    const lines = Object.entries({...passed, ...kept}).map(([name, value]) => `${name}: ${value}\r\n`);
    expect((await answerTo(lines.join(''))).status).toBe(200);
    const {headers} = lastRequest();
    expect(headers).toEqual({
      ...passed,
      host: `127.0.0.1:${upstream.port}`,
      connection: 'keep-alive',
      authorization: 'Bearer sk-of-the-gateway',
      'content-type': 'application/json',
      'content-length': String(chatBody().length),
      'accept-encoding': 'identity',
      'x-request-id': expect.stringMatching(uuid),
      traceparent: expect.stringMatching(/^00-[\da-f]{32}-[\da-f]{16}-00$/),
    });
    expect(lastRequest().rawHeaders.filter((name) => name.toLowerCase() === 'content-type')).toHaveLength(1);
  });

  it('leave out what the caller declares to be of his connection only', async () => {
    await answerTo(
      'connection: keep-alive, Idempotency-Key, authorization\r\nidempotency-key: k-1\r\nopenai-beta: x=1\r\n',
    );
    expect(lastRequest().headers['idempotency-key']).toBeUndefined();
    expect(lastRequest().headers).toMatchObject({'openai-beta': 'x=1', authorization: 'Bearer sk-of-the-gateway'});
  });

  it('carry the credential where the backend wants it', async () => {
    await post(proxy.url, chatBody({model: 'keyed'}), {
      headers: {'x-api-key': 'sk-of-the-caller', authorization: 'Bearer x'},
    });
    expect(lastRequest().headers['x-api-key']).toBe('sk-of-the-gateway');
    expect(lastRequest().headers['authorization']).toBeUndefined();
  });

  it('carry no credential, the caller’s least of all, to a backend without one', async () => {
    await post(proxy.url, chatBody({model: 'open'}), {
      headers: {'x-api-key': 'sk-of-the-caller', authorization: 'Bearer x'},
    });
    expect(lastRequest().headers['x-api-key']).toBeUndefined();
    expect(lastRequest().headers['authorization']).toBeUndefined();
  });
});

describe('headers of the answer', () => {
  it('are the backend’s without those of its connection, its account or its host', async () => {
    upstream.behave({
      do: 'status',
      status: 422,
      headers: {
        connection: 'keep-alive, x-hop',
        'x-hop': '1',
        'keep-alive': 'timeout=1',
        'proxy-authenticate': 'Basic',
        'set-cookie': ['a=1', 'b=2'],
        server: 'uvicorn',
        via: '1.1 inner',
        location: 'http://10.0.0.1/',
        'openai-organization': 'org-of-the-gateway',
        'x-request-id': 'req-of-the-backend',
        'x-modelroute-backend': 'forged',
        'x-modelroute-route': 'forged/route',
        'x-powered-by': 'Express',
        'access-control-allow-origin': '*',
        'x-ratelimit-remaining-tokens': '149984',
        'openai-processing-ms': '12',
      },
    });
    const answer = await answerTo('');
    expect(answer.status).toBe(422);
    expect(answer.headers).toEqual({
      'content-type': 'application/json',
      'content-length': String(answer.body.length),
      'x-ratelimit-remaining-tokens': '149984',
      'openai-processing-ms': '12',
      'x-request-id': expect.stringMatching(uuid),
      'x-modelroute-route': 'team-a/chat',
      'x-modelroute-backend': 'local',
      'x-modelroute-attempts': '1',
      date: expect.any(String),
      connection: 'keep-alive',
      'keep-alive': expect.stringMatching(/^timeout=/),
    });
  });

  it('of a backend that puts bytes beyond ASCII into them do no harm', async () => {
    upstream.behave({do: 'status', status: 422, headers: {'x-name': 'Grüße \u00ff'}});
    expect((await answerTo('')).status).toBe(422);
  });
});

const provenance = (response: Response): Record<string, string | null> =>
  Object.fromEntries(
    ['x-request-id', 'x-modelroute-route', 'x-modelroute-backend', 'x-modelroute-attempts'].map((name) => [
      name,
      response.headers.get(name),
    ]),
  );

describe('how an answer came about', () => {
  const from = {'x-modelroute-route': 'team-a/chat', 'x-modelroute-backend': 'local'};
  const id = {'x-request-id': 'id-1'};

  it.each<[string, () => void, object, object]>([
    ['a plain answer', () => {}, {}, {...id, ...from, 'x-modelroute-attempts': '1'}],
    ['a stream', () => {}, {stream: true}, {...id, ...from, 'x-modelroute-attempts': '1'}],
    [
      'a refusal of the backend',
      () => upstream.behave({do: 'status', status: 400}),
      {},
      {...id, ...from, 'x-modelroute-attempts': '1'},
    ],
    [
      'an error after attempts',
      () => upstream.behave({do: 'reset'}),
      {},
      {...id, ...from, 'x-modelroute-attempts': '2'},
    ],
    [
      'a request that no route takes',
      () => {},
      {model: 'nobody'},
      {...id, 'x-modelroute-route': null, 'x-modelroute-backend': null, 'x-modelroute-attempts': null},
    ],
  ])('is said on %s', async (_, arrange, fields, expected) => {
    arrange();
    expect(provenance(await post(proxy.url, chatBody(fields), {headers: id}))).toEqual(expected);
  });

  it('is said on a list of models, and on an error of its path', async () => {
    for (const path of ['/v1/models', '/v1/models/chat', '/v1/models/nobody', '/nowhere']) {
      const response = await fetch(`${proxy.url}${path}`, {headers: id});
      expect(response.headers.get('x-request-id')).toBe('id-1');
    }
  });
});

describe('x-request-id', () => {
  it('of the caller goes upstream, back to him and into the log', async () => {
    const response = await post(proxy.url, chatBody(), {headers: {'x-request-id': 'Caller_1.2:3/4+5=6@7-8'}});
    expect(response.headers.get('x-request-id')).toBe('Caller_1.2:3/4+5=6@7-8');
    expect(lastRequest().headers['x-request-id']).toBe('Caller_1.2:3/4+5=6@7-8');
    await until(() => proxy.requests().at(-1)?.['requestId'] === 'Caller_1.2:3/4+5=6@7-8', 'its log line');
  });

  it.each([
    ['is too long', 'x'.repeat(129)],
    ['is empty', ''],
    ['has spaces in it', 'a b'],
    ['has quotes in it', '"},{"level":"error"'],
    ['has escape codes in it', '\x1b[31mred'],
    ['has bytes beyond ASCII', 'id-\xe9'],
    ['comes twice', 'a\r\nx-request-id: b'],
  ])('that %s is replaced, everywhere by the same', async (_, given) => {
    const answer = await answerTo(`x-request-id: ${given}\r\n`).catch(() => undefined);
    if (answer?.status === 400) return; // no valid HTTP in the first place
    const made = answer?.headers['x-request-id'];
    expect(made).toMatch(uuid);
    expect(lastRequest().headers['x-request-id']).toBe(made);
    await until(() => proxy.requests().some(({requestId}) => requestId === made), 'its log line');
  });

  it('is made anew for each request that has none', async () => {
    const ids = new Set<string | null>();
    for (let count = 0; count < 5; count += 1) ids.add((await post(proxy.url, chatBody())).headers.get('x-request-id'));
    expect(ids.size).toBe(5);
  });
});

describe('traceparent', () => {
  const given = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

  it('of the caller goes upstream with its state, and into the log', async () => {
    await post(proxy.url, chatBody(), {headers: {traceparent: given, tracestate: 'vendor=1'}});
    expect(lastRequest().headers).toMatchObject({traceparent: given, tracestate: 'vendor=1'});
    await until(() => proxy.requests().at(-1)?.['traceId'] === '4bf92f3577b34da6a3ce929d0e0e4736', 'its log line');
  });

  it.each([
    ['no hexadecimal', 'not-a-trace'],
    ['zeros as trace', '00-00000000000000000000000000000000-00f067aa0ba902b7-01'],
    ['zeros as span', '00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01'],
    ['capitals', given.toUpperCase()],
    ['something behind it', `${given}-x`],
  ])('with %s is replaced, and its state is dropped', async (_, value) => {
    await post(proxy.url, chatBody(), {headers: {traceparent: value, tracestate: 'vendor=1'}});
    const {traceparent, tracestate} = lastRequest().headers;
    expect(traceparent).toMatch(/^00-(?!0{32})[\da-f]{32}-(?!0{16})[\da-f]{16}-00$/);
    expect(traceparent).not.toBe(value);
    expect(tracestate).toBeUndefined();
  });
});
