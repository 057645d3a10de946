import {createServer as createPlainServer} from 'node:http';
import {createServer as createSocketServer, type AddressInfo, type Server} from 'node:net';
import {setFlagsFromString} from 'node:v8';
import {runInNewContext} from 'node:vm';
import {afterEach, describe, expect, it} from '@jest/globals';
import type {Backend, BackendTls} from '../../operator/api/generated.ts';
import type {SecretValue} from '../../operator/plan/world.ts';
import {secret} from '../objects.ts';
import {until} from '../until.ts';
import {createCa, createCertificate, type Certificate} from './certificates.ts';
import {chatBody, keeper, post, startHarness, startUpstream, type Harness, type Setup} from './harness.ts';
import {errorOf, liveView, podsBackend, podsOf} from './ladder.ts';
import {startOpensslServer, startTlsBackend, type TlsBackendOptions} from './tls-backend.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const ca = createCa();
const otherCa = createCa('Other CA');
const names = ['127.0.0.1', 'model.example'];
const server = createCertificate('server', {issuer: ca, names});
const client = createCertificate('client', {issuer: ca});

const dayMs = 86_400_000;
const ago = (days: number): Date => new Date(Date.now() - days * dayMs);

const caSecret = (...cas: Certificate[]): SecretValue =>
  secret({name: 'ca', uid: 'uid-ca', values: {'ca.crt': cas.map(({cert}) => cert).join('')}});

const clientSecret = ({cert, key}: Certificate, name = 'client'): SecretValue =>
  secret({name, uid: `uid-${name}`, values: {'tls.crt': cert, 'tls.key': key}});

const trusting: BackendTls = {caRef: {name: 'ca'}};
const showing: BackendTls = {...trusting, clientCertRef: {name: 'client'}};

const impatient = {consecutiveFailures: 1, openDuration: '1h', maxOpenDuration: '1h'};

const ask = async (proxy: Harness): Promise<number> => {
  const response = await post(proxy.url, chatBody());
  await response.text();
  return response.status;
};

const startTo = (backend: Partial<Backend>, rest: Omit<Setup, 'routes'> = {}): Promise<Harness> =>
  keep(startHarness({routes: {backends: [{name: 'local', ...backend}]}, secrets: [caSecret(ca)], ...rest}));

describe('TLS to a backend', () => {
  it('trusts the CA of a Secret, and expects the host of the URL', async () => {
    const backend = await keep(startTlsBackend({certificate: server}));
    const proxy = await startTo({url: backend.url, tls: trusting});
    expect([await ask(proxy), await ask(proxy)]).toEqual([200, 200]);
    expect(backend.connections).toEqual([expect.objectContaining({serverName: false, resumed: false})]);
  });

  it('asks for serverName, and expects it', async () => {
    const certificate = createCertificate('server', {issuer: ca, names: ['model.example']});
    const backend = await keep(startTlsBackend({certificate}));
    const proxy = await startTo({url: backend.url, tls: {...trusting, serverName: 'model.example'}});
    expect(await ask(proxy)).toBe(200);
    expect(backend.connections[0]?.serverName).toBe('model.example');
  });

  it('expects an address if serverName is one', async () => {
    const certificate = createCertificate('server', {issuer: ca, names: ['10.9.8.7']});
    const backend = await keep(startTlsBackend({certificate}));
    const proxy = await startTo({url: backend.url, tls: {...trusting, serverName: '10.9.8.7'}});
    expect(await ask(proxy)).toBe(200);
    expect(backend.connections[0]?.serverName).toBe(false);
  });

  it('expects the name of the Service at each of its pods', async () => {
    const certificate = createCertificate('server', {issuer: ca, names: ['pods.team-a.svc']});
    const pods = [await keep(startTlsBackend({certificate})), await keep(startTlsBackend({certificate}))];
    const proxy = await keep(
      startHarness({
        routes: {backends: [podsBackend(pods, {tls: trusting})], loadBalancing: {strategy: 'RoundRobin'}},
        slices: podsOf(pods),
        secrets: [caSecret(ca)],
      }),
    );
    expect([await ask(proxy), await ask(proxy)]).toEqual([200, 200]);
    expect(pods.flatMap(({connections}) => connections.map(({serverName}) => serverName))).toEqual([
      'pods.team-a.svc',
      'pods.team-a.svc',
    ]);
  });

  it('is spoken to a Service if and only if tls is there, be it empty', async () => {
    const pods = [await keep(startTlsBackend({certificate: server}))];
    const setup = (tls?: BackendTls): Setup => ({
      routes: {backends: [podsBackend(pods, tls && {tls})]},
      slices: podsOf(pods),
    });
    const proxy = await keep(startHarness(setup({})));
    expect((await errorOf(await post(proxy.url, chatBody()))).message).toContain('signed by an unknown CA');
    proxy.update(setup());
    expect((await errorOf(await post(proxy.url, chatBody()))).message).not.toContain('unknown CA');
    expect(pods[0]?.connections).toEqual([]);
  });

  it('is spoken to an https URL without tls too, with what the system trusts', async () => {
    const backend = await keep(startTlsBackend({certificate: server}));
    const proxy = await startTo({url: backend.url});
    expect((await errorOf(await post(proxy.url, chatBody()))).message).toContain('signed by an unknown CA');
  });

  it('shows the client certificate', async () => {
    const backend = await keep(startTlsBackend({certificate: server, clientCa: ca}));
    const proxy = await startTo({url: backend.url, tls: showing}, {secrets: [caSecret(ca), clientSecret(client)]});
    expect(await ask(proxy)).toBe(200);
    expect(backend.clients).toEqual(['client']);
  });

  it('never lends a connection to a backend with another client certificate', async () => {
    const backend = await keep(startTlsBackend({certificate: server, clientCa: ca}));
    const as = (name: string): Backend => ({
      name,
      url: backend.url,
      tls: {...trusting, clientCertRef: {name}},
    });
    const proxy = await keep(
      startHarness({
        routes: {one: {backends: [as('first')]}, two: {backends: [as('second')]}, three: {backends: [as('first')]}},
        secrets: [
          caSecret(ca),
          clientSecret(createCertificate('first', {issuer: ca}), 'first'),
          clientSecret(createCertificate('second', {issuer: ca}), 'second'),
        ],
      }),
    );
    for (const model of ['one', 'two', 'three', 'two', 'one'])
      expect((await post(proxy.url, chatBody({model}))).status).toBe(200);
    expect(backend.clients).toEqual(['first', 'second', 'first', 'second', 'first']);
    expect(backend.connections.map((each) => each.client)).toEqual(['first', 'second']); // equal ones do share
  });
});

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

