/** Multipart forms: one picked endpoint, through http-proxy-middleware, never sent twice. */
import {createServer} from 'node:http';
import {connect, type AddressInfo} from 'node:net';
import {afterEach, describe, expect, it} from '@jest/globals';
import type {Backend, ModelRouteSpec} from '../../operator/api/generated.ts';
import {createFakeClock, type FakeClock} from '../fake-clock.ts';
import {secret} from '../objects.ts';
import {until} from '../until.ts';
import {
  boundary,
  exampleForm,
  fieldPart,
  filePart,
  formOf,
  formType,
  metric,
  postForm,
  startFormBackend,
  transcript,
  type Arrival,
  type FormBackend,
} from './form-backend.ts';
import {keeper, startHarness, type Harness, type Setup} from './harness.ts';
import {errorIn, openRaw, readAnswers, type ErrorAnswer} from './raw-caller.ts';
import {fillUp} from './streams.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

type World = {backend: FormBackend; proxy: Harness};

async function setUp(
  answer: (arrival: Arrival) => void = transcript,
  route: Partial<ModelRouteSpec> = {},
  extra: Partial<Setup> = {},
): Promise<World> {
  const backend = await keep(startFormBackend(answer));
  const routes = {backends: [{name: 'local', url: backend.url}], ...route};
  return {backend, proxy: await keep(startHarness({routes, ...extra}))};
}

type Told = {status: number; error: ErrorAnswer['error']; headers: Headers};

async function told(answering: Promise<Response>): Promise<Told> {
  const response = await answering;
  return {
    status: response.status,
    headers: response.headers,
    error: ((await response.json()) as ErrorAnswer).error,
  };
}

/** Where nobody listens any more. */
const closedUrl = (): Promise<string> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const {port} = server.address() as AddressInfo;
      server.close(() => resolve(`http://127.0.0.1:${port}/v1`));
    });
  });

const head = (headers: string): string =>
  `POST /v1/audio/transcriptions HTTP/1.1\r\nhost: models\r\ncontent-type: ${formType}\r\n${headers}\r\n`;

const isIdle = async ({admin}: Harness): Promise<boolean> =>
  (await metric(admin, 'modelroute_buffered_bytes')) === 0 &&
  (await metric(admin, 'modelroute_requests_in_flight')) === 0;

