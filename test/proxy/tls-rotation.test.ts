import {afterEach, describe, expect, it} from '@jest/globals';
import type {Backend, BackendTls} from '../../operator/api/generated.ts';
import {secret} from '../objects.ts';
import {until} from '../until.ts';
import {createCa, createCertificate, type Certificate} from './certificates.ts';
import {chatBody, keeper, post, startHarness, type Harness, type Setup} from './harness.ts';
import {liveView} from './ladder.ts';
import {done, finish, readBody, role, token} from './streams.ts';
import {startTlsBackend} from './tls-backend.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const names = ['127.0.0.1'];
const oldCa = createCa('Old CA');
const newCa = createCa('New CA');
const oldServer = createCertificate('server', {issuer: oldCa, names});
const newServer = createCertificate('server', {issuer: newCa, names});

const tls: BackendTls = {caRef: {name: 'ca'}, clientCertRef: {name: 'client'}};

type Trust = {cas: Certificate[]; client: Certificate};

/** Each version of a Secret has a number of its own, as the API server counts them. */
let versions = 0;

const setupFor = (url: string, {cas, client}: Trust, backend: Partial<Backend> = {}): Setup => {
  const resourceVersion = String((versions += 1));
  return {
    routes: {
      backends: [{name: 'local', url, tls, ...backend}],
      circuitBreaker: {consecutiveFailures: 1, openDuration: '1h', maxOpenDuration: '1h'},
    },
    secrets: [
      secret({name: 'ca', resourceVersion, values: {'ca.crt': cas.map(({cert}) => cert).join('')}}),
      secret({name: 'client', resourceVersion, values: {'tls.crt': client.cert, 'tls.key': client.key}}),
    ],
  };
};

const clientNamed = (name: string): Certificate => createCertificate(name, {issuer: oldCa});

type Load = {
  statuses: number[];
  /** Until so many more have been answered. */
  goOn(requests: number): Promise<void>;
  stop(): Promise<void>;
};

/** Callers that ask again as soon as they are answered. */
function startLoad(proxy: Harness, callers: number): Load {
  const statuses: number[] = [];
  const stopping = new AbortController();
  const call = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const response = await post(proxy.url, chatBody());
      await response.text();
      statuses.push(response.status);
    }
  };
  const calls = Array.from({length: callers}, call);
  return {
    statuses,
    async goOn(requests) {
      const goal = statuses.length + requests;
      await until(() => statuses.length >= goal, 'more answers');
    },
    async stop() {
      stopping.abort();
      await Promise.all(calls);
    },
  };
}

describe('a changed Secret', () => {
  it('rotates CA and client certificate under load without a failed request', async () => {
    const backend = await keep(startTlsBackend({certificate: oldServer, clientCa: oldCa}));
    const [first, second] = [clientNamed('first'), clientNamed('second')];
    const proxy = await keep(startHarness(setupFor(backend.url, {cas: [oldCa], client: first})));
    const load = startLoad(proxy, 8);
    await load.goOn(20);
    proxy.update(setupFor(backend.url, {cas: [oldCa, newCa], client: first}));
    await load.goOn(20);
    backend.setCertificate(newServer);
    backend.closeIdle();
    await load.goOn(20);
    proxy.update(setupFor(backend.url, {cas: [newCa], client: second}));
    await load.goOn(20);
    await load.stop();
    expect(load.statuses.filter((status) => status !== 200)).toEqual([]);
    expect(backend.clients.at(-1)).toBe('second');
    expect(backend.clients.lastIndexOf('first')).toBeLessThan(backend.clients.length - 4);
  });

  it('is for new connections at once, and lets go of the idle ones', async () => {
    const backend = await keep(startTlsBackend({certificate: oldServer, clientCa: oldCa}));
    const proxy = await keep(startHarness(setupFor(backend.url, {cas: [oldCa], client: clientNamed('first')})));
    const ask = async (): Promise<number> => (await post(proxy.url, chatBody())).status;
    expect(await ask()).toBe(200);
    proxy.update(setupFor(backend.url, {cas: [oldCa], client: clientNamed('second')}));
    expect(await ask()).toBe(200);
    expect(backend.clients).toEqual(['first', 'second']);
    expect(backend.connections.map(({resumed}) => resumed)).toEqual([false, false]);
    await until(() => backend.open() === 1, 'the old connection to be closed');
    proxy.update(setupFor(backend.url, {cas: [newCa], client: clientNamed('third')}));
    expect(await ask()).toBe(502);
  });

  it('lets a stream that runs go on to its end', async () => {
    const backend = await keep(startTlsBackend({certificate: oldServer, clientCa: oldCa}));
    const proxy = await keep(startHarness(setupFor(backend.url, {cas: [oldCa], client: clientNamed('first')})));
    const body = readBody(await post(proxy.url, chatBody({stream: true})));
    await body.untilHas('One');
    proxy.update(setupFor(backend.url, {cas: [newCa], client: clientNamed('second')}));
    expect((await liveView(proxy, 'local')).inFlight).toBe(1);
    backend.finishStreams();
    expect(await body.rest()).toBe(role() + token('One') + token(' two') + finish() + done);
    await until(() => backend.open() === 0, 'its connection to be closed');
  });

  it('closes the breaker that the one before has opened', async () => {
    const backend = await keep(startTlsBackend({certificate: oldServer, clientCa: oldCa}));
    const client = clientNamed('first');
    const proxy = await keep(startHarness(setupFor(backend.url, {cas: [newCa], client})));
    expect((await post(proxy.url, chatBody())).status).toBe(502);
    expect((await liveView(proxy, 'local')).breaker).toBe('Open');
    proxy.update(setupFor(backend.url, {cas: [oldCa], client}));
    expect(await liveView(proxy, 'local')).toMatchObject({breaker: 'Closed', lastError: null});
    expect((await post(proxy.url, chatBody())).status).toBe(200);
  });

  it('of which nothing has changed leaves connections and breaker as they are', async () => {
    const backend = await keep(startTlsBackend({certificate: oldServer, clientCa: oldCa}));
    const setup = setupFor(backend.url, {cas: [oldCa], client: clientNamed('first')});
    const proxy = await keep(startHarness(setup));
    for (let times = 0; times < 3; times += 1) {
      expect((await post(proxy.url, chatBody())).status).toBe(200);
      proxy.update(setup);
    }
    expect(backend.connections).toHaveLength(1);
    proxy.update({...setup, routes: {backends: [{name: 'local', url: backend.url, tls, weight: 7}]}});
    expect((await post(proxy.url, chatBody())).status).toBe(200);
    expect(backend.connections).toHaveLength(1);
  });
});
