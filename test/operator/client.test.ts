import {existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync} from 'node:fs';
import {createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import {createServer as createHttpsServer} from 'node:https';
import {
  connect,
  createServer as createTcpServer,
  type AddressInfo,
  type Server as TcpServer,
  type Socket,
} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterAll, afterEach, beforeAll, describe, expect, it} from '@jest/globals';
import {createKubeClient, type KubeClient, type KubeClientOptions, type KubeRequest} from '../../kube/client.ts';
import type {KubeConfig} from '../../kube/credentials.ts';
import {KubeError} from '../../kube/errors.ts';
import {systemClock} from '../../proxy/engine/clock.ts';
import {findAssets} from '../api-server/assets.ts';
import {startApiServer, type ApiServer} from '../api-server/start.ts';
import {createFakeClock, type FakeClock} from '../fake-clock.ts';
import {createCa, createCertificate} from '../proxy/certificates.ts';
import {until} from '../until.ts';

const closers: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => void;

type Fake = {
  url: string;
  port: number;
  server: Server;
  /** `GET /path`, in the order in which they came. */
  asked: string[];
  /** What came in the header `authorization`. */
  tokens: (string | undefined)[];
  /** How many connections were ever made. */
  connections(): number;
  open: Set<Socket>;
};

const json = (response: ServerResponse, body: unknown, status = 200, headers: Record<string, string> = {}): void =>
  void response.writeHead(status, {'content-type': 'application/json', ...headers}).end(JSON.stringify(body));

const ok: Answer = (_request, response) => json(response, {ok: true});
const status =
  (code: number, headers: Record<string, string> = {}): Answer =>
  (_request, response) =>
    json(response, {kind: 'Status', code, reason: 'Because', message: 'so it is'}, code, headers);
const resetBeforeHeaders: Answer = (request) => void request.socket.resetAndDestroy();
const cutInTheMiddle: Answer = (request, response) => {
  response.writeHead(200, {'content-type': 'application/json', 'content-length': '100'});
  response.write('{"items":[', () => request.socket.destroy());
};
const hang: Answer = () => {};

/** Answers the first with the first, and so on; the last answers all that follow. */
async function startFake(answers: Answer[], server: Server = createHttpServer()): Promise<Fake> {
  const asked: string[] = [];
  const tokens: Fake['tokens'] = [];
  const open = new Set<Socket>();
  let connections = 0;
  const isTls = 'setSecureContext' in server;
  server.on('connection', (socket: Socket) => {
    connections += 1;
    open.add(socket);
    socket.on('close', () => open.delete(socket)).on('error', () => {});
  });
  server.on('tlsClientError', () => {}); // what the client refuses is what some tests are about
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const answer = answers[Math.min(asked.length, answers.length - 1)] ?? hang;
    asked.push(`${request.method} ${request.url}`);
    tokens.push(request.headers.authorization);
    let body = '';
    request.on('error', () => {}).on('data', (bytes: Buffer) => (body += bytes.toString()));
    request.on('end', () => answer(request, response, body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const {port} = server.address() as AddressInfo;
  closers.push(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
        server.closeAllConnections();
      }),
  );
  const url = `${isTls ? 'https' : 'http'}://127.0.0.1:${port}`;
  return {url, port, server, asked, tokens, connections: () => connections, open};
}

const path = '/api/v1/namespaces/a/configmaps/b';
const get: KubeRequest = {method: 'GET', path};

/** The back-off of the first failure, with this `random`. */
const firstBackoffMs = 50;

function startClient(config: KubeConfig, options: Partial<KubeClientOptions> = {}): KubeClient {
  const client = createKubeClient({config, clock: systemClock, random: () => 0, ...options});
  closers.push(() => client.close());
  return client;
}

const failed = async (asked: Promise<unknown>): Promise<KubeError> => {
  const error = await asked.then(
    (answer) => new Error(`answered ${JSON.stringify(answer)}`),
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(KubeError);
  return error as KubeError; // as just seen
};

/** The call waits to try again: besides its deadline there is a timer. */
const waiting = (clock: FakeClock): Promise<void> => until(() => clock.pending === 2, 'a wait');

const folderForFiles = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'modelroute-client-'));
  closers.push(() => rmSync(folder, {recursive: true}));
  return folder;
};

/** As the kubelet does it: another file takes the place of the old one. */
const replaceFile = (file: string, text: string): void => {
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
};