describe('a TLS session', () => {
  it.each(['TLSv1.2', 'TLSv1.3'] as const)('is resumed by the next connection (%s)', async (version) => {
    const backend = await keep(startTlsBackend({certificate: server, version}));
    const proxy = await startTo({url: backend.url, tls: trusting});
    for (let connection = 1; connection <= 3; connection += 1) {
      expect(await ask(proxy)).toBe(200);
      backend.closeIdle();
      await until(async () => (await connectionsOf(proxy)) === 0, 'the connection to be closed');
      collectGarbage();
    }
    expect(backend.connections.map(({protocol, resumed}) => `${protocol} ${resumed}`)).toEqual([
      `${version} false`,
      `${version} true`,
      `${version} true`,
    ]);
  });

  it('is not resumed with another CA: what was trusted before proves nothing', async () => {
    const backend = await keep(startTlsBackend({certificate: server}));
    const setup = (resourceVersion: string, trusted: Certificate): Setup => ({
      routes: {backends: [{name: 'local', url: backend.url, tls: trusting}]},
      secrets: [{...caSecret(trusted), resourceVersion}],
    });
    const proxy = await keep(startHarness(setup('1', ca)));
    expect(await ask(proxy)).toBe(200);
    proxy.update(setup('2', otherCa));
    expect(await ask(proxy)).toBe(502);
    expect(backend.connections.some(({resumed}) => resumed)).toBe(false);
  });
});

const connectionsOf = async (proxy: Harness): Promise<number> => {
  const {endpoints} = await liveView(proxy, 'local');
  return (endpoints as unknown as {connections: number}[]).reduce((sum, {connections}) => sum + connections, 0);
};

type Opened = {port: number; close(): Promise<void>};

const opened = async (listening: Server): Promise<Opened> => {
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  return {
    port: (listening.address() as AddressInfo).port,
    close: () => new Promise((resolve) => listening.close(() => resolve())),
  };
};

const speaking =
  (options: Partial<TlsBackendOptions>): (() => Promise<Opened>) =>
  () =>
    startTlsBackend({certificate: server, ...options});

const issued = (options: Parameters<typeof createCertificate>[1]): (() => Promise<Opened>) =>
  speaking({certificate: createCertificate('server', {issuer: ca, names, ...options})});

type Fault = {start: () => Promise<Opened>; tls?: BackendTls; shown?: Certificate; says: string};

const stranger = createCertificate('stranger', {issuer: otherCa});
const expiredClient = createCertificate('expired', {issuer: ca, notBefore: ago(2), notAfter: ago(1)});
const selfSigned = createCertificate('server', {names});