describe('a form', () => {
  it.each(['/audio/transcriptions', '/audio/translations', '/images/edits', '/images/variations'])(
    'to %s comes to its backend byte for byte, model behind the file or not',
    async (path) => {
      const {backend, proxy} = await setUp();
      for (const form of [exampleForm(), formOf(fieldPart('model', 'chat'), filePart)]) {
        const answer = await postForm(proxy.url, form, {path});
        expect(answer.status).toBe(200);
        expect(await answer.json()).toEqual({text: 'Hello.'});
        const {body, headers, method, url} = backend.arrivals.at(-1)!;
        expect({body, method, url}).toEqual({body: form, method: 'POST', url: `/v1${path}`});
        expect(headers).toMatchObject({'content-type': formType, 'content-length': String(form.length)});
      }
    },
  );

  it('has its model rewritten, and nothing else', async () => {
    const backend = await keep(startFormBackend(transcript));
    const backends = [{name: 'local', url: `${backend.url}/openai/`, model: 'größer/whisper-1'}];
    const proxy = await keep(startHarness({routes: {backends}}));
    await postForm(proxy.url, exampleForm('chat', fieldPart('language', 'de')));
    const {body, url} = backend.arrivals[0]!;
    const name = Buffer.from('größer/whisper-1').toString('latin1');
    expect(body).toBe(exampleForm(name, fieldPart('language', 'de')));
    expect(url).toBe('/v1/openai/audio/transcriptions');
  });

  it('takes the credential of its backend along, and none of its caller', async () => {
    const backend = await keep(startFormBackend(transcript));
    const auth = {secretRef: {name: 'openai'}};
    const routes = {backends: [{name: 'local', url: backend.url, auth}]};
    const proxy = await keep(startHarness({routes, secrets: [secret()]}));
    await postForm(proxy.url, exampleForm(), {
      headers: {
        authorization: 'Bearer sk-caller',
        cookie: 'session=1',
        'x-api-key': 'sk-caller',
        'x-forwarded-for': '10.0.0.1',
        'openai-organization': 'org-caller',
        'openai-beta': 'x=1',
        'x-request-id': 'mine',
      },
    });
    const {headers} = backend.arrivals[0]!;
    expect(Object.keys(headers).sort()).toEqual(
      ['accept', 'accept-encoding', 'authorization', 'connection', 'content-length', 'content-type', 'host', 'openai-beta', 'traceparent', 'x-request-id'], // prettier-ignore
    );
    expect(headers).toMatchObject({
      authorization: 'Bearer sk-1',
      host: new URL(backend.url).host,
      'accept-encoding': 'identity',
      'openai-beta': 'x=1',
      'x-request-id': 'mine',
    });
  });

  it('is answered as its backend answers, whatever that is, with where it came from', async () => {
    const {proxy} = await setUp(({response}) =>
      response
        .writeHead(201, {
          'content-type': 'text/vtt',
          'content-length': 6,
          'openai-processing-ms': '7',
          'set-cookie': 'a=b',
          server: 'whisper',
          'x-request-id': 'theirs',
        })
        .end('WEBVTT'),
    );
    const answer = await postForm(proxy.url, exampleForm(), {headers: {'x-request-id': 'mine'}});
    expect({status: answer.status, body: await answer.text()}).toEqual({status: 201, body: 'WEBVTT'});
    expect(Object.fromEntries(answer.headers)).toEqual({
      connection: 'keep-alive',
      'content-length': '6',
      'content-type': 'text/vtt',
      date: expect.any(String),
      'keep-alive': expect.any(String),
      'openai-processing-ms': '7',
      'x-modelroute-attempts': '1',
      'x-modelroute-backend': 'local',
      'x-modelroute-route': 'team-a/chat',
      'x-request-id': 'mine',
    });
  });

  it('leaves one line in the log, and is counted', async () => {
    const {backend, proxy} = await setUp();
    await (await postForm(proxy.url, exampleForm())).text();
    await until(() => proxy.requests().length === 1, 'the line');
    expect(proxy.requests()[0]).toMatchObject({
      route: 'team-a/chat',
      model: 'chat',
      api: 'transcription',
      backend: 'local',
      endpoint: new URL(backend.url).host,
      status: 200,
      attempts: 1,
      streamed: false,
    });
    expect(proxy.requests()[0]).not.toHaveProperty('error');
    expect(await (await fetch(`${proxy.admin}/metrics`)).text()).toMatch(
      /modelroute_requests_total\{route="team-a\/chat",api="transcription",status="200"\} 1/,
    );
    await until(() => isIdle(proxy), 'memory to be given back');
  });

  const event = (type: string, fields: object = {}): string => `data: ${JSON.stringify({type, ...fields})}\n\n`;

  it('that asks for a stream gets every event at once', async () => {
    const [one, two, end] = [
      event('transcript.text.delta', {delta: 'Hel'}),
      event('transcript.text.delta', {delta: 'lo'}),
      event('transcript.text.done', {text: 'Hello'}),
    ];
    const {backend, proxy} = await setUp(({response}) => {
      response.writeHead(200, {'content-type': 'text/event-stream'});
      response.write(one);
    });
    const answer = await postForm(proxy.url, exampleForm('chat', fieldPart('stream', 'true')));
    const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
    expect((await reader.read()).value).toBe(one);
    const {response} = backend.arrivals[0]!;
    response.write(two);
    expect((await reader.read()).value).toBe(two);
    response.end(end);
    expect((await reader.read()).value).toBe(end);
    expect((await reader.read()).done).toBe(true);
    await until(() => proxy.requests().length === 1, 'the line');
    expect(proxy.requests()[0]).toMatchObject({streamed: true, status: 200, firstTokenMs: expect.any(Number)});
  });

  it('that asks for a stream which ends too soon ends in an error event', async () => {
    const {proxy} = await setUp(({response}) => {
      response.writeHead(200, {'content-type': 'text/event-stream'});
      response.end(event('transcript.text.delta', {delta: 'Hel'}));
    });
    const answer = await postForm(proxy.url, exampleForm('chat', fieldPart('stream', 'true')));
    expect(await answer.text()).toMatch(/"delta":"Hel".*"code":"stream_cut"/s);
  });

  it('that asks for a stream passes what a backend answers that knows none', async () => {
    const {proxy} = await setUp(({response}) => {
      response.writeHead(200, {'content-type': 'application/json'});
      response.end('{"text": "Hello"}');
    });
    const answer = await postForm(proxy.url, exampleForm('chat', fieldPart('stream', 'true')));
    expect(await answer.text()).toBe('{"text": "Hello"}');
  });

  it('is told to go on only once it is wanted', async () => {
    const {proxy} = await setUp();
    const form = exampleForm();
    const caller = await keep(openRaw(proxy.port));
    caller.write(head(`expect: 100-continue\r\ncontent-length: ${form.length}\r\n`));
    await until(() => caller.received() === 'HTTP/1.1 100 Continue\r\n\r\n', 'the 100');
    caller.write(Buffer.from(form, 'latin1'));
    await until(() => caller.received().includes('Hello.'), 'the answer');
  });

  it('is answered with connection: close while the proxy drains', async () => {
    const {backend, proxy} = await setUp(() => {});
    const answering = postForm(proxy.url, exampleForm());
    const {response} = await backend.arrival(1);
    const drained = proxy.proxy.drain();
    response.end('{}');
    const answer = await answering;
    expect(answer.headers.get('connection')).toBe('close');
    expect(await answer.text()).toBe('{}');
    await drained;
  });
});