describe('a request', () => {
  it('goes out with query, body, type and token, and comes back parsed', async () => {
    const seen: unknown[] = [];
    const fake = await startFake([
      ({method, url, headers}, response, body) => {
        const {authorization, accept, 'content-type': type} = headers;
        seen.push({method, url, authorization, accept, type, body});
        json(response, {metadata: {name: 'ä'}}, 201);
      },
    ]);
    const client = startClient({server: `${fake.url}/prefix/`, token: 'secret'});
    const answer = await client.request({
      method: 'PATCH',
      path,
      query: {fieldManager: 'a b', force: true, limit: 5, continue: undefined},
      body: {a: 'ü'},
      contentType: 'application/apply-patch+yaml',
    });
    expect(answer).toEqual({metadata: {name: 'ä'}});
    await client.request({method: 'GET', path: '/version', query: {}});
    const common = {authorization: 'Bearer secret', accept: 'application/json'};
    expect(seen).toEqual([
      {
        ...common,
        method: 'PATCH',
        url: `/prefix${path}?fieldManager=a+b&force=true&limit=5`,
        type: 'application/apply-patch+yaml',
        body: '{"a":"ü"}',
      },
      {...common, method: 'GET', url: '/prefix/version', type: undefined, body: ''},
    ]);
  });

  it('throws what the server says, without the token', async () => {
    const fake = await startFake([
      (_request, response) =>
        json(response, {kind: 'Status', reason: 'Forbidden', message: 'User "x" cannot get (Bearer s3cret)'}, 403),
      (_request, response) => void response.writeHead(418).end('you sent: authorization: Bearer s3cret'),
    ]);
    const client = startClient({server: fake.url, token: 's3cret'});
    const forbidden = await failed(client.request(get));
    expect(forbidden).toMatchObject({
      message: `GET ${path}: 403 Forbidden: User "x" cannot get (Bearer …)`,
      status: 403,
      reason: 'Forbidden',
    });
    expect((await failed(client.request(get))).message).toContain('you sent: authorization: Bearer …');
    expect(fake.asked).toHaveLength(2);
  });

  it.each([
    ['is not JSON', (_request, response) => void response.end('ok'), 'the answer is not JSON'],
    ['is cut JSON', (_request, response) => void response.end('{"secret":"x'), 'the answer is not JSON'],
    ['is empty', (_request, response) => void response.end(), 'the answer is not JSON'],
    ['is too large', (_request, response) => json(response, 'x'.repeat(1_000)), 'the answer is larger than 1000 bytes'],
    [
      'is too large and has no end',
      (_request, response) => void response.write('x'.repeat(1_001)),
      'the answer is larger than 1000 bytes',
    ],
  ] as [string, Answer, string][])(
    'throws, and does not ask again, if the answer %s',
    async (_title, answer, words) => {
      const fake = await startFake([answer]);
      const client = startClient({server: fake.url}, {maxAnswerBytes: 1_000});
      const error = await failed(client.request(get));
      expect(error).toMatchObject({message: `GET ${path}: ${words}`, status: 0, reason: ''});
      expect(error.cause).toBeUndefined(); // V8's words would quote the answer
      expect(fake.asked).toHaveLength(1);
    },
  );

  it('that cannot be written is not tried again', async () => {
    const fake = await startFake([ok]);
    const client = startClient({server: fake.url});
    expect((await failed(client.request({method: 'GET', path: '/a b'}))).message).toMatch(/^GET \/a b: cannot be sent/);
  });

  it('to no URL is refused at once', () => {
    for (const server of ['10.0.0.1:443', 'ftp://a', ''])
      expect(() => startClient({server})).toThrow('server is no URL of an API server');
  });
});