const faults: Record<string, Fault> = {
  'whose certificate has expired': {
    start: issued({notBefore: ago(2), notAfter: ago(1)}),
    says: 'its certificate has expired',
  },
  'whose certificate is not valid yet': {
    start: issued({notBefore: ago(-1), notAfter: ago(-2)}),
    says: 'its certificate is not valid yet',
  },
  'whose certificate is for another name': {
    start: issued({names: ['other.example']}),
    says: 'its certificate is for other names than the one expected (tls.serverName)',
  },
  'whose certificate is for another name than serverName': {
    start: speaking({}),
    tls: {...trusting, serverName: 'other.example'},
    says: 'its certificate is for other names than the one expected (tls.serverName)',
  },
  'whose CA is not the one of caRef': {
    start: issued({issuer: otherCa}),
    says: 'its certificate is signed by an unknown CA',
  },
  'whose CA has the name of the one of caRef alone': {
    start: issued({issuer: createCa(ca.name)}),
    says: 'its certificate is signed by an unknown CA',
  },
  'whose chain ends in an unknown CA': {
    start: speaking({certificate: {...stranger, cert: stranger.cert + otherCa.cert}}),
    says: 'its certificate is signed by an unknown CA',
  },
  'whose certificate is self-signed': {
    start: speaking({certificate: selfSigned}),
    says: 'its certificate is self-signed',
  },
  'that wants a client certificate': {
    start: speaking({clientCa: ca}),
    says: 'it asks for a client certificate (tls.clientCertRef)',
  },
  'that wants a client certificate, in TLS 1.2': {
    start: speaking({clientCa: ca, version: 'TLSv1.2'}),
    says: 'it refused the TLS handshake: it may want a client certificate (tls.clientCertRef)',
  },
  'that does not know the CA of the client certificate': {
    start: () => startOpensslServer(server, ca, 'tls1_3'),
    tls: showing,
    shown: stranger,
    says: 'it refused the client certificate: it does not know its CA',
  },
  'that does not know the CA of the client certificate, in TLS 1.2': {
    start: () => startOpensslServer(server, ca, 'tls1_2'),
    tls: showing,
    shown: stranger,
    says: 'it refused the client certificate: it does not know its CA',
  },
  'that is shown an expired client certificate': {
    start: () => startOpensslServer(server, ca, 'tls1_3'),
    tls: showing,
    shown: expiredClient,
    says: 'it refused the client certificate: it has expired',
  },
  'that speaks plain HTTP': {
    start: () => opened(createPlainServer((_, response) => response.end())),
    says: 'it does not speak TLS',
  },
  'that speaks something else': {
    start: () =>
      opened(
        createSocketServer((socket) =>
          socket
            .on('error', () => {})
            .resume()
            .end('SSH-2.0-OpenSSH_9.2\r\n'),
        ),
      ),
    says: 'it does not speak TLS',
  },
  'that hangs up in the handshake': {
    start: () => opened(createSocketServer((socket) => socket.on('error', () => {}).once('data', () => socket.end()))),
    says: 'it closed the connection in the TLS handshake',
  },
};

describe('a backend', () => {
  it.each(Object.entries(faults))('%s is failed over, and everybody hears what is wrong', async (_, fault) => {
    const {start, tls = trusting, shown = client, says} = fault;
    const local = await keep(start());
    const cloud = await keep(startUpstream({name: 'cloud'}));
    const setup = (more: Backend[]): Setup => ({
      routes: {
        backends: [{name: 'local', url: `https://127.0.0.1:${local.port}/v1`, tls}, ...more],
        circuitBreaker: impatient,
      },
      secrets: [caSecret(ca), clientSecret(shown)],
    });
    const proxy = await keep(startHarness(setup([])));
    const failed = await post(proxy.url, chatBody());
    const text = await failed.text();
    expect(failed.status).toBe(502);
    expect(JSON.parse(text)).toMatchObject({
      error: {
        code: 'backend_connect_failed',
        message: expect.stringContaining(`local could not be connected to: ${says}`),
      },
    });
    expect(text).not.toMatch(new RegExp(`127\\.0\\.0\\.1|${local.port}|model\\.example|other\\.example`));

    proxy.update(setup([{name: 'cloud', url: cloud.url, priority: 1}]));
    expect(await liveView(proxy, 'local')).toMatchObject({breaker: 'Open', lastError: {message: expect.any(String)}});
    const served = await post(proxy.url, chatBody());
    expect([served.status, served.headers.get('x-modelroute-backend')]).toEqual([200, 'cloud']);
    await until(() => proxy.requests().length === 2, 'the log lines');
    expect(proxy.requests()[0]).toMatchObject({
      error: 'backend_connect_failed',
      failures: [expect.stringContaining('local')],
    });
  });
});
