/** From a kubeconfig, or a pod's files, to an answer of an API server. */
import {chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import {createServer as createHttpsServer, type ServerOptions} from 'node:https';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {TLSSocket} from 'node:tls';
import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest} from '@jest/globals';
import {stringify} from 'yaml';
import {createKubeClient, type KubeClient} from '../../kube/client.ts';
import {loadAccess, type Access, type AccessOptions} from '../../operator/cluster/access.ts';
import {systemClock} from '../../proxy/engine/clock.ts';
import {findAssets} from '../api-server/assets.ts';
import {startApiServer, type ApiServer} from '../api-server/start.ts';
import {createCa, createCertificate} from '../proxy/certificates.ts';

jest.setTimeout(120_000);

const assets = findAssets((line) => process.stderr.write(line));
const describeWithServer = assets === undefined ? describe.skip : describe;

let folder: string;
const closers: (() => unknown)[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'modelroute-access-'));
});
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
  rmSync(folder, {recursive: true});
});

const file = (name: string, text = ''): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};
const base64 = (text: string): string => Buffer.from(text).toString('base64');

type Parts = {cluster?: object; user?: object; context?: object; rest?: object};

/** With one context, `here`. */
const kubeconfig = ({cluster = {}, user = {}, context = {}, rest = {}}: Parts, name = 'config'): string =>
  file(
    name,
    stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'here',
      clusters: [{name: 'main', cluster: {server: 'https://127.0.0.1:1', ...cluster}}],
      users: [{name: 'me', user}],
      contexts: [{name: 'here', context: {cluster: 'main', user: 'me', ...context}}],
      ...rest,
    }),
  );

const load = (options: Partial<AccessOptions>): Access => loadAccess({environment: {}, clock: systemClock, ...options});

const connect = ({config}: Access): KubeClient => {
  const client = createKubeClient({config, clock: systemClock, random: () => 0, deadlineMs: 20_000});
  closers.push(() => client.close());
  return client;
};

const ask = (parts: Parts): Promise<unknown> =>
  connect(load({kubeconfig: kubeconfig(parts)})).request({method: 'GET', path: '/version'});

type Seen = {
  authorization: string | undefined;
  peer: string | undefined;
  servername: TLSSocket['servername'] | undefined;
};

type Fake = {server: string; seen: Seen[]};

