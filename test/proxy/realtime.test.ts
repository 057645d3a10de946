/** WebSockets: one picked endpoint, through http-proxy-middleware. */
import {connect, createServer, type AddressInfo, type Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import {afterEach, describe, expect, it} from '@jest/globals';
import type {ModelRouteSpec} from '../../operator/api/generated.ts';
import {createFakeClock, type FakeClock} from '../fake-clock.ts';
import {secret} from '../objects.ts';
import {until} from '../until.ts';
import {metric} from './form-backend.ts';
import {chatBody, keeper, startHarness, startUpstream, type Harness, type LogLine, type Setup} from './harness.ts';
import {podsBackend, podsOf} from './ladder.ts';
import {openRaw, rawPost, readAnswers, type ErrorAnswer, type RawCaller} from './raw-caller.ts';
import {
  openRealtime,
  rawFrame,
  rawHandshake,
  startRealtimeBackend,
  type Handshake,
  type Opened,
  type RealtimeBackend,
} from './realtime-backend.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

type World = {backend: RealtimeBackend; proxy: Harness};

async function setUp(route: Partial<ModelRouteSpec> = {}, extra: Partial<Setup> = {}): Promise<World> {
  const backend = await keep(startRealtimeBackend());
  const routes = {backends: [{name: 'local', url: backend.url}], ...route};
  return {backend, proxy: await keep(startHarness({routes, ...extra}))};
}

const open = (proxy: Harness, handshake?: Handshake): Promise<Opened> => keep(openRealtime(proxy.port, handshake));

const errorOf = ({body}: Opened): ErrorAnswer['error'] => (JSON.parse(body) as ErrorAnswer).error;

async function logged(proxy: Harness, count = 1): Promise<LogLine> {
  await until(() => proxy.requests().length >= count, `line ${count} of the log`);
  return proxy.requests()[count - 1]!;
}

type BackendView = {name: string; breaker: string; inFlight: number; endpoints: {inFlight: number}[]};

async function backendsOf({admin}: Harness): Promise<BackendView[]> {
  const {routes} = (await (await fetch(`${admin}/backends`)).json()) as {routes: {backends: BackendView[]}[]};
  return routes[0]!.backends;
}

const refuse = (head: string) => (_: unknown, socket: Duplex) =>
  void socket.end(`HTTP/1.1 ${head}\r\ncontent-length: 0\r\n\r\n`);

const closedUrl = (): Promise<string> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const {port} = server.address() as AddressInfo;
      server.close(() => resolve(`http://127.0.0.1:${port}/v1`));
    });
  });

