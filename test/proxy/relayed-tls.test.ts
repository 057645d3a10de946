/** TLS to backends of forms and WebSockets, which http-proxy-middleware connects to. */
import {createServer} from 'node:https';
import type {AddressInfo} from 'node:net';
import type {TLSSocket} from 'node:tls';
import {afterEach, describe, expect, it} from '@jest/globals';
import {WebSocketServer} from 'ws';
import type {BackendTls} from '../../operator/api/generated.ts';
import type {SecretValue} from '../../operator/plan/world.ts';
import {secret} from '../objects.ts';
import {createCa, createCertificate, type Certificate} from './certificates.ts';
import {exampleForm, postForm, startFormBackend, transcript} from './form-backend.ts';
import {keeper, startHarness, type Harness, type Setup} from './harness.ts';
import type {ErrorAnswer} from './raw-caller.ts';
import {openRealtime, startRealtimeBackend} from './realtime-backend.ts';
import {startOpensslServer} from './tls-backend.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const ca = createCa();
const otherCa = createCa('Other CA');
const server = createCertificate('server', {issuer: ca, names: ['model.example']});
const client = createCertificate('client', {issuer: ca});

const caSecret = ({cert}: Certificate): SecretValue => secret({name: 'ca', uid: 'uid-ca', values: {'ca.crt': cert}});
const clientSecret = secret({
  name: 'client',
  uid: 'uid-client',
  values: {'tls.crt': client.cert, 'tls.key': client.key},
});
const tls: BackendTls = {caRef: {name: 'ca'}, serverName: 'model.example', clientCertRef: {name: 'client'}};

type Connection = {serverName: unknown; resumed: boolean; client: string | undefined};
type Backend = {
  url: string;
  connections: Connection[];
  setCertificate(certificate: Certificate): void;
  close(): Promise<void>;
};

/** Takes any form, and echoes in any WebSocket. */
async function startBackend(): Promise<Backend> {
  const connections: Connection[] = [];
  const options = {cert: server.cert, key: server.key, ca: ca.cert, requestCert: true};
  const https = createServer(options, (request, response) => {
    request.resume();
    request.on('end', () => response.end('{"text":"Hello."}'));
  });
  https.on('secureConnection', (socket: TLSSocket & {servername?: unknown}) => {
    const subject = socket.getPeerX509Certificate()?.subject;
    connections.push({serverName: socket.servername, resumed: socket.isSessionReused(), client: subject});
  });
  const sockets = new WebSocketServer({server: https});
  sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(data, {binary: false})));
  await new Promise<void>((resolve) => https.listen(0, '127.0.0.1', resolve));
  return {
    url: `https://127.0.0.1:${(https.address() as AddressInfo).port}/v1`,
    connections,
    setCertificate: ({cert, key}) => https.setSecureContext({...options, cert, key}),
    close: () =>
      new Promise((resolve) => {
        for (const each of sockets.clients) each.terminate();
        https.close(() => resolve());
        https.closeAllConnections();
      }),
  };
}

const startProxy = (url: string, trusted = ca, second?: string): Promise<Harness> =>
  keep(
    startHarness({
      routes: {
        backends: [
          {name: 'local', url, tls},
          ...(second === undefined ? [] : [{name: 'second', url: second, priority: 1}]),
        ],
      },
      secrets: [caSecret(trusted), clientSecret],
    }),
  );

const errorIn = (body: string): ErrorAnswer['error'] => (JSON.parse(body) as ErrorAnswer).error;