describe('connections', () => {
  it('are few for many requests', async () => {
    const held: (() => void)[] = [];
    const fake = await startFake([(_request, response) => void held.push(() => json(response, {}))]);
    const client = startClient({server: fake.url});
    const asked = Array.from({length: 50}, () => client.request(get));
    await until(() => held.length === 8, 'the first');
    for (let answered = 0; answered < 50; answered += 1) {
      await until(() => held.length > 0, 'the next');
      held.shift()?.();
    }
    await Promise.all(asked);
    expect(fake.connections()).toBeLessThanOrEqual(8);
  });

  it('carry one request after the other, whatever its method', async () => {
    const fake = await startFake([ok]);
    const client = startClient({server: fake.url});
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const)
      for (let time = 0; time < 5; time += 1)
        await client.request({method, path, ...(method !== 'GET' && {body: {a: 1}})});
    expect(fake.connections()).toBeLessThanOrEqual(2); // undici uses one again only a turn later, and takes another at once
  });

  it('are not used up by watches', async () => {
    const fake = await startFake([
      ({url}, response) => (url === path ? json(response, {}) : void response.write('{"type":"BOOKMARK"}\n')),
    ]);
    const client = startClient({server: fake.url});
    for (let watch = 0; watch < 30; watch += 1)
      await client.stream({method: 'GET', path: '/watch'})[Symbol.asyncIterator]().next();
    expect(await client.request(get)).toEqual({});
    expect(fake.open.size).toBe(31);
  });

  // The second word of a line is our address, the fourth the state (01: established), the sixth which timer runs (02: keep-alive).
  (existsSync('/proc/net/tcp') ? it : it.skip)(
    'are probed while nothing comes, so that a dead peer is noticed',
    async () => {
      const fake = await startFake([(_request, response) => void response.write('{}\n')]);
      const client = startClient({server: fake.url});
      await client.stream(get)[Symbol.asyncIterator]().next();
      const peer = fake.port.toString(16).toUpperCase().padStart(4, '0');
      const probed = (): boolean =>
        readFileSync('/proc/net/tcp', 'utf8')
          .split('\n')
          .map((line) => line.trim().split(/\s+/))
          .some(
            ([, , remote, state, , timer]) =>
              remote === `0100007F:${peer}` && state === '01' && timer?.startsWith('02'),
          );
      await until(probed, 'a keep-alive timer');
    },
  );
});

describe('a request that fails', () => {
  it('with 429 goes again after the time in Retry-After, whatever its method', async () => {
    for (const method of ['GET', 'POST', 'PATCH'] as const) {
      const fake = await startFake([status(429, {'retry-after': '3'}), ok]);
      const clock = createFakeClock();
      const client = startClient({server: fake.url}, {clock});
      const asked = client.request({method, path});
      await waiting(clock);
      await clock.advance(2_999);
      expect(clock.pending).toBe(2);
      expect(fake.asked).toHaveLength(1);
      await clock.advance(1);
      expect(await asked).toEqual({ok: true});
      expect(clock.pending).toBe(0);
    }
  });

  it('with 429 and no Retry-After goes again after a back-off that doubles', async () => {
    const fake = await startFake([status(429), status(429), ok]);
    const clock = createFakeClock();
    const asked = startClient({server: fake.url}, {clock}).request({method: 'POST', path});
    for (const backoffMs of [firstBackoffMs, 2 * firstBackoffMs]) {
      await waiting(clock);
      await clock.advance(backoffMs - 1);
      expect(clock.pending).toBe(2);
      await clock.advance(1);
    }
    expect(await asked).toEqual({ok: true});
    expect(fake.asked).toHaveLength(3);
  });

  it('is not waited for beyond the deadline', async () => {
    const fake = await startFake([status(429, {'retry-after': '60'})]);
    const clock = createFakeClock();
    const error = await failed(startClient({server: fake.url}, {clock}).request(get));
    expect(error).toMatchObject({status: 429, reason: 'Because', retryAfterMs: 60_000});
    expect(clock.pending).toBe(0);
  });

  const apply = 'application/apply-patch+yaml';
  const idempotent: KubeRequest[] = [
    get,
    {method: 'PUT', path, body: {}},
    {method: 'DELETE', path, body: {}},
    {method: 'PATCH', path, body: {}, contentType: apply},
  ];
  const others: KubeRequest[] = [
    {method: 'POST', path, body: {}},
    {method: 'PATCH', path, body: {}, contentType: 'application/merge-patch+json'},
  ];
  const faults: [string, Answer, string][] = [
    ['500', status(500), '500 Because: so it is'],
    ['503', status(503), '503 Because: so it is'],
    ['a reset before the answer', resetBeforeHeaders, 'no answer: '],
    ['a cut in the middle of the answer', cutInTheMiddle, 'the answer was cut: '],
  ];
  for (const [title, fault, words] of faults) {
    for (const request of idempotent)
      it(`with ${title} goes again if it is ${request.method}`, async () => {
        const fake = await startFake([fault, ok]);
        const clock = createFakeClock();
        const asked = startClient({server: fake.url}, {clock}).request(request);
        await waiting(clock);
        await clock.advance(firstBackoffMs);
        expect(await asked).toEqual({ok: true});
        expect(fake.asked).toHaveLength(2);
      });

    for (const request of others)
      it(`with ${title} does not go again if it is ${request.method} ${request.contentType ?? ''}`, async () => {
        const fake = await startFake([fault, ok]);
        const error = await failed(startClient({server: fake.url}).request(request));
        expect(error.message).toContain(`${request.method} ${path}: ${words}`);
        expect(fake.asked).toHaveLength(1);
      });
  }

  it('before anything was sent goes again, even a POST', async () => {
    const certificate = createCertificate('server', {names: ['127.0.0.1']});
    const fake = await startFake([ok], createHttpsServer(certificate));
    let accepted = 0;
    // The first connection ends in the handshake.
    const front = createTcpServer((socket) => {
      accepted += 1;
      socket.on('error', () => {});
      if (accepted === 1) socket.destroy();
      else socket.pipe(connect(fake.port, '127.0.0.1').on('error', () => {})).pipe(socket);
    });
    const port = await listen(front);
    const clock = createFakeClock();
    const client = startClient({server: `https://127.0.0.1:${port}`, ca: certificate.cert}, {clock});
    const asked = client.request({method: 'POST', path, body: {a: 1}});
    await waiting(clock);
    expect(fake.asked).toHaveLength(0);
    await clock.advance(firstBackoffMs);
    expect(await asked).toEqual({ok: true});
    expect(fake.asked).toEqual([`POST ${path}`]);
  });
});