describe('a session', () => {
  it('carries messages both ways, and says where it came from', async () => {
    const {backend, proxy} = await setUp();
    const caller = await open(proxy, {options: {headers: {'x-request-id': 'mine'}}});
    expect(caller.status).toBe(101);
    expect(caller.headers).toMatchObject({
      connection: 'Upgrade',
      upgrade: 'websocket',
      'x-request-id': 'mine',
      'x-modelroute-route': 'team-a/chat',
      'x-modelroute-backend': 'local',
      'x-modelroute-attempts': '1',
    });
    const session = await backend.session(1);
    for (const message of ['hello', 'x'.repeat(300), 'y'.repeat(200_000)]) {
      caller.socket.send(message);
      await session.untilHeard(message);
      session.socket.send(`${message}!`);
      await caller.untilHeard(`${message}!`);
    }
    caller.socket.ping();
    await new Promise((resolve) => caller.socket.once('pong', resolve));
  });

  it('asks for the name that its backend knows the model by, with what its query may say', async () => {
    const backend = await keep(startRealtimeBackend());
    const backends = [{name: 'local', url: `${backend.url}/openai`, model: 'gpt realtime'}];
    const proxy = await keep(startHarness({routes: {backends}}));
    await open(proxy, {query: 'intent=transcription&model=chat&call_id=rtc_1&language=de'});
    expect(backend.handshakes[0]!.url).toBe(
      '/v1/openai/realtime?intent=transcription&model=gpt+realtime&call_id=rtc_1',
    );
  });

  it('takes no credential of the query along, whatever it is called, and none into the log', async () => {
    const {backend, proxy} = await setUp();
    const names = [
      'apikey',
      'api_key',
      'api-key',
      'API_KEY',
      'access_token',
      'token',
      'key',
      'authorization',
      'model[]',
    ];
    const query = names.map((name) => `${encodeURIComponent(name)}=sk-caller`).join('&');
    const caller = await open(proxy, {query: `${query}&model=chat&${query}`});
    expect(caller.status).toBe(101);
    expect(backend.handshakes[0]!.url).toBe('/v1/realtime?model=chat');
    caller.socket.close();
    await logged(proxy);
    expect(JSON.stringify(proxy.log)).not.toContain('sk-caller');
  });

  it('takes the credential of its backend along, and none of its caller', async () => {
    const backend = await keep(startRealtimeBackend());
    const auth = {secretRef: {name: 'openai'}};
    const routes = {backends: [{name: 'local', url: backend.url, auth}]};
    const proxy = await keep(startHarness({routes, secrets: [secret()]}));
    const caller = await open(proxy, {
      protocols: ['realtime', 'openai-insecure-api-key.sk-caller', 'openai-organization.org-caller', 'openai-beta.realtime-v1'], // prettier-ignore
      options: {
        origin: proxy.url,
        headers: {
          authorization: 'Bearer sk-caller',
          cookie: 'session=1',
          'x-forwarded-for': '10.0.0.1',
          'openai-beta': 'realtime=v1',
          'openai-organization': 'org-caller',
        },
      },
    });
    expect(caller.socket.protocol).toBe('realtime');
    const {headers} = backend.handshakes[0]!;
    expect(Object.keys(headers).sort()).toEqual(
      ['authorization', 'connection', 'host', 'openai-beta', 'sec-websocket-key', 'sec-websocket-protocol', 'sec-websocket-version', 'traceparent', 'upgrade', 'x-request-id'], // prettier-ignore
    );
    expect(headers).toMatchObject({
      authorization: 'Bearer sk-1',
      host: new URL(backend.url).host,
      'sec-websocket-protocol': 'realtime,openai-beta.realtime-v1'.replace(',', ', '),
    });
  });

  it('is taken up under `realtime` by a browser too, whose backend knows no subprotocols', async () => {
    const backend = await keep(
      startRealtimeBackend((request, _, accept) => {
        delete request.headers['sec-websocket-protocol'];
        accept();
      }),
    );
    const proxy = await keep(startHarness({routes: {backends: [{name: 'local', url: backend.url}]}}));
    expect((await open(proxy, {protocols: ['realtime']})).socket.protocol).toBe('realtime');
  });

  it('loses nothing of what a caller says too early', async () => {
    const {backend, proxy} = await setUp();
    const caller = await keep(openRaw(proxy.port));
    caller.write(Buffer.concat([Buffer.from(rawHandshake()), rawFrame('early')]));
    await (await backend.session(1)).untilHeard('early');
    caller.write(rawFrame('later'));
    await backend.sessions[0]!.untilHeard('later');
  });

  it('loses nothing of what a backend says with its first byte', async () => {
    const backend = await keep(
      startRealtimeBackend((_, socket) =>
        socket.write(
          'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n' +
            'sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x02hi',
          'latin1',
        ),
      ),
    );
    const proxy = await keep(startHarness({routes: {backends: [{name: 'local', url: backend.url}]}}));
    const caller = await keep(openRaw(proxy.port));
    caller.write(rawHandshake());
    await until(() => caller.received().endsWith('\x81\x02hi'), 'the first frame');
  });

  it('leaves one line in the log when it ends, and is counted', async () => {
    const clock = createFakeClock();
    const {backend, proxy} = await setUp({}, {clock});
    const caller = await open(proxy);
    const session = await backend.session(1);
    expect(await metric(proxy.admin, 'modelroute_requests_in_flight')).toBe(1);
    expect(await backendsOf(proxy)).toMatchObject([{inFlight: 1, endpoints: [{inFlight: 1}]}]);
    await clock.advance(5_000);
    expect(proxy.requests()).toHaveLength(0);
    caller.socket.close(4001, 'done');
    expect(await session.untilClosed()).toEqual({code: 4001, reason: 'done'});
    expect(await caller.untilClosed()).toEqual({code: 4001, reason: 'done'});
    const line = await logged(proxy);
    expect(line).toMatchObject({api: 'realtime', status: 101, route: 'team-a/chat', model: 'chat', backend: 'local', totalMs: 5_000}); // prettier-ignore
    expect(line).not.toHaveProperty('error');
    expect(await (await fetch(`${proxy.admin}/metrics`)).text()).toMatch(
      /modelroute_requests_total\{route="team-a\/chat",api="realtime",status="101"\} 1/,
    );
    await until(async () => (await metric(proxy.admin, 'modelroute_requests_in_flight')) === 0, 'it to be over');
    expect(await backendsOf(proxy)).toMatchObject([{inFlight: 0, breaker: 'Closed', endpoints: [{inFlight: 0}]}]);
    expect(backend.openConnections()).toBe(0);
    expect(clock.pending).toBe(0);
  });

  it('ends as its backend ends it', async () => {
    const {backend, proxy} = await setUp();
    const caller = await open(proxy);
    (await backend.session(1)).socket.close(4000, 'enough');
    expect(await caller.untilClosed()).toEqual({code: 4000, reason: 'enough'});
    expect(await logged(proxy)).not.toHaveProperty('error');
  });

  it('fills its backend: the next one is used', async () => {
    const [first, second] = [await keep(startRealtimeBackend()), await keep(startRealtimeBackend())];
    const backends = [
      {name: 'first', url: first.url, maxConcurrentRequests: 1},
      {name: 'second', url: second.url, priority: 1},
    ];
    const proxy = await keep(startHarness({routes: {backends}}));
    const caller = await open(proxy);
    expect((await open(proxy)).headers['x-modelroute-backend']).toBe('second');
    caller.socket.close();
    await until(async () => (await backendsOf(proxy))[0]!.inFlight === 0, 'the first to be free');
    expect((await open(proxy)).headers['x-modelroute-backend']).toBe('first');
  });

  it('is a connection as limits.maxConnections counts them', async () => {
    const {proxy} = await setUp({}, {gateway: {limits: {maxConnections: 1}}});
    const caller = await open(proxy);
    await expect(openRealtime(proxy.port)).rejects.toThrow(/hang up|ECONNRESET/);
    caller.socket.close();
    await caller.untilClosed();
    await until(
      () =>
        openRealtime(proxy.port).then(
          (next) => (next.socket.terminate(), true),
          () => false,
        ),
      'room for another',
    );
  });
});