describe('TLS to a backend', () => {
  it('of a form is spoken as the backend says, and its session taken up again', async () => {
    const backend = await keep(startBackend());
    const proxy = await startProxy(backend.url);
    for (let times = 0; times < 2; times += 1)
      expect(await (await postForm(proxy.url, exampleForm())).json()).toEqual({text: 'Hello.'});
    const connection = {serverName: 'model.example', client: 'CN=client'};
    expect(backend.connections).toMatchObject([
      {...connection, resumed: false},
      {...connection, resumed: true},
    ]);
  });

  it('of a WebSocket is spoken as the backend says', async () => {
    const backend = await keep(startBackend());
    const proxy = await startProxy(backend.url);
    const caller = await keep(openRealtime(proxy.port));
    caller.socket.send('hello');
    await caller.untilHeard('hello');
    expect(backend.connections).toMatchObject([{serverName: 'model.example', client: 'CN=client'}]);
  });

  it('that fails is a failure to connect: nothing was sent, so the next backend is used', async () => {
    const {url} = await keep(startBackend());
    const forms = await keep(startFormBackend(transcript));
    const sockets = await keep(startRealtimeBackend());
    const form = await postForm((await startProxy(url, otherCa, forms.url)).url, exampleForm());
    expect(form.headers.get('x-modelroute-backend')).toBe('second');
    const caller = await keep(openRealtime((await startProxy(url, otherCa, sockets.url)).port));
    expect(caller.headers).toMatchObject({'x-modelroute-backend': 'second'});
  });

  it('that fails says what is wrong', async () => {
    const wrong = await startProxy((await keep(startBackend())).url, otherCa);
    const refusing = async (version: 'tls1_2' | 'tls1_3'): Promise<Harness> => {
      const {port} = await keep(startOpensslServer(server, otherCa, version));
      return startProxy(`https://127.0.0.1:${port}/v1`);
    };
    const cases = [
      {proxy: wrong, fault: 'unknown CA'},
      {proxy: await refusing('tls1_2'), fault: 'refused the client certificate'},
      {proxy: await refusing('tls1_3'), fault: 'refused the client certificate'},
    ];
    for (const {proxy, fault} of cases) {
      const answers = [
        await (await postForm(proxy.url, exampleForm())).text(),
        (await keep(openRealtime(proxy.port))).body,
      ];
      for (const answer of answers) {
        expect(errorIn(answer).code).toBe('backend_connect_failed');
        expect(errorIn(answer).message).toContain(fault);
      }
    }
  });
});

describe('a changed Secret', () => {
  const [second, third] = ['second', 'third'].map((name) => createCertificate(name, {issuer: ca}));
  const newServer = createCertificate('server', {issuer: otherCa, names: ['model.example']});
  let versions = 0;

  /** Each version of a Secret has a number of its own, as the API server counts them. */
  const setupFor = (url: string, cas: Certificate[], own: Certificate): Setup => {
    const resourceVersion = String((versions += 1));
    return {
      routes: {backends: [{name: 'local', url, tls}]},
      secrets: [
        secret({name: 'ca', resourceVersion, values: {'ca.crt': cas.map(({cert}) => cert).join('')}}),
        secret({name: 'client', resourceVersion, values: {'tls.crt': own.cert, 'tls.key': own.key}}),
      ],
    };
  };

  const askForForm = async (proxy: Harness): Promise<number> => {
    const answer = await postForm(proxy.url, exampleForm());
    await answer.text();
    return answer.status;
  };
  const askForSession = async (proxy: Harness): Promise<number> => {
    const caller = await keep(openRealtime(proxy.port));
    await caller.close();
    return caller.status === 101 ? 200 : caller.status;
  };

  it.each<[string, (proxy: Harness) => Promise<number>]>([
    ['forms', askForForm],
    ['WebSockets', askForSession],
  ])('is for the next of the %s at once, client certificate and CA, and no old session is taken up', async (_, ask) => {
    const backend = await keep(startBackend());
    const proxy = await keep(startHarness(setupFor(backend.url, [ca], client)));
    expect(await ask(proxy)).toBe(200);
    proxy.update(setupFor(backend.url, [ca, otherCa], second!));
    expect(await ask(proxy)).toBe(200);
    backend.setCertificate(newServer);
    proxy.update(setupFor(backend.url, [otherCa], third!));
    expect(await ask(proxy)).toBe(200);
    expect(backend.connections.map((each) => each.client)).toEqual(['CN=client', 'CN=second', 'CN=third']);
    expect(backend.connections.map(({resumed}) => resumed)).toEqual([false, false, false]);
    proxy.update(setupFor(backend.url, [ca], third!));
    expect(await ask(proxy)).toBe(502); // trusted no more
  });

  it('lets a session that is open go on', async () => {
    const backend = await keep(startBackend());
    const proxy = await keep(startHarness(setupFor(backend.url, [ca], client)));
    const caller = await keep(openRealtime(proxy.port));
    proxy.update(setupFor(backend.url, [otherCa], second!));
    caller.socket.send('still here');
    await caller.untilHeard('still here');
    expect((await keep(openRealtime(proxy.port))).status).toBe(502);
  });

  it('of which nothing has changed keeps the TLS session', async () => {
    const backend = await keep(startBackend());
    const setup = setupFor(backend.url, [ca], client);
    const proxy = await keep(startHarness(setup));
    for (let times = 0; times < 3; times += 1) {
      expect(await askForForm(proxy)).toBe(200);
      proxy.update(setup);
    }
    expect(backend.connections.map(({resumed}) => resumed)).toEqual([false, true, true]);
  });
});