describe('a form that cannot be carried', () => {
  const whole = exampleForm();
  const cases: [string, string, Record<string, string>, object][] = [
    ['without model', formOf(filePart), {}, {status: 400, code: 'missing_model', param: 'model'}],
    ['with two models', formOf(fieldPart('model', 'chat'), filePart, fieldPart('model', 'chat')), {}, {status: 400, code: 'invalid_form', param: 'model'}], // prettier-ignore
    ['with an empty model', exampleForm(''), {}, {status: 400, code: 'invalid_value', param: 'model'}],
    ['to an unknown model', exampleForm('chta'), {}, {status: 404, code: 'model_not_found', param: 'model'}],
    [
      'with a broken boundary',
      whole.replaceAll(boundary, 'other'),
      {},
      {status: 400, code: 'invalid_form', param: null},
    ],
    [
      'with a boundary that goes on',
      whole.replace(boundary, `${boundary}X`),
      {},
      {status: 400, code: 'invalid_form', param: null},
    ],
    ['cut in the middle', whole.slice(0, whole.length / 2), {}, {status: 400, code: 'invalid_form', param: null}],
    ['without its closing boundary', whole.slice(0, -4), {}, {status: 400, code: 'invalid_form', param: null}],
    ['that is empty', '', {}, {status: 400, code: 'invalid_form', param: null}],
    [
      'of another type',
      whole,
      {'content-type': 'application/json'},
      {status: 415, code: 'unsupported_media_type', param: null},
    ],
    [
      'without a boundary',
      whole,
      {'content-type': 'multipart/form-data'},
      {status: 415, code: 'unsupported_media_type', param: null},
    ],
    [
      'that is compressed',
      whole,
      {'content-encoding': 'gzip'},
      {status: 415, code: 'unsupported_media_type', param: null},
    ],
  ];

  it.each(cases)('%s is refused, and reaches no backend', async (_, form, headers, expected) => {
    const {backend, proxy} = await setUp();
    const answer = await told(postForm(proxy.url, form, {headers}));
    expect({status: answer.status, code: answer.error.code, param: answer.error.param}).toEqual(expected);
    expect(answer.headers.get('x-request-id')).toMatch(/./);
    expect(backend.arrivals).toHaveLength(0);
    await until(() => isIdle(proxy), 'memory to be given back');
  });

  it('of no form is told what would be one', async () => {
    const {proxy} = await setUp();
    const {error} = await told(postForm(proxy.url, whole, {headers: {'content-type': 'text/plain'}}));
    expect(error.message).toContain('multipart/form-data; boundary=');
  });

  it('is refused by its method', async () => {
    const {proxy} = await setUp();
    const {status, error} = await told(fetch(`${proxy.url}/v1/images/edits`));
    expect({status, code: error.code}).toEqual({status: 405, code: 'method_not_allowed'});
  });

  it('because no backend of its route speaks the API, is told so', async () => {
    const backend = await keep(startFormBackend(transcript));
    const backends: Backend[] = [{name: 'claude', url: backend.url, api: 'Anthropic'}];
    const proxy = await keep(startHarness({routes: {backends}}));
    const {status, error} = await told(postForm(proxy.url, whole));
    expect({status, code: error.code}).toEqual({status: 404, code: 'api_not_supported'});
  });
});