describe('a handshake that cannot be carried', () => {
  it.each<[string, Handshake, {status: number; code: string; param: string | null}]>([
    ['without model', {query: ''}, {status: 400, code: 'missing_model', param: 'model'}],
    ['with an empty model', {query: 'model='}, {status: 400, code: 'invalid_value', param: 'model'}],
    ['with two models', {query: 'model=chat&model=chat'}, {status: 400, code: 'invalid_value', param: 'model'}],
    ['to an unknown model', {query: 'model=chta'}, {status: 404, code: 'model_not_found', param: 'model'}],
    ['that offers keys alone', {protocols: ['openai-insecure-api-key.sk-1']}, {status: 400, code: 'invalid_value', param: 'sec-websocket-protocol'}], // prettier-ignore
    ['of an old version', {options: {protocolVersion: 8}}, {status: 426, code: 'upgrade_required', param: null}],
  ])('%s is answered in plain HTTP, and the connection closed', async (_, handshake, expected) => {
    const {backend, proxy} = await setUp();
    const answer = await open(proxy, handshake);
    const error = errorOf(answer);
    expect({status: answer.status, code: error.code, param: error.param}).toEqual(expected);
    expect(answer.headers).toMatchObject({'content-type': 'application/json', 'x-request-id': expect.any(String)});
    expect(answer.headers.connection).toMatch(/close/);
    expect(backend.handshakes).toHaveLength(0);
    expect(await logged(proxy)).toMatchObject({status: expected.status, error: expected.code, api: 'realtime'});
    expect(await metric(proxy.admin, 'modelroute_requests_in_flight')).toBe(0);
  });

  it('because no backend of its route speaks the API, is told so', async () => {
    const {backend} = await setUp();
    const backends = [{name: 'claude', url: backend.url, api: 'Anthropic' as const}];
    const proxy = await keep(startHarness({routes: {backends}}));
    const answer = await open(proxy);
    expect({status: answer.status, code: errorOf(answer).code}).toEqual({status: 404, code: 'api_not_supported'});
  });

  it('while the proxy drains is sent elsewhere', async () => {
    const {proxy} = await setUp({}, {clock: createFakeClock(), drainGraceMs: 5_000});
    void proxy.proxy.drain();
    const answer = await open(proxy);
    expect({status: answer.status, code: errorOf(answer).code}).toEqual({status: 503, code: 'shutting_down'});
    expect(answer.headers['retry-after']).toBe('1');
  });
});

describe('a request that is no handshake', () => {
  it.each([
    ['a length', 'content-length: 1\r\n'],
    ['chunks', 'transfer-encoding: chunked\r\n'],
  ])(
    'because it announces a body, by %s, is told so before that comes, and brings nothing down',
    async (_, headers) => {
      const {backend, proxy} = await setUp();
      const callers = [await keep(openRaw(proxy.port)), await keep(openRaw(proxy.port))];
      for (const caller of callers) {
        caller.write(rawHandshake('/v1/realtime?model=chat', headers));
        await until(() => caller.received().endsWith('}'), 'an answer');
        expect(readAnswers(caller.received())).toMatchObject([{status: 426, headers: {upgrade: 'websocket'}}]);
      }
      callers[0]!.write('0\r\n\r\n');
      for (const caller of callers) await caller.close();
      const hasty = connect(proxy.port, '127.0.0.1');
      hasty.on('error', () => {});
      hasty.write(rawHandshake('/v1/realtime?model=chat', headers), () => hasty.resetAndDestroy());
      await until(() => hasty.closed, 'the reset');
      expect((await fetch(`${proxy.url}/v1/models`)).status).toBe(200);
      expect((await open(proxy)).status).toBe(101);
      expect(backend.handshakes).toHaveLength(1);
      await until(() => proxy.requests().length >= 3, 'the lines');
      expect(proxy.log.filter(({level}) => level === 'error')).toEqual([]);
    },
  );

  it('but one that announces an empty body is a handshake', async () => {
    const {backend, proxy} = await setUp();
    const caller = await keep(openRaw(proxy.port));
    caller.write(rawHandshake('/v1/realtime?model=chat', 'content-length: 0\r\n'));
    await backend.session(1);
    await until(() => caller.received().startsWith('HTTP/1.1 101 '), 'the 101');
  });

  it('of /v1/realtime is told to become one', async () => {
    const {proxy} = await setUp();
    const answer = await fetch(`${proxy.url}/v1/realtime?model=chat`);
    expect(answer.status).toBe(426);
    expect(answer.headers.get('upgrade')).toBe('websocket');
    const {error} = (await answer.json()) as ErrorAnswer;
    expect(error.code).toBe('upgrade_required');
    expect(error.message).toContain('WebSocket');
    expect((await fetch(`${proxy.url}/v1/realtime`, {method: 'POST'})).status).toBe(405);
  });

  it.each([
    ['another path', rawHandshake('/v1/elsewhere'), 404],
    ['another path that exists', rawHandshake('/v1/models'), 200],
    ['HTTP/1.0', rawHandshake().replace('HTTP/1.1', 'HTTP/1.0'), 426],
    ['HTTP/2', rawHandshake().replace('upgrade: websocket', 'upgrade: h2c'), 426],
    ['no connection that upgrades', rawHandshake().replace('connection: Upgrade', 'connection: keep-alive'), 426],
    ['no connection that says anything', rawHandshake().replace('connection: Upgrade\r\n', ''), 426],
  ])('because it is one of %s is answered as if it had not asked for an upgrade', async (_, bytes, status) => {
    const {backend, proxy} = await setUp();
    const caller = await keep(openRaw(proxy.port));
    caller.write(bytes);
    await until(() => caller.received().endsWith('}'), 'an answer');
    expect(readAnswers(caller.received())).toMatchObject([{status}]);
    expect(backend.handshakes).toHaveLength(0);
  });

  it('but asks for HTTP/2 on the way, is answered in HTTP/1.1, body and all', async () => {
    const upstream = await keep(startUpstream());
    const proxy = await keep(startHarness({routes: {backends: [{name: 'local', url: upstream.url}]}}));
    const caller = await keep(openRaw(proxy.port));
    caller.write(rawPost(chatBody(), 'connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: x\r\n'));
    await until(() => caller.received().endsWith('}'), 'an answer');
    expect(readAnswers(caller.received())).toMatchObject([{status: 200}]);
  });

  it('and stands before a handshake on one connection does not bring the proxy down', async () => {
    const {proxy} = await setUp();
    const upstream = await keep(startUpstream());
    upstream.behave({do: 'hang'});
    proxy.update({routes: {backends: [{name: 'local', url: upstream.url}]}});
    const caller = await keep(openRaw(proxy.port));
    caller.write(rawPost(chatBody()) + rawHandshake());
    await caller.closed();
    expect(caller.received()).toBe('');
    expect((await fetch(`${proxy.url}/v1/models`)).status).toBe(200);
  });
});