/** Takes whoever has this token, which may change; without one, everybody. */
async function startFake(
  options: ServerOptions | undefined,
  token: () => string | undefined = () => undefined,
): Promise<Fake> {
  const seen: Seen[] = [];
  const answer = ({headers, socket}: IncomingMessage, response: ServerResponse): void => {
    const {authorization} = headers;
    const tls = socket as TLSSocket; // or less than that
    seen.push({
      authorization,
      peer: tls.getPeerCertificate?.().subject?.CN as string | undefined,
      servername: tls.servername,
    });
    const wanted = token();
    response.writeHead(wanted === undefined || authorization === `Bearer ${wanted}` ? 200 : 401).end('{}');
  };
  const server: Server = options === undefined ? createHttpServer(answer) : createHttpsServer(options, answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(
    () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  );
  const {port} = server.address() as AddressInfo;
  return {server: `${options === undefined ? 'http' : 'https'}://127.0.0.1:${port}`, seen};
}

describeWithServer('a real API server', () => {
  let server: ApiServer;
  beforeAll(async () => {
    server = await startApiServer(assets ?? '');
  });
  afterAll(() => server.stop());

  const list = (client: KubeClient): Promise<unknown> => client.request({method: 'GET', path: '/api/v1/namespaces'});

  it('is reached with a kubeconfig that holds everything', async () => {
    const cluster = {server: server.url, 'certificate-authority-data': base64(readFileSync(server.ca, 'utf8'))};
    const access = load({kubeconfig: kubeconfig({cluster, user: {token: server.token}})});
    expect(access.from).toBe(`context here of ${join(folder, 'config')}`);
    expect(await list(connect(access))).toMatchObject({kind: 'NamespaceList'});
  });

  it('is reached with a kubeconfig that names files, by paths relative to its own', async () => {
    file('ca.crt', readFileSync(server.ca, 'utf8'));
    file('token', `${server.token}\n`);
    const cluster = {server: server.url, 'certificate-authority': 'ca.crt'};
    const access = load({kubeconfig: kubeconfig({cluster, user: {token: 'old', tokenFile: 'token'}})});
    expect(await list(connect(access))).toMatchObject({kind: 'NamespaceList'});
  });
});

describe('a kubeconfig', () => {
  it('may have a client certificate, as data or as files', async () => {
    const ca = createCa();
    const {cert, key} = createCertificate('server', {issuer: ca, names: ['127.0.0.1']});
    const own = createCertificate('me', {issuer: ca});
    file('me.crt', own.cert);
    file('me.key', own.key);
    const {server, seen} = await startFake({cert, key, ca: ca.cert, requestCert: true});
    const cluster = {server, 'certificate-authority-data': base64(ca.cert)};
    await ask({cluster, user: {'client-certificate-data': base64(own.cert), 'client-key-data': base64(own.key)}});
    await ask({cluster, user: {'client-certificate': 'me.crt', 'client-key': 'me.key'}});
    expect(seen.map(({peer}) => peer)).toEqual(['me', 'me']);
  });

  it('may name the server otherwise than its address', async () => {
    const ca = createCa();
    const {cert, key} = createCertificate('server', {issuer: ca, names: ['kubernetes.example']});
    const {server, seen} = await startFake({cert, key});
    const cluster = {server, 'certificate-authority-data': base64(ca.cert)};
    await expect(ask({cluster})).rejects.toThrow(/cannot connect: .*altnames/);
    await ask({cluster: {...cluster, 'tls-server-name': 'kubernetes.example'}});
    expect(seen).toMatchObject([{servername: 'kubernetes.example'}]);
  });

  it('may trust any server, if it says so', async () => {
    const {cert, key} = createCertificate('server', {names: ['elsewhere.example']});
    const {server} = await startFake({cert, key});
    await expect(ask({cluster: {server}})).rejects.toThrow('cannot connect: ');
    expect(await ask({cluster: {server, 'insecure-skip-tls-verify': true}})).toEqual({});
  });

  it('may go without TLS, as to kubectl proxy', async () => {
    const {server} = await startFake(undefined);
    expect(await ask({cluster: {server}})).toEqual({});
  });

  it('may name a file with a token, which is read again when it is refused', async () => {
    let wanted = 'one';
    const {server, seen} = await startFake(undefined, () => wanted);
    file('token', 'one\n');
    const client = connect(load({kubeconfig: kubeconfig({cluster: {server}, user: {tokenFile: 'token'}})}));
    await client.request({method: 'GET', path: '/version'});
    wanted = 'two';
    file('token', 'two\n');
    await client.request({method: 'GET', path: '/version'});
    expect(seen.map(({authorization}) => authorization)).toEqual(['Bearer one', 'Bearer one', 'Bearer two']);
  });

  /** Says the token in the file `token`, and counts how often it was run. */
  const command = (): string => {
    const path = file(
      'get-token',
      `#!/bin/sh
echo x >> ${join(folder, 'runs')}
[ -s ${join(folder, 'token')} ] || { echo 'please log in' >&2; exit 1; }
echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"'$(cat ${join(folder, 'token')})'"}}'
`,
    );
    chmodSync(path, 0o755);
    return path;
  };
  const runs = (): number => readFileSync(join(folder, 'runs'), 'utf8').trim().split('\n').length;

  it('may have a command that says the token, which is run again, once, when that is refused', async () => {
    let wanted = 'one';
    const {server, seen} = await startFake(undefined, () => wanted);
    file('token', 'one');
    const exec = {apiVersion: 'client.authentication.k8s.io/v1', command: command(), interactiveMode: 'Never'};
    const client = connect(load({kubeconfig: kubeconfig({cluster: {server}, user: {exec}})}));
    const askFive = (): Promise<unknown> =>
      Promise.all(Array.from({length: 5}, () => client.request({method: 'GET', path: '/version'})));
    await askFive();
    await askFive();
    expect(runs()).toBe(1);
    wanted = 'two';
    file('token', 'two');
    await askFive();
    expect(runs()).toBe(2);
    expect(seen.at(-1)?.authorization).toBe('Bearer two');
  });

  it('tells what its command says if it fails, and does not give up', async () => {
    const {server} = await startFake(undefined, () => 'one');
    file('token');
    const exec = {apiVersion: 'client.authentication.k8s.io/v1', command: command(), interactiveMode: 'Never'};
    const {config} = load({kubeconfig: kubeconfig({cluster: {server}, user: {exec}})});
    await expect(config.source?.current()).rejects.toThrow(
      'no credentials for the user of the kubeconfig: please log in',
    );
    const asked = connect({config, from: ''}).request({method: 'GET', path: '/version'});
    file('token', 'one');
    expect(await asked).toEqual({});
  });

  it('may have several contexts, of which one is asked for', async () => {
    const {server, seen} = await startFake(undefined);
    const users = [
      {name: 'me', user: {token: 'mine'}},
      {name: 'you', user: {token: 'yours'}},
    ];
    const contexts = [
      {name: 'here', context: {cluster: 'main', user: 'me'}},
      {name: 'there', context: {cluster: 'main', user: 'you'}},
    ];
    const path = kubeconfig({cluster: {server}, rest: {users, contexts}});
    for (const context of [undefined, 'there']) {
      const access = load({kubeconfig: path, ...(context !== undefined && {context})});
      await connect(access).request({method: 'GET', path: '/version'});
    }
    expect(seen.map(({authorization}) => authorization)).toEqual(['Bearer mine', 'Bearer yours']);
  });

  it('may be several files in KUBECONFIG, of which the first that says something holds', async () => {
    const {server, seen} = await startFake(undefined);
    const first = kubeconfig({cluster: {server}, user: {token: 'first'}, rest: {contexts: []}}, 'first');
    const rest = {users: [{name: 'me', user: {token: 'second'}}], 'current-context': 'other'};
    const second = kubeconfig({context: {}, rest}, 'second');
    const access = load({environment: {KUBECONFIG: `${first}::${second}`}});
    await connect(access).request({method: 'GET', path: '/version'});
    expect(seen.map(({authorization}) => authorization)).toEqual(['Bearer first']);
  });

  it('is looked for at home', () => {
    mkdirSync(join(folder, '.kube'));
    kubeconfig({}, '.kube/config');
    expect(load({environment: {HOME: folder}}).from).toBe(`context here of ${join(folder, '.kube/config')}`);
  });
});

describe('what cannot be used', () => {
  const contexts = [
    {name: 'a', context: {cluster: 'main', user: 'me'}},
    {name: 'b', context: {cluster: 'other', user: 'me'}},
    {name: 'c', context: {cluster: 'main', user: 'you'}},
  ];

  it.each([
    ['a context that is not there', {rest: {contexts}}, 'x', 'it has no context x; it has: a, b, c'],
    [
      'no context at all',
      {rest: {contexts: [], 'current-context': ''}},
      undefined,
      'it has no current-context: name one of its contexts (none)',
    ],
    [
      'no current context',
      {rest: {contexts, 'current-context': ''}},
      undefined,
      'it has no current-context: name one of its contexts (a, b, c)',
    ],
    ['a cluster that is not there', {rest: {contexts}}, 'b', 'the cluster other of its context b is not in it'],
    ['a user that is not there', {rest: {contexts}}, 'c', 'the user you of its context c is not in it'],
    [
      'a proxy',
      {cluster: {'proxy-url': 'http://proxy:1'}},
      undefined,
      'proxy-url of the cluster main is not supported',
    ],
    ['a password', {user: {username: 'u', password: 'p4ss'}}, undefined, 'username of the user me is not supported'],
    ['impersonation', {user: {as: 'you'}}, undefined, 'as of the user me is not supported'],
  ])('is named: %s', (_title, parts, context, words) => {
    const path = kubeconfig(parts);
    expect(() => load({kubeconfig: path, ...(context !== undefined && {context})})).toThrow(
      `cannot use the kubeconfig ${path}: ${words}`,
    );
  });

  it.each([
    ['missing', undefined, /ENOENT/],
    ['empty', '', /it is no kubeconfig/],
    ['no YAML', '{', /.+/],
    ['a list', '[]', /it is no kubeconfig/],
    ['without a server', 'clusters: [{name: a, cluster: {}}]', /clusters\[0\].cluster.server is missing/],
  ])('is a kubeconfig that is %s', (_title, text, words) => {
    const path = text === undefined ? join(folder, 'none') : file('config', text);
    expect(() => load({kubeconfig: path})).toThrow(words);
    expect(() => load({kubeconfig: path})).toThrow(`cannot read the kubeconfig ${path}: `);
  });

  it('is a CA that is none, and a token that no header could hold', async () => {
    const cluster = {'certificate-authority-data': base64('nonsense')};
    const noCa = load({kubeconfig: kubeconfig({cluster})}).config.source;
    await expect(noCa?.current()).rejects.toThrow(
      'certificate-authority of the kubeconfig holds no certificate in PEM',
    );
    const noToken = load({kubeconfig: kubeconfig({user: {token: 'a b'}})}).config.source;
    await expect(noToken?.current()).rejects.toThrow('the user of the kubeconfig has no token that could be sent');
  });
});

describe('without a kubeconfig', () => {
  it('it is said what was looked for', () => {
    expect(() => load({environment: {HOME: folder}})).toThrow(
      'there is no kubeconfig (--kubeconfig, KUBECONFIG, ~/.kube/config), and KUBERNETES_SERVICE_HOST is not set',
    );
  });

  it('a pod has its own way, unless a context is asked for', () => {
    mkdirSync(join(folder, '.kube'));
    kubeconfig({}, '.kube/config');
    const environment = {HOME: folder, KUBERNETES_SERVICE_HOST: '10.0.0.1', KUBERNETES_SERVICE_PORT: '443'};
    expect(() => load({environment})).toThrow(/serviceaccount\/token does not exist/); // as far as one gets outside of a pod
    expect(load({environment, context: 'here'}).from).toContain('context here of ');
  });
});