describe('a form that is too large', () => {
  const limited = (limits: object): Promise<World> => setUp(transcript, {}, {gateway: {limits}});

  it('of 1 GB is refused at once, before its body comes', async () => {
    const {backend, proxy} = await limited({});
    const caller = await keep(openRaw(proxy.port));
    caller.write(head(`content-length: ${1024 ** 3}\r\n`));
    await until(() => caller.received().endsWith('}'), 'the answer');
    const [answer] = readAnswers(caller.received());
    expect({status: answer!.status, code: errorIn(answer!).code}).toEqual({status: 413, code: 'body_too_large'});
    expect(backend.arrivals).toHaveLength(0);
  });

  it('in chunks is refused as soon as it passes the limit, and what it held is given back', async () => {
    const {proxy} = await limited({maxBodyBytes: '64Ki'});
    const caller = await keep(openRaw(proxy.port));
    caller.write(head('transfer-encoding: chunked\r\n'));
    const chunk = `8000\r\n${'x'.repeat(0x8000)}\r\n`;
    caller.write(chunk);
    await until(async () => (await metric(proxy.admin, 'modelroute_buffered_bytes')) === 0x8000, 'it to be held');
    caller.write(chunk + chunk);
    await until(() => caller.received().endsWith('}'), 'the answer');
    expect(errorIn(readAnswers(caller.received())[0]!).code).toBe('body_too_large');
    await until(() => isIdle(proxy), 'memory to be given back');
  });

  it('for what is left of the memory of all is refused, until there is room again', async () => {
    const {proxy} = await limited({maxBufferedBytes: '1Ki'});
    const caller = await keep(openRaw(proxy.port));
    caller.write(`${head('content-length: 2000\r\n')}${'x'.repeat(900)}`);
    await until(async () => (await metric(proxy.admin, 'modelroute_buffered_bytes')) === 900, 'the first to be held');
    const {status, error} = await told(postForm(proxy.url, exampleForm()));
    expect({status, code: error.code}).toEqual({status: 503, code: 'overloaded'});
    await caller.close();
    await until(() => isIdle(proxy), 'memory to be given back');
    expect((await postForm(proxy.url, exampleForm())).status).toBe(200);
  });
});