describe('a backend that refuses a handshake', () => {
  const accept101 = (more: string): string =>
    `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n${more}\r\n`;

  type Refusal = (request: {headers: Record<string, unknown>}, socket: Duplex) => void;
  const cases: [string, Refusal, number, string][] = [
    ['with 500', refuse('500 Oops'), 502, 'backend_error'],
    ['with 503', refuse('503 Busy'), 502, 'backend_error'],
    ['with 429', refuse('429 Slow down\r\nretry-after: 7'), 429, 'backend_rate_limited'],
    ['with 401', refuse('401 No'), 502, 'backend_refused'],
    ['with a redirect', refuse('302 Found\r\nlocation: /'), 502, 'backend_malformed_reply'],
    ['with 200', refuse('200 OK'), 502, 'backend_malformed_reply'],
    ['by closing', (_, socket) => void socket.destroy(), 502, 'backend_reset'],
    ['by resetting', (_, socket) => void (socket as Socket).resetAndDestroy(), 502, 'backend_reset'],
    ['with nonsense', (_, socket) => void socket.end('nonsense\r\n\r\n'), 502, 'backend_malformed_reply'],
    ['with another key', (_, socket) => void socket.write(accept101('sec-websocket-accept: x\r\n')), 502, 'backend_malformed_reply'], // prettier-ignore
    ['with a 101 to nothing', (_, socket) => void socket.write(accept101('')), 502, 'backend_malformed_reply'],
  ];

  it.each(cases)('%s is followed by the next one, and it counts against it', async (_, misbehave, status, code) => {
    const first = await keep(startRealtimeBackend((request, socket) => misbehave(request, socket)));
    const second = await keep(startRealtimeBackend());
    const circuitBreaker = {consecutiveFailures: 1};
    const alone = {backends: [{name: 'first', url: first.url}]};
    const both = {backends: [...alone.backends, {name: 'second', url: second.url, priority: 1}], circuitBreaker};
    const proxy = await keep(startHarness({routes: both}));
    const caller = await open(proxy);
    expect(caller.headers).toMatchObject({'x-modelroute-backend': 'second', 'x-modelroute-attempts': '2'});
    caller.socket.send('hello');
    await (await second.session(1)).untilHeard('hello');
    expect(await backendsOf(proxy)).toMatchObject([
      {breaker: 'Open', inFlight: 0},
      {breaker: 'Closed', inFlight: 1},
    ]);
    await until(() => first.openConnections() === 0, 'the first to be left');

    const lonely = await keep(startHarness({routes: alone}));
    const answer = await open(lonely);
    expect({status: answer.status, code: errorOf(answer).code}).toEqual({status, code});
    if (status === 429) expect(answer.headers['retry-after']).toBe('7');
    expect(await logged(lonely)).toMatchObject({status, error: code, backend: 'first'});
  });

  it('for the fault of its caller is repeated word for word, and that counts against nobody', async () => {
    const body = '{"error":{"message":"no such voice"}}';
    const first = await keep(
      startRealtimeBackend(
        (_, socket) =>
        socket.end(`HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`), // prettier-ignore
      ),
    );
    const second = await keep(startRealtimeBackend());
    const backends = [
      {name: 'first', url: first.url},
      {name: 'second', url: second.url, priority: 1},
    ];
    const proxy = await keep(startHarness({routes: {backends, circuitBreaker: {consecutiveFailures: 1}}}));
    const answer = await open(proxy);
    expect({status: answer.status, body: answer.body}).toEqual({status: 400, body});
    expect(answer.headers).toMatchObject({connection: 'close', 'x-modelroute-backend': 'first'});
    expect(second.handshakes).toHaveLength(0);
    expect(await backendsOf(proxy)).toMatchObject([{breaker: 'Closed', inFlight: 0}, {}]);
    expect(await logged(proxy)).toMatchObject({status: 400, error: 'upstream_refused'});
  });

  it('because it does not know the path is followed by the next one, without a verdict', async () => {
    const first = await keep(startRealtimeBackend(refuse('404 Not Found')));
    const second = await keep(startRealtimeBackend());
    const backends = [
      {name: 'first', url: first.url},
      {name: 'second', url: second.url, priority: 1},
    ];
    const proxy = await keep(startHarness({routes: {backends, circuitBreaker: {consecutiveFailures: 1}}}));
    for (let times = 0; times < 2; times += 1)
      expect((await open(proxy)).headers['x-modelroute-backend']).toBe('second');
    expect(first.handshakes).toHaveLength(1); // that is remembered
    expect(await backendsOf(proxy)).toMatchObject([{breaker: 'Closed'}, {breaker: 'Closed'}]);
  });

  it('is followed by the next pod of its own rung', async () => {
    let refusals = 0;
    const busyOnce = (request: unknown, socket: Duplex, accept: () => void): void => {
      refusals += 1;
      if (refusals === 1) refuse('503 Busy')(request, socket);
      else accept();
    };
    const pods = [await keep(startRealtimeBackend(busyOnce)), await keep(startRealtimeBackend(busyOnce))];
    const places = pods.map(({url}) => ({port: Number(new URL(url).port)}));
    const below = await keep(startRealtimeBackend());
    const backends = [podsBackend(places), {name: 'below', url: below.url, priority: 1}];
    const proxy = await keep(startHarness({routes: {backends}, slices: podsOf(places)}));
    const caller = await open(proxy);
    expect(caller.headers).toMatchObject({'x-modelroute-backend': 'pods', 'x-modelroute-attempts': '2'});
    caller.socket.send('hello');
    const [session] = pods.flatMap(({sessions}) => sessions);
    await session!.untilHeard('hello');
    expect([pods.map(({handshakes}) => handshakes.length), below.handshakes.length]).toEqual([[1, 1], 0]);
  });

  it('by not being there is followed by the next one', async () => {
    const second = await keep(startRealtimeBackend());
    const backends = [
      {name: 'gone', url: await closedUrl()},
      {name: 'second', url: second.url, priority: 1},
    ];
    const proxy = await keep(startHarness({routes: {backends}}));
    expect((await open(proxy)).headers['x-modelroute-backend']).toBe('second');
    expect((await backendsOf(proxy))[0]).toMatchObject({inFlight: 0});
  });

  it('by silence is left after timeouts.firstToken', async () => {
    const clock = createFakeClock();
    const silent = await keep(startRealtimeBackend(() => {}));
    const routes = {backends: [{name: 'silent', url: silent.url}], timeouts: {firstToken: '10s', request: '1m'}};
    const proxy = await keep(startHarness({routes, clock}));
    const opening = open(proxy);
    await until(() => silent.handshakes.length === 1, 'the handshake');
    await clock.advance(10_000);
    const answer = await opening;
    expect({status: answer.status, code: errorOf(answer).code}).toEqual({status: 504, code: 'backend_timeout'});
    await until(() => silent.openConnections() === 0, 'the backend to be left');
  });

  it('once closes its breaker with the next handshake that it takes', async () => {
    let refuses = true;
    const clock = createFakeClock();
    const backend = await keep(
      startRealtimeBackend((request, socket, accept) => (refuses ? refuse('500 Oops')(request, socket) : accept())),
    );
    const circuitBreaker = {consecutiveFailures: 1};
    const proxy = await keep(
      startHarness({routes: {backends: [{name: 'local', url: backend.url}], circuitBreaker}, clock}),
    );
    expect((await open(proxy)).status).toBe(502);
    expect(await backendsOf(proxy)).toMatchObject([{breaker: 'Open'}]);
    refuses = false;
    expect((await open(proxy)).status).toBe(101); // TryAll
    expect(await backendsOf(proxy)).toMatchObject([{breaker: 'Closed', inFlight: 1}]);
  });
});