/** On a port of its own; sockets are let go of after the test. */
async function listen(server: TcpServer): Promise<number> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  );
  return (server.address() as AddressInfo).port;
}

describe('the deadline', () => {
  it('ends a request that gets no answer, and its connection', async () => {
    const fake = await startFake([hang]);
    const clock = createFakeClock();
    const asked = failed(startClient({server: fake.url}, {clock}).request(get));
    await until(() => fake.asked.length === 1, 'the request');
    await clock.advance(29_999);
    expect(clock.pending).toBe(1);
    await clock.advance(1);
    expect(await asked).toMatchObject({message: `GET ${path}: no answer within 30000 ms`, status: 0});
    await until(() => fake.open.size === 0, 'the connection to be closed');
  });

  it('ends one in the middle of the answer', async () => {
    const fake = await startFake([(_request, response) => void response.write('{')]);
    const clock = createFakeClock();
    const asked = failed(startClient({server: fake.url}, {clock, deadlineMs: 1_000}).request(get));
    await until(() => fake.asked.length === 1, 'the request');
    await clock.advance(1_000);
    expect((await asked).message).toBe(`GET ${path}: no answer within 1000 ms`);
    await until(() => fake.open.size === 0, 'the connection to be closed');
  });

  it('holds for all tries together, and tells of the last', async () => {
    const fake = await startFake([status(503), hang]);
    const clock = createFakeClock();
    const asked = failed(startClient({server: fake.url}, {clock}).request(get));
    await waiting(clock);
    await clock.advance(firstBackoffMs);
    await until(() => fake.asked.length === 2, 'the second try');
    await clock.advance(30_000 - firstBackoffMs);
    const error = await asked;
    expect(error.message).toBe(`GET ${path}: no answer within 30000 ms; the last try: 503 Because: so it is`);
    expect(error.cause).toMatchObject({status: 503});
  });

  it('gives the last failure if the next try would come too late', async () => {
    const fake = await startFake([status(503)]);
    const clock = createFakeClock();
    const asked = failed(startClient({server: fake.url}, {clock, deadlineMs: 120}).request(get));
    await waiting(clock);
    await clock.advance(firstBackoffMs);
    expect(await asked).toMatchObject({status: 503});
    expect(fake.asked).toHaveLength(2);
    expect(clock.pending).toBe(0);
  });
});

describe('an aborted request', () => {
  const aborted = `GET ${path}: aborted`;

  it('is not sent if it was aborted before', async () => {
    const fake = await startFake([ok]);
    const client = startClient({server: fake.url});
    const error = await failed(client.request({...get, signal: AbortSignal.abort('why')}));
    expect(error).toMatchObject({message: aborted, status: 0, cause: 'why'});
    await client.request(get);
    expect(fake.asked).toHaveLength(1);
  });

  it('ends at once while it connects', async () => {
    const sockets: Socket[] = [];
    const mute = createTcpServer((socket) => void sockets.push(socket.resume()));
    const port = await listen(mute);
    const leaving = new AbortController();
    const client = startClient({server: `https://127.0.0.1:${port}`});
    const asked = failed(client.request({...get, signal: leaving.signal}));
    await until(() => sockets.length === 1, 'the connection');
    leaving.abort();
    expect((await asked).message).toBe(aborted);
    await client.close();
    await until(() => sockets[0]?.closed === true, 'the connection to be let go of'); // undici itself takes 10 s
  });

  it('ends at once while it waits for the answer, with its connection', async () => {
    const fake = await startFake([hang]);
    const leaving = new AbortController();
    const asked = failed(startClient({server: fake.url}).request({...get, signal: leaving.signal}));
    await until(() => fake.asked.length === 1, 'the request');
    leaving.abort();
    expect((await asked).message).toBe(aborted);
    await until(() => fake.open.size === 0, 'the connection to be closed');
  });

  it('ends at once while it waits to go again', async () => {
    const fake = await startFake([status(500)]);
    const clock = createFakeClock();
    const leaving = new AbortController();
    const asked = failed(startClient({server: fake.url}, {clock}).request({...get, signal: leaving.signal}));
    await waiting(clock);
    leaving.abort();
    expect((await asked).message).toBe(aborted);
    expect(clock.pending).toBe(0);
  });

  it('that waits for a connection is never sent', async () => {
    const held: ServerResponse[] = [];
    const fake = await startFake([(_request, response) => void held.push(response)]);
    const client = startClient({server: fake.url});
    const leaving = new AbortController();
    const first = Array.from({length: 8}, () => client.request(get));
    await until(() => held.length === 8, 'the first');
    const asked = failed(client.request({method: 'GET', path: '/late', signal: leaving.signal}));
    const last = client.request({method: 'GET', path: '/last'});
    leaving.abort();
    expect((await asked).message).toBe('GET /late: aborted');
    for (const response of held.splice(0)) json(response, {});
    await Promise.all(first);
    await until(() => held.length === 1, 'the last');
    json(held[0]!, {});
    await last;
    expect(fake.asked).not.toContain('GET /late');
  });
});