describe('a form whose backend', () => {
  it('cannot be connected to goes to the next one, and counts against the first', async () => {
    const second = await keep(startFormBackend(transcript));
    const backends = [
      {name: 'gone', url: await closedUrl()},
      {name: 'second', url: second.url, priority: 1},
    ];
    const proxy = await keep(startHarness({routes: {backends, circuitBreaker: {consecutiveFailures: 2}}}));
    for (let times = 0; times < 2; times += 1) {
      const answer = await postForm(proxy.url, exampleForm());
      expect(answer.status).toBe(200);
      expect(answer.headers.get('x-modelroute-backend')).toBe('second');
      expect(answer.headers.get('x-modelroute-attempts')).toBe('2');
      await answer.text();
    }
    const third = await postForm(proxy.url, exampleForm());
    expect(third.headers.get('x-modelroute-attempts')).toBe('1'); // the breaker of the first is open
    expect(second.arrivals).toHaveLength(3);
  });

  it('cannot be connected to, nor any other, is told so', async () => {
    const proxy = await keep(startHarness({routes: {backends: [{name: 'gone', url: await closedUrl()}]}}));
    const {status, error, headers} = await told(postForm(proxy.url, exampleForm()));
    expect({status, code: error.code}).toEqual({status: 502, code: 'backend_connect_failed'});
    expect(error.message).not.toContain('127.0.0.1');
    expect(headers.get('x-modelroute-attempts')).toBe('1');
  });

  it.each<[string, (response: Arrival['response']) => void, number, string]>([
    ['answers 500', (response) => response.writeHead(500).end('{}'), 502, 'backend_error'],
    ['answers 503', (response) => response.writeHead(503).end(), 502, 'backend_error'],
    ['answers 429', (response) => response.writeHead(429, {'retry-after': '7'}).end(), 429, 'backend_rate_limited'],
    ['answers 408', (response) => response.writeHead(408).end(), 504, 'backend_timeout'],
    ['answers 401', (response) => response.writeHead(401).end(), 502, 'backend_refused'],
    ['answers 403', (response) => response.writeHead(403).end(), 502, 'backend_refused'],
    ['redirects', (response) => response.writeHead(307, {location: '/'}).end(), 502, 'backend_malformed_reply'],
    ['resets', (response) => response.socket!.resetAndDestroy(), 502, 'backend_reset'],
    ['closes', (response) => response.socket!.destroy(), 502, 'backend_reset'],
    ['talks nonsense', (response) => response.socket!.end('nonsense\r\n\r\n'), 502, 'backend_malformed_reply'],
    ['compresses', (response) => response.writeHead(200, {'content-encoding': 'gzip'}).end('x'), 502, 'backend_malformed_reply'], // prettier-ignore
    ['cuts its refusal', (response) => response.writeHead(400, {'content-length': 9}).end('{', () => response.socket!.destroy()), 502, 'backend_reset'], // prettier-ignore
  ])('%s is not asked again, nor is another, and that counts against it', async (_, misbehave, status, code) => {
    const {backend, proxy} = await setUp(({response}) => misbehave(response), {
      circuitBreaker: {consecutiveFailures: 2},
    });
    const other = await keep(startFormBackend(transcript));
    const backends = [
      {name: 'local', url: backend.url},
      {name: 'other', url: other.url, priority: 1},
    ];
    proxy.update({routes: {backends, circuitBreaker: {consecutiveFailures: 1}}});
    const answer = await told(postForm(proxy.url, exampleForm()));
    expect({status: answer.status, code: answer.error.code}).toEqual({status, code});
    expect(answer.headers.get('x-modelroute-backend')).toBe('local');
    if (status === 429) expect(answer.headers.get('retry-after')).toBe('7');
    expect([backend.arrivals.length, other.arrivals.length]).toEqual([1, 0]);
    expect((await postForm(proxy.url, exampleForm())).headers.get('x-modelroute-backend')).toBe('other');
    await until(() => isIdle(proxy), 'memory to be given back');
  });

  it.each([
    ['400', {error: {message: 'no speech in it', type: 'invalid_request_error', param: 'file', code: null}}],
    ['404', {detail: 'Not Found'}],
    ['413', {error: {message: 'too large', type: 'invalid_request_error', param: null, code: null}}],
    ['422', {detail: 'unprocessable'}],
  ])('answers %s is repeated word for word, and that counts against nobody', async (status, body) => {
    const {proxy} = await setUp(
      ({response}) =>
        void response
          .writeHead(Number(status), {'content-type': 'application/json', 'www-authenticate': 'x'})
          .end(JSON.stringify(body)),
      {circuitBreaker: {consecutiveFailures: 1}},
    );
    for (let times = 0; times < 3; times += 1) {
      const answer = await postForm(proxy.url, exampleForm());
      expect(answer.status).toBe(Number(status));
      expect(answer.headers.get('www-authenticate')).toBeNull();
      expect(answer.headers.get('x-modelroute-backend')).toBe('local');
      expect(await answer.json()).toEqual(body);
    }
    await until(() => proxy.requests().length === 3, 'the lines');
    expect(proxy.requests()[2]).toMatchObject({error: 'upstream_refused', status: Number(status)});
  });

  it.each<[string, (response: Arrival['response']) => void]>([
    ['of a known length', (response) => response.writeHead(200, {'content-length': 100}).write('{"text":')],
    ['in chunks', (response) => response.writeHead(200, {'content-type': 'text/event-stream'}).write('data: 1\n\n')],
  ])('cuts an answer %s: the connection ends without a proper end, and that counts against it', async (_, begin) => {
    const {backend, proxy} = await setUp(({response}) => begin(response), {circuitBreaker: {consecutiveFailures: 1}});
    const form = exampleForm();
    const caller = await keep(openRaw(proxy.port));
    caller.write(Buffer.from(`${head(`content-length: ${form.length}\r\n`)}${form}`, 'latin1'));
    await until(() => /text|data/.test(caller.received()), 'the beginning');
    backend.arrivals[0]!.response.socket!.resetAndDestroy();
    await caller.closed();
    const [answer] = readAnswers(caller.received());
    expect(answer).toMatchObject({status: 200, whole: false});
    await until(() => proxy.requests().length === 1, 'the line');
    expect(proxy.requests()[0]).toMatchObject({error: 'stream_cut', status: 200});
    const backends = (await (await fetch(`${proxy.admin}/backends`)).json()) as {routes: {backends: object[]}[]};
    expect(backends.routes[0]!.backends[0]).toMatchObject({breaker: 'Open', inFlight: 0});
  });

  it('refuses it before it has read it, is heard all the same', async () => {
    const body = '{"error":{"message":"too large"}}';
    const server = createServer((_request, response) => response.writeHead(413).end(body));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    await keep(Promise.resolve({close: () => new Promise<void>((closed) => server.close(() => closed()))}));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
    const proxy = await keep(startHarness({routes: {backends: [{name: 'local', url}]}}));
    const answer = await postForm(proxy.url, exampleForm('chat', fieldPart('prompt', 'x'.repeat(10_000_000))));
    expect({status: answer.status, body: await answer.text()}).toEqual({status: 413, body});
    await until(() => isIdle(proxy), 'memory to be given back');
  });

  it('is full is passed over while a form is on its way', async () => {
    const {backend} = await setUp(() => {});
    const other = await keep(startFormBackend(transcript));
    const backends = [
      {name: 'local', url: backend.url, maxConcurrentRequests: 1},
      {name: 'other', url: other.url, priority: 1},
    ];
    const proxy = await keep(startHarness({routes: {backends}}));
    const first = postForm(proxy.url, exampleForm());
    const {response} = await backend.arrival(1);
    expect(await metric(proxy.admin, 'modelroute_requests_in_flight')).toBe(1);
    const second = await postForm(proxy.url, exampleForm());
    expect(second.headers.get('x-modelroute-backend')).toBe('other');
    response.end('{}');
    expect((await first).headers.get('x-modelroute-backend')).toBe('local');
  });
});