describe('a caller who leaves', () => {
  it.each([
    ['by closing', (socket: Socket) => void socket.end()],
    ['by resetting', (socket: Socket) => void socket.resetAndDestroy()],
  ])('a handshake %s ends it at the backend, and counts against nobody', async (_, leave) => {
    const silent = await keep(startRealtimeBackend(() => {}));
    const routes = {backends: [{name: 'silent', url: silent.url}], circuitBreaker: {consecutiveFailures: 1}};
    const proxy = await keep(startHarness({routes}));
    const socket = connect(proxy.port, '127.0.0.1');
    socket.write(rawHandshake());
    await until(() => silent.handshakes.length === 1, 'the handshake');
    leave(socket);
    await until(() => silent.openConnections() === 0, 'the backend to be left');
    expect(await logged(proxy)).toMatchObject({status: 499, error: 'caller_gone'});
    expect(await backendsOf(proxy)).toMatchObject([{breaker: 'Closed', inFlight: 0}]);
  });

  it.each([
    ['by closing', (socket: Socket) => void socket.end()],
    ['by resetting', (socket: Socket) => void socket.resetAndDestroy()],
  ])('a session %s is told to the backend', async (_, leave) => {
    const {backend, proxy} = await setUp();
    const socket = connect(proxy.port, '127.0.0.1');
    socket.write(rawHandshake());
    const session = await backend.session(1);
    leave(socket);
    expect(await session.untilClosed()).toEqual({code: 1001, reason: 'the caller has left'});
    expect(await logged(proxy)).toMatchObject({status: 101, error: 'caller_gone'});
    await until(async () => (await backendsOf(proxy))[0]!.inFlight === 0, 'the backend to be free');
    expect(await backendsOf(proxy)).toMatchObject([{breaker: 'Closed'}]);
  });
});