describe('credentials', () => {
  const wanting =
    (token: string): Answer =>
    (request, response, body) =>
      (request.headers.authorization === `Bearer ${token}` ? ok : status(401))(request, response, body);

  it('are read anew, once, when the token is refused', async () => {
    const tokenFile = join(folderForFiles(), 'token');
    replaceFile(tokenFile, 'one');
    const fake = await startFake([ok, wanting('two')]);
    const clock = createFakeClock();
    const client = startClient({server: fake.url, tokenFile}, {clock});
    await client.request(get);
    replaceFile(tokenFile, 'two');
    expect(await client.request({method: 'POST', path})).toEqual({ok: true});
    expect(fake.tokens).toEqual(['Bearer one', 'Bearer one', 'Bearer two']);
    replaceFile(tokenFile, 'three');
    await clock.advance(5_000);
    expect(await failed(client.request(get))).toMatchObject({status: 401});
    expect(fake.tokens.slice(3)).toEqual(['Bearer three', 'Bearer three']);
  });

  it('are read anew for a stream too', async () => {
    const tokenFile = join(folderForFiles(), 'token');
    replaceFile(tokenFile, 'one');
    const fake = await startFake([ok, wanting('two')]);
    const client = startClient({server: fake.url, tokenFile}, {clock: createFakeClock()});
    await client.request(get);
    replaceFile(tokenFile, 'two');
    expect(await linesOf(client.stream(get))).toEqual([{ok: true}]);
    expect(fake.tokens).toEqual(['Bearer one', 'Bearer one', 'Bearer two']);
  });

  it('that come from no file are not tried twice', async () => {
    const fake = await startFake([status(401)]);
    expect(await failed(startClient({server: fake.url, token: 'one'}).request(get))).toMatchObject({status: 401});
    expect(fake.asked).toHaveLength(1);
  });

  it('that are not there yet are waited for', async () => {
    const tokenFile = join(folderForFiles(), 'token');
    const fake = await startFake([ok]);
    const clock = createFakeClock();
    const asked = startClient({server: fake.url, tokenFile}, {clock}).request({method: 'POST', path});
    await waiting(clock);
    replaceFile(tokenFile, 'one');
    await clock.advance(firstBackoffMs);
    expect(await asked).toEqual({ok: true});
    expect(fake.tokens).toEqual(['Bearer one']);
  });

  it('follow a CA that changes; what runs on the old connection goes on', async () => {
    const names = ['127.0.0.1'];
    const [oldCa, newCa] = [createCa('Old CA'), createCa('New CA')];
    const oldServer = createCertificate('server', {issuer: oldCa, names});
    const newServer = createCertificate('server', {issuer: newCa, names});
    const caFile = join(folderForFiles(), 'ca.crt');
    replaceFile(caFile, oldCa.cert);
    const tls = createHttpsServer({cert: oldServer.cert, key: oldServer.key});
    let watch: ServerResponse | undefined;
    const fake = await startFake(
      [
        (request, response, body) => {
          if (request.url !== '/watch') return ok(request, response, body);
          watch = response;
          response.write('{"n":1}\n');
        },
      ],
      tls,
    );
    const client = startClient({server: fake.url, caFile}, {clock: createFakeClock()});
    const lines = client.stream({method: 'GET', path: '/watch'})[Symbol.asyncIterator]();
    expect(await lines.next()).toEqual({done: false, value: {n: 1}});
    await client.request(get);

    tls.setSecureContext({cert: newServer.cert, key: newServer.key});
    tls.closeIdleConnections();
    replaceFile(caFile, newCa.cert);
    await until(() => fake.open.size === 1, 'the idle connection to be closed');
    expect(await client.request({method: 'POST', path})).toEqual({ok: true});
    watch?.write('{"n":2}\n');
    expect(await lines.next()).toEqual({done: false, value: {n: 2}});
    watch?.end();
    expect(await lines.next()).toEqual({done: true, value: undefined});
    await until(() => fake.open.size === 1, 'the old connection to be closed');
    expect(await client.request(get)).toEqual({ok: true});
  });

  it('that do not fit the server are told of at once', async () => {
    const server = createCertificate('server', {names: ['127.0.0.1']});
    const fake = await startFake([ok], createHttpsServer({cert: server.cert, key: server.key}));
    const error = await failed(startClient({server: fake.url, ca: createCa().cert}).request(get));
    expect(error.message).toMatch(new RegExp(`^GET ${path}: cannot connect: .*certificate`));
    expect(fake.connections()).toBe(1);
  });

  it('may be a certificate', async () => {
    const ca = createCa();
    const server = createCertificate('server', {issuer: ca, names: ['127.0.0.1']});
    const own = createCertificate('us', {issuer: ca});
    const tls = createHttpsServer({cert: server.cert, key: server.key, ca: ca.cert, requestCert: true});
    const fake = await startFake([ok], tls);
    const config = {server: fake.url, ca: ca.cert, clientCert: own.cert, clientKey: own.key};
    expect(await startClient(config).request(get)).toEqual({ok: true});
  });
});