describe('the time of a form', () => {
  const timeouts = {connect: '1s', firstToken: '10s', tokenIdle: '5s', request: '1m'};
  type Timed = World & {clock: FakeClock};

  const timed = async (answer: (arrival: Arrival) => void = () => {}): Promise<Timed> => {
    const clock = createFakeClock();
    return {...(await setUp(answer, {timeouts}, {clock})), clock};
  };

  it('to connect is limited', async () => {
    const clock = createFakeClock();
    // An address of TEST-NET-1 (RFC 5737): whatever the network makes of it, nobody answers there.
    const backends = [{name: 'nowhere', url: 'http://192.0.2.1/v1'}];
    const proxy = await keep(startHarness({routes: {backends, timeouts}, clock}));
    const answering = told(postForm(proxy.url, exampleForm()));
    await until(async () => (await metric(proxy.admin, 'modelroute_requests_in_flight')) === 1, 'it to be tried');
    await clock.advance(1_000);
    const {status, error} = await answering;
    expect({status, code: error.code}).toEqual({status: 502, code: 'backend_connect_failed'});
  });

  it('until a stream begins is limited', async () => {
    const {backend, proxy, clock} = await timed();
    const answering = told(postForm(proxy.url, exampleForm('chat', fieldPart('stream', 'true'))));
    const arrival = await backend.arrival(1);
    await clock.advance(10_000);
    const {status, error} = await answering;
    expect({status, code: error.code}).toEqual({status: 504, code: 'backend_timeout'});
    await until(arrival.isGone, 'the backend to be left');
  });

  it('is as long as the whole request where the answer comes at once', async () => {
    const {backend, proxy, clock} = await timed();
    const answering = told(postForm(proxy.url, exampleForm()));
    const arrival = await backend.arrival(1);
    await clock.advance(59_000);
    expect(arrival.isGone()).toBe(false);
    await clock.advance(1_000);
    const {status, error} = await answering;
    expect({status, code: error.code}).toEqual({status: 504, code: 'deadline_exceeded'});
    await until(arrival.isGone, 'the backend to be left');
  });

  it('between two bytes of an answer is limited', async () => {
    const {backend, proxy, clock} = await timed(({response}) => response.writeHead(200).write('{"te'));
    const answer = await postForm(proxy.url, exampleForm());
    await backend.arrival(1);
    await clock.advance(5_000);
    await expect(answer.text()).rejects.toThrow();
    await until(backend.arrivals[0]!.isGone, 'the backend to be left');
    await until(() => proxy.requests().length === 1, 'the line');
    expect(proxy.requests()[0]).toMatchObject({error: 'stream_cut'});
  });
});