describe('a message larger than limits.maxBodyBytes', () => {
  const small = {gateway: {limits: {maxBodyBytes: '1Ki'}}};

  it('of a caller is refused, and the backend told', async () => {
    const {backend, proxy} = await setUp({}, small);
    const caller = await open(proxy);
    const session = await backend.session(1);
    caller.socket.send('x'.repeat(1_024));
    await session.untilHeard('x'.repeat(1_024));
    caller.socket.send('x'.repeat(1_025));
    expect(await caller.untilClosed()).toEqual({code: 1009, reason: expect.stringContaining('maxBodyBytes of 1024')});
    expect(await session.untilClosed()).toMatchObject({code: 1001});
    expect(session.messages).toHaveLength(1);
    expect(await logged(proxy)).toMatchObject({error: 'body_too_large', status: 101});
  });

  it('of a caller is refused in fragments too', async () => {
    const {backend, proxy} = await setUp({}, small);
    const caller = await open(proxy);
    for (let times = 0; times < 3; times += 1) caller.socket.send('x'.repeat(500), {fin: false});
    expect(await caller.untilClosed()).toMatchObject({code: 1009});
    expect(await (await backend.session(1)).untilClosed()).toMatchObject({code: 1001});
  });

  it('of a terabyte is refused when it is announced', async () => {
    const {backend, proxy} = await setUp();
    const caller = await keep(openRaw(proxy.port));
    caller.write(rawHandshake());
    await backend.session(1);
    caller.write(Buffer.from([0x82, 0x80 | 127, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4]));
    await caller.closed();
    expect(caller.received()).toContain('\x88');
    expect(caller.received()).toContain('\x03\xf1'); // 1009
    expect(await backend.sessions[0]!.untilClosed()).toMatchObject({code: 1001});
  });

  it('of a backend is refused, and the caller told', async () => {
    const {backend, proxy} = await setUp({}, small);
    const caller = await open(proxy);
    const session = await backend.session(1);
    session.socket.send('x'.repeat(1_025));
    expect(await caller.untilClosed()).toMatchObject({code: 1001});
    expect(await session.untilClosed()).toMatchObject({code: 1009});
    expect(caller.messages).toHaveLength(0);
    expect(await logged(proxy)).toMatchObject({error: 'stream_cut'});
  });
});

describe('a session in which nothing is said', () => {
  const timeouts = {connect: '1s', firstToken: '10s', request: '1m'};
  const timed = async (): Promise<World & {clock: FakeClock}> => {
    const clock = createFakeClock();
    return {...(await setUp({timeouts}, {clock})), clock};
  };

  it('ends after timeouts.request', async () => {
    const {backend, proxy, clock} = await timed();
    const caller = await open(proxy);
    const session = await backend.session(1);
    await clock.advance(59_999);
    expect(caller.closed).toBeUndefined();
    await clock.advance(1);
    const told = {code: 1001, reason: 'nothing was said in timeouts.request'};
    expect([await caller.untilClosed(), await session.untilClosed()]).toEqual([told, told]);
    expect(await logged(proxy)).toMatchObject({error: 'deadline_exceeded', status: 101});
    expect(await backendsOf(proxy)).toMatchObject([{breaker: 'Closed'}]);
  });

  it('goes on with every word, of either side, however long that takes', async () => {
    const {backend, proxy, clock} = await timed();
    const caller = await open(proxy);
    const session = await backend.session(1);
    for (let times = 0; times < 3; times += 1) {
      await clock.advance(50_000);
      caller.socket.send(`caller ${times}`);
      await session.untilHeard(`caller ${times}`);
      await clock.advance(50_000);
      session.socket.send(`backend ${times}`);
      await caller.untilHeard(`backend ${times}`);
    }
    expect(caller.closed).toBeUndefined();
  });

  it('ends even if nobody answers the close', async () => {
    const {backend, proxy, clock} = await timed();
    const socket = connect({port: proxy.port, host: '127.0.0.1', allowHalfOpen: true});
    socket.write(rawHandshake());
    const session = await backend.session(1);
    session.socket.pause();
    socket.resume();
    await until(() => socket.bytesRead > 0, 'the 101');
    await clock.advance(60_000);
    expect(await metric(proxy.admin, 'modelroute_requests_in_flight')).toBe(1);
    await clock.advance(2_000);
    await until(async () => (await metric(proxy.admin, 'modelroute_requests_in_flight')) === 0, 'it to be over');
    await logged(proxy);
    socket.destroy();
  });
});