async function linesOf(stream: AsyncIterable<unknown>): Promise<unknown[]> {
  const lines: unknown[] = [];
  for await (const line of stream) lines.push(line);
  return lines;
}

describe('a stream', () => {
  it('gives the lines, parsed, however they are cut, and ends with the server', async () => {
    const bytes = Buffer.from('{"a":"ä€"}\n{"a":"𝄞"}\n{"a":3}\n');
    const fake = await startFake([
      (_request, response) => {
        const write = (at: number): void =>
          at === bytes.length
            ? void response.end()
            : void response.write(bytes.subarray(at, at + 1), () => write(at + 1));
        write(0);
      },
    ]);
    const stream = startClient({server: fake.url}).stream({...get, query: {watch: true}});
    expect(await linesOf(stream)).toEqual([{a: 'ä€'}, {a: '𝄞'}, {a: 3}]);
    expect(fake.asked).toEqual([`GET ${path}?watch=true`]);
  });

  it('is given up when its answer does not begin within 30 s', async () => {
    const fake = await startFake([hang]);
    const clock = createFakeClock();
    const asked = failed(startClient({server: fake.url}, {clock}).stream(get)[Symbol.asyncIterator]().next());
    await until(() => fake.asked.length === 1, 'the request', 30_000);
    await clock.advance(29_999);
    expect(clock.pending).toBe(1);
    await clock.advance(1);
    expect(await asked).toMatchObject({message: `GET ${path}: no answer within 30000 ms`, status: 0});
    await until(() => fake.open.size === 0, 'the connection to be closed', 30_000);
  });

  it('has no deadline once its answer has begun', async () => {
    const fake = await startFake([(_request, response) => void response.write('{}\n')]);
    const clock = createFakeClock();
    const lines = startClient({server: fake.url}, {clock}).stream(get)[Symbol.asyncIterator]();
    await lines.next();
    expect(clock.pending).toBe(0);
  });

  it('gives what came before it was cut, then throws', async () => {
    const fake = await startFake([
      (request, response) => void response.write('{"n":1}\n{"n":', () => request.socket.destroy()),
    ]);
    const lines = startClient({server: fake.url}).stream(get)[Symbol.asyncIterator]();
    expect(await lines.next()).toEqual({done: false, value: {n: 1}});
    const error = await failed(lines.next());
    expect(error.message).toContain(`GET ${path}: the answer was cut: `);
    expect(error.status).toBe(0);
    expect(await lines.next()).toEqual({done: true, value: undefined});
    expect(fake.asked).toHaveLength(1);
  });

  it('throws, and asks once, if the answer is an error', async () => {
    const fake = await startFake([status(410), status(500), status(429, {'retry-after': '2'})]);
    const client = startClient({server: fake.url});
    expect(await failed(linesOf(client.stream(get)))).toMatchObject({status: 410, reason: 'Because'});
    expect(await failed(linesOf(client.stream(get)))).toMatchObject({status: 500});
    expect(await failed(linesOf(client.stream(get)))).toMatchObject({status: 429, retryAfterMs: 2_000});
    expect(fake.asked).toHaveLength(3);
  });

  it.each([
    ['is not JSON', '{"n":1}\nnonsense\n', 'a line is not JSON'],
    ['is too long', `{"n":1}\n${'x'.repeat(16 * 1_048_576 + 1)}`, 'a line of more than 16777216 bytes'],
  ])('ends with an error, and its connection, if a line %s', async (_title, text, words) => {
    const fake = await startFake([(_request, response) => void response.write(text)]);
    const lines = startClient({server: fake.url}).stream(get)[Symbol.asyncIterator]();
    expect(await lines.next()).toEqual({done: false, value: {n: 1}});
    expect((await failed(lines.next())).message).toBe(`GET ${path}: ${words}`);
    await until(() => fake.open.size === 0, 'the connection to be closed');
  });

  it('bears a line of nearly 16 MiB', async () => {
    const long = 'x'.repeat(16 * 1_048_576 - 2);
    const fake = await startFake([(_request, response) => void response.end(`${JSON.stringify(long)}\n1\n`)]);
    const lines = await linesOf(startClient({server: fake.url}).stream(get));
    expect(lines.map((line) => (typeof line === 'string' ? line.length : line))).toEqual([long.length, 1]);
  });

  it('brings everything to a slow reader', async () => {
    const line = JSON.stringify('x'.repeat(65_536));
    const fake = await startFake([
      (_request, response) => {
        for (let time = 0; time < 200; time += 1) response.write(`${line}\n`);
        response.end();
      },
    ]);
    let lines = 0;
    for await (const each of startClient({server: fake.url}).stream(get)) {
      lines += String(each).length === 65_536 ? 1 : 0;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(lines).toBe(200);
  });

  const endless: Answer = (_request, response) => void response.write('{"n":1}\n{"n":2}\n');

  it('that is left is aborted', async () => {
    const fake = await startFake([endless]);
    const client = startClient({server: fake.url});
    for await (const line of client.stream(get)) {
      expect(line).toEqual({n: 1});
      break;
    }
    await until(() => fake.open.size === 0, 'the connection to be closed');
    const thrown = async (): Promise<void> => {
      for await (const line of client.stream(get)) throw new Error(`mine at ${JSON.stringify(line)}`);
    };
    await expect(thrown()).rejects.toThrow('mine at {"n":1}');
    await until(() => fake.open.size === 0, 'the connection to be closed');
    expect(fake.asked).toHaveLength(2);
  });

  it('that is left while it waits for the server ends at once', async () => {
    const fake = await startFake([endless]);
    const lines = startClient({server: fake.url}).stream(get)[Symbol.asyncIterator]();
    await lines.next();
    await lines.next();
    const third = lines.next();
    await lines.return?.();
    expect(await third).toEqual({done: true, value: undefined});
    await until(() => fake.open.size === 0, 'the connection to be closed');
  });

  it('that nobody reads is not sent', async () => {
    const fake = await startFake([endless]);
    const client = startClient({server: fake.url});
    const lines = client.stream(get)[Symbol.asyncIterator]();
    expect(await lines.return?.()).toEqual({done: true, value: undefined});
    expect(await lines.next()).toEqual({done: true, value: undefined});
    expect(fake.connections()).toBe(0);
  });

  it('throws at once when its signal is aborted, whatever still waits', async () => {
    const fake = await startFake([endless]);
    const client = startClient({server: fake.url});
    for (const before of [1, 2]) {
      const leaving = new AbortController();
      const lines = client.stream({...get, signal: leaving.signal})[Symbol.asyncIterator]();
      for (let line = 0; line < before; line += 1) await lines.next();
      const next = before === 2 ? lines.next() : undefined;
      leaving.abort();
      expect((await failed(next ?? lines.next())).message).toBe(`GET ${path}: aborted`);
      await until(() => fake.open.size === 0, 'the connection to be closed');
    }
  });
});

describe('a client that is closed', () => {
  it('ends what runs, leaves no connection, and sends nothing more', async () => {
    const fake = await startFake([({url}, response) => (url === '/watch' ? void response.write('{}\n') : undefined)]);
    const clock = createFakeClock();
    const client = startClient({server: fake.url}, {clock});
    const lines = client.stream({method: 'GET', path: '/watch'})[Symbol.asyncIterator]();
    await lines.next();
    const ended = [failed(lines.next()), failed(client.request(get))];
    await until(() => fake.asked.length === 2, 'both');
    await client.close();
    for (const error of await Promise.all(ended)) expect(error.message).toMatch(/: the client is closed$/);
    await until(() => fake.open.size === 0, 'the connections to be closed');
    expect((await failed(client.request(get))).message).toMatch(/: the client is closed$/);
    await failed(linesOf(client.stream(get)));
    expect(fake.asked).toHaveLength(2);
    expect(clock.pending).toBe(0);
    await client.close();
  });
});

const assets = findAssets((line) => process.stderr.write(line));
const describeWithServer = assets === undefined ? describe.skip : describe;

describeWithServer('on a real API server', () => {
  let server: ApiServer;
  let client: KubeClient;
  const collection = '/api/v1/namespaces/default/configmaps';
  const configMap = (name: string, data: Record<string, string>): object => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {name},
    data,
  });

  beforeAll(async () => {
    server = await startApiServer(assets ?? '');
    const config = {server: server.url, caFile: server.ca, token: server.token};
    client = createKubeClient({config, clock: systemClock, random: Math.random});
  }, 120_000);

  afterAll(async () => {
    await client.close();
    await server.stop();
  });

  it('creates, gets, replaces and deletes', async () => {
    const made = (await client.request({
      method: 'POST',
      path: collection,
      body: configMap('made', {a: '1'}),
    })) as object;
    expect(made).toMatchObject({data: {a: '1'}});
    const one: KubeRequest = {method: 'GET', path: `${collection}/made`};
    expect(await client.request(one)).toEqual(made);
    expect(await client.request({...one, method: 'PUT', body: {...made, data: {a: '2'}}})).toMatchObject({
      data: {a: '2'},
    });
    const body = {propagationPolicy: 'Background'};
    expect(await client.request({...one, method: 'DELETE', body})).toMatchObject({kind: 'Status', status: 'Success'});
    expect(await failed(client.request(one))).toMatchObject({
      message: `GET ${collection}/made: 404 NotFound: configmaps "made" not found`,
      status: 404,
      reason: 'NotFound',
    });
  });

  it('applies, twice without a change', async () => {
    const apply: KubeRequest = {
      method: 'PATCH',
      path: `${collection}/applied`,
      query: {fieldManager: 'modelroute', force: true},
      contentType: 'application/apply-patch+yaml',
      body: configMap('applied', {a: '1'}),
    };
    const first = await client.request(apply);
    expect(first).toMatchObject({metadata: {managedFields: [{manager: 'modelroute', operation: 'Apply'}]}});
    expect(await client.request(apply)).toEqual(first);
  });

  it('throws on a conflict and on an object that exists', async () => {
    const body = configMap('taken', {});
    await client.request({method: 'POST', path: collection, body});
    expect(await failed(client.request({method: 'POST', path: collection, body}))).toMatchObject({
      status: 409,
      reason: 'AlreadyExists',
    });
    const old = {...body, metadata: {name: 'taken', resourceVersion: '1'}};
    expect(await failed(client.request({method: 'PUT', path: `${collection}/taken`, body: old}))).toMatchObject({
      status: 409,
      reason: 'Conflict',
    });
  });

  it('throws if the token is refused', async () => {
    const stranger = startClient({server: server.url, caFile: server.ca, token: 'wrong'});
    expect(await failed(stranger.request({method: 'GET', path: collection}))).toMatchObject({
      status: 401,
      reason: 'Unauthorized',
    });
  });

  it('watches', async () => {
    const list = (await client.request({method: 'GET', path: collection})) as {metadata: {resourceVersion: string}};
    const {resourceVersion} = list.metadata;
    const query = {watch: true, resourceVersion, fieldSelector: 'metadata.name=watched'};
    const lines = client.stream({method: 'GET', path: collection, query})[Symbol.asyncIterator]();
    const first = lines.next();
    await client.request({method: 'POST', path: collection, body: configMap('watched', {a: 'ä'})});
    expect((await first).value).toMatchObject({type: 'ADDED', object: {data: {a: 'ä'}}});
    await client.request({method: 'DELETE', path: `${collection}/watched`});
    expect((await lines.next()).value).toMatchObject({type: 'DELETED'});
    await lines.return?.();
  });

  it('watches until the server ends it', async () => {
    const query = {watch: true, timeoutSeconds: 1, fieldSelector: 'metadata.name=nobody'};
    expect(await linesOf(client.stream({method: 'GET', path: collection, query}))).toEqual([]);
  });

  it('throws on a watch of what is not served', async () => {
    const watch: KubeRequest = {method: 'GET', path: '/api/v1/nothings', query: {watch: true}};
    expect(await failed(linesOf(client.stream(watch)))).toMatchObject({status: 404});
  });
});