describe('a caller who leaves', () => {
  const backends = async (proxy: Harness): Promise<object> =>
    ((await (await fetch(`${proxy.admin}/backends`)).json()) as {routes: {backends: object[]}[]}).routes[0]!
      .backends[0]!;

  async function expectNoTrace({backend, proxy}: World): Promise<void> {
    await until(backend.arrivals[0]!.isGone, 'the backend to be left');
    await until(() => isIdle(proxy), 'memory to be given back');
    await until(() => proxy.requests().length === 1, 'the line');
    expect(proxy.requests()[0]).toMatchObject({error: 'caller_gone'});
    expect(await backends(proxy)).toMatchObject({breaker: 'Closed', inFlight: 0, lastError: null});
  }

  it('before the answer ends what the backend does, and counts against nobody', async () => {
    const world = await setUp(() => {}, {circuitBreaker: {consecutiveFailures: 1}});
    const leaving = new AbortController();
    const answering = postForm(world.proxy.url, exampleForm(), {signal: leaving.signal});
    await world.backend.arrival(1);
    leaving.abort();
    await expect(answering).rejects.toThrow();
    await expectNoTrace(world);
  });

  it('within the answer ends what the backend does, and counts against nobody', async () => {
    const world = await setUp(({response}) => response.writeHead(200).write('{"te'), {
      circuitBreaker: {consecutiveFailures: 1},
    });
    const leaving = new AbortController();
    const answer = await postForm(world.proxy.url, exampleForm(), {signal: leaving.signal});
    leaving.abort();
    await expect(answer.text()).rejects.toThrow();
    await expectNoTrace(world);
  });

  it('within his form leaves nothing behind', async () => {
    const {backend, proxy} = await setUp();
    const caller = await keep(openRaw(proxy.port));
    caller.write(`${head('content-length: 100000\r\n')}${exampleForm().slice(0, 300)}`);
    await until(async () => (await metric(proxy.admin, 'modelroute_buffered_bytes')) > 0, 'it to be held');
    await caller.close();
    await until(() => isIdle(proxy), 'memory to be given back');
    expect(backend.arrivals).toHaveLength(0);
    await until(() => proxy.requests().length === 1, 'the line');
    expect(proxy.requests()[0]).toMatchObject({error: 'caller_gone', status: 499});
  });

  it('and does not read does not make the proxy hold his answer', async () => {
    const {backend, proxy} = await setUp(({response}) => void response.writeHead(200));
    const socket = connect(proxy.port, '127.0.0.1');
    const form = exampleForm();
    socket.pause();
    socket.write(Buffer.from(`${head(`content-length: ${form.length}\r\n`)}${form}`, 'latin1'));
    const {response} = await backend.arrival(1);
    const sent = await fillUp(response);
    socket.resume();
    let received = 0;
    socket.on('data', (chunk) => (received += chunk.length));
    response.end();
    await until(() => received > sent, 'all of it');
    socket.destroy();
  });
});