describe('a backend that dies', () => {
  /** Bytes at both ends. */
  async function openRawSession(): Promise<{caller: RawCaller; socket: Socket; proxy: Harness}> {
    const own: Socket[] = [];
    const head = '101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade';
    const backend = await keep(
      startRealtimeBackend((_, socket) => {
        socket.write(`HTTP/1.1 ${head}\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n`);
        own.push(socket);
      }),
    );
    const proxy = await keep(startHarness({routes: {backends: [{name: 'local', url: backend.url}]}}));
    const caller = await keep(openRaw(proxy.port));
    caller.write(rawHandshake());
    await until(() => caller.received().endsWith('\r\n\r\n'), 'the 101');
    return {caller, socket: own[0]!, proxy};
  }

  it('between two messages is told to the caller', async () => {
    const {backend, proxy} = await setUp();
    const caller = await open(proxy);
    const session = await backend.session(1);
    session.socket.send('last words');
    await caller.untilHeard('last words');
    session.socket.terminate();
    expect(await caller.untilClosed()).toEqual({code: 1014, reason: 'the backend closed the connection'});
    const line = await logged(proxy);
    expect(line).toMatchObject({error: 'stream_cut', status: 101});
    expect(line['failures']).toEqual([expect.stringContaining('closed an open WebSocket')]);
  });

  it('with a reset is told to the caller', async () => {
    let socket: Duplex | undefined;
    const backend = await keep(
      startRealtimeBackend((_, own, accept) => {
        socket = own;
        accept();
      }),
    );
    const proxy = await keep(startHarness({routes: {backends: [{name: 'local', url: backend.url}]}}));
    const caller = await open(proxy);
    (socket as Socket).resetAndDestroy();
    expect(await caller.untilClosed()).toMatchObject({code: 1014});
  });

  it('in the middle of a message cuts the connection, and nobody takes it for whole', async () => {
    const {caller, socket, proxy} = await openRawSession();
    socket.write(Buffer.from([0x81, 100, 0x61]));
    await until(() => caller.received().endsWith('\x81da'), 'the beginning of the message');
    socket.destroy();
    await caller.closed();
    expect(caller.received().endsWith('\x81da')).toBe(true);
    expect(await logged(proxy)).toMatchObject({error: 'stream_cut'});
  });

  it('after its close frame has said all that there is to say', async () => {
    const {caller, socket, proxy} = await openRawSession();
    socket.end(Buffer.from([0x88, 2, 0x0f, 0xa0]));
    await caller.closed();
    expect(caller.received().split('\r\n\r\n')[1]).toBe('\x88\x02\x0f\xa0');
    expect(await logged(proxy)).not.toHaveProperty('error');
  });

  it('after the close frame of its caller is no failure, and he gets his answer', async () => {
    const {caller, socket, proxy} = await openRawSession();
    const heard: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => heard.push(chunk));
    const last = Buffer.from([0x88, 0x80, 0, 0, 0, 0]);
    caller.write(last);
    await until(() => Buffer.concat(heard).equals(last), 'the close frame');
    socket.destroy();
    await caller.closed();
    expect(caller.received().split('\r\n\r\n')[1]).toBe('\x88\x02\x03\xe8');
    expect(await logged(proxy)).not.toHaveProperty('error');
  });
});

describe('a proxy that drains', () => {
  const gateway = {limits: {drainPeriod: '1m'}};

  it('lets sessions go on for the drain period, and ends them then', async () => {
    const clock = createFakeClock();
    const {backend, proxy} = await setUp({}, {gateway, clock, drainGraceMs: 5_000});
    const caller = await open(proxy);
    const session = await backend.session(1);
    let drained = false;
    const draining = proxy.proxy.drain().then(() => (drained = true));
    await clock.advance(5_000);
    await clock.advance(59_999);
    caller.socket.send('still here');
    await session.untilHeard('still here');
    expect(drained).toBe(false);
    await clock.advance(1);
    const told = {code: 1001, reason: 'this proxy is going away'};
    expect([await caller.untilClosed(), await session.untilClosed()]).toEqual([told, told]);
    await draining;
    expect(await logged(proxy)).toMatchObject({error: 'shutting_down', status: 101});
    expect(proxy.log.find(({message}) => message === 'drain period over')).toMatchObject({running: 1});
  });

  it('waits for the last session, and no longer', async () => {
    const {proxy} = await setUp({}, {gateway});
    const caller = await open(proxy);
    const draining = proxy.proxy.drain();
    caller.socket.close();
    await draining;
    expect(await logged(proxy)).not.toHaveProperty('error');
  });

  it('at once breaks sessions off', async () => {
    const {backend, proxy} = await setUp();
    const caller = await open(proxy);
    const session = await backend.session(1);
    await proxy.proxy.stopNow();
    expect(await caller.untilClosed()).toMatchObject({code: 1006});
    await session.untilClosed();
  });

  it('ends a handshake that is still on its way', async () => {
    const clock = createFakeClock();
    const silent = await keep(startRealtimeBackend(() => {}));
    const routes = {backends: [{name: 'silent', url: silent.url}]};
    const proxy = await keep(startHarness({routes, gateway: {limits: {drainPeriod: '1s'}}, clock}));
    const opening = open(proxy);
    await until(() => silent.handshakes.length === 1, 'the handshake');
    const draining = proxy.proxy.drain();
    await clock.advance(0);
    await clock.advance(1_000);
    const answer = await opening;
    expect({status: answer.status, code: errorOf(answer).code}).toEqual({status: 503, code: 'shutting_down'});
    await draining;
  });
});

describe('a slow reader', () => {
  /** Writes until nothing more fits; returns how many bytes that took. */
  async function fill(socket: Duplex, piece: Buffer): Promise<number> {
    let bytes = 0;
    let quiet = 0;
    let before = -1;
    while (quiet < 50) {
      if (!socket.writableNeedDrain) {
        socket.write(piece);
        bytes += piece.length;
      }
      if (bytes > 200_000_000) throw new Error('two hundred megabytes have gone, and nobody has read them');
      await new Promise((resolve) => setImmediate(resolve));
      quiet = socket.writableNeedDrain && socket.writableLength === before ? quiet + 1 : 0;
      before = socket.writableLength;
    }
    return bytes;
  }

  const binary = (length: number, masked: boolean): Buffer => {
    const head = Buffer.from([
      0x82,
      (masked ? 0x80 : 0) | 127,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      ...(masked ? [0, 0, 0, 0] : []),
    ]);
    head.writeUInt32BE(length, 6);
    return Buffer.concat([head, Buffer.alloc(length)]);
  };

  it('makes the backend wait, and gets all of it in the end', async () => {
    let own: Duplex | undefined;
    const backend = await keep(
      startRealtimeBackend((_, socket, accept) => {
        own = socket;
        accept();
      }),
    );
    const proxy = await keep(startHarness({routes: {backends: [{name: 'local', url: backend.url}]}}));
    const caller = connect(proxy.port, '127.0.0.1');
    caller.write(rawHandshake());
    await backend.session(1);
    const bytes = await fill(own!, binary(1_000_000, false));
    let received = 0;
    caller.on('data', (chunk) => (received += chunk.length));
    await until(() => received >= bytes, 'all of it');
    caller.destroy();
  });

  it('at the backend makes the caller wait, and gets all of it in the end', async () => {
    let own: Duplex | undefined;
    const backend = await keep(
      startRealtimeBackend((_, socket, accept) => {
        own = socket;
        accept();
      }),
    );
    const proxy = await keep(startHarness({routes: {backends: [{name: 'local', url: backend.url}]}}));
    const caller = connect(proxy.port, '127.0.0.1');
    caller.resume();
    caller.write(rawHandshake());
    const session = await backend.session(1);
    await until(() => caller.bytesRead > 0, 'the 101');
    session.socket.pause();
    const bytes = await fill(caller, binary(1_000_000, true));
    session.socket.resume();
    await until(() => (own as Socket).bytesRead >= bytes, 'all of it');
    caller.destroy();
  });

  it('at the backend does not keep the end of a session from its caller', async () => {
    const clock = createFakeClock(); // nothing waits for time
    const {backend, proxy} = await setUp({}, {clock});
    const caller = connect(proxy.port, '127.0.0.1');
    caller.resume();
    caller.write(rawHandshake());
    const session = await backend.session(1);
    await until(() => caller.bytesRead > 0, 'the 101');
    session.socket.pause();
    await fill(caller, binary(1_000_000, true));
    const drained = proxy.proxy.drain();
    await clock.advance(0);
    await clock.advance(600_000);
    await until(() => caller.closed, 'his connection to end, whatever he has still to say');
    session.socket.resume();
    await session.untilClosed();
    await drained;
  });

  it('of his own handshake is not held without end, and loses nothing', async () => {
    let accept = (): void => {};
    const own: Socket[] = [];
    const backend = await keep(
      startRealtimeBackend((_, socket, accepts) => {
        own.push(socket);
        accept = accepts;
      }),
    );
    const proxy = await keep(startHarness({routes: {backends: [{name: 'local', url: backend.url}]}}));
    const caller = connect(proxy.port, '127.0.0.1');
    caller.write(rawHandshake());
    const bytes = await fill(caller, binary(1_000_000, true));
    accept();
    await until(() => own[0]!.bytesRead >= bytes, 'all of it');
    caller.destroy();
  });

  it('who leaves without having read frees the backend', async () => {
    let own: Duplex | undefined;
    const backend = await keep(
      startRealtimeBackend((_, socket, accept) => {
        own = socket;
        accept();
      }),
    );
    const clock = createFakeClock(); // nothing waits for time
    const proxy = await keep(startHarness({routes: {backends: [{name: 'local', url: backend.url}]}, clock}));
    const caller = connect(proxy.port, '127.0.0.1');
    caller.write(rawHandshake());
    await backend.session(1);
    await fill(own!, binary(1_000_000, false));
    caller.resetAndDestroy();
    await until(() => backend.openConnections() === 0, 'the backend to be free');
    await until(async () => (await metric(proxy.admin, 'modelroute_requests_in_flight')) === 0, 'it to be over');
  });
});

it('a hundred sessions that end in every way there is leave nothing behind', async () => {
  const sockets: Socket[] = [];
  const ends: ((socket: Socket) => void)[] = [
    (socket) => void socket.end(),
    (socket) => void socket.destroy(),
    (socket) => void socket.resetAndDestroy(),
    (socket) => void socket.end(Buffer.from([0x88, 0x80, 0, 0, 0, 0])),
    (socket) => void socket.end(Buffer.from([0x81, 0xfe, 0x10])),
    (socket) => {
      socket.write(rawFrame('last words'));
      socket.resetAndDestroy();
    },
  ];
  const backend = await keep(
    startRealtimeBackend((_, socket, accept) => {
      const at = sockets.push(socket);
      const accepts = at % 7 !== 0;
      if (accepts) accept();
      if (at % 3 === 0) ends[at % ends.length]!(socket);
    }),
  );
  const proxy = await keep(startHarness({routes: {backends: [{name: 'local', url: backend.url}]}}));
  const callers = Array.from({length: 100}, (_, index) => {
    const socket = connect(proxy.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(rawHandshake());
    const leave = (): void => ends[index % ends.length]!(socket);
    if (index % 4 === 0) socket.once('connect', leave);
    else socket.once('data', leave);
    return socket;
  });
  await until(() => callers.filter(({destroyed}) => !destroyed).length <= 100 / 7 + 1, 'sessions to end');
  for (const socket of callers) socket.destroy();
  await until(() => backend.openConnections() === 0, 'the backend to be free');
  await until(async () => (await metric(proxy.admin, 'modelroute_requests_in_flight')) === 0, 'all to be over');
  expect(await backendsOf(proxy)).toMatchObject([{inFlight: 0}]);
  await until(() => proxy.requests().length === 100, 'a line for each');
  expect(proxy.log.filter(({level}) => level === 'error')).toEqual([]);
});

it('a server that is not asked to upgrade serves WebSockets to nobody: the admin port', async () => {
  const {proxy} = await setUp();
  const {port} = new URL(proxy.admin);
  const answer = await keep(openRealtime(Number(port)));
  expect(answer.status).toBe(404);
});
