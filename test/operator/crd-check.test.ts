/** Whether the operator finds its CRDs, on a real API server. */
import {createServer} from 'node:http';
import type {AddressInfo} from 'node:net';
import {afterAll, afterEach, beforeAll, describe, expect, it, jest} from '@jest/globals';
import {createKubeClient, type KubeClient} from '../../kube/client.ts';
import type {KubeConfig} from '../../kube/credentials.ts';
import {watchCrds, type CrdCheck, type CrdCheckSettings} from '../../operator/cluster/crd-check.ts';
import type {Log} from '../../operator/log.ts';
import {systemClock} from '../../proxy/engine/clock.ts';
import {findAssets} from '../api-server/assets.ts';
import {installCrds} from '../api-server/crds.ts';
import {type ApiServer, startApiServer} from '../api-server/start.ts';
import {createFakeClock, type FakeClock} from '../fake-clock.ts';
import {until} from '../until.ts';

jest.setTimeout(120_000);

const assets = findAssets((line) => process.stderr.write(line));
const describeWithServer = assets === undefined ? describe.skip : describe;

const routes = 'modelroutes.modelroute.dev';
const gateways = 'modelgateways.modelroute.dev';
const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const waitFor = (condition: () => boolean | Promise<boolean>, what: string): Promise<void> =>
  until(condition, what, 30_000);

type Started = {crds: CrdCheck; clock: FakeClock; logged: string[]; isReady: () => boolean; looks: () => number};

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

function start(config: KubeConfig, settings: Partial<CrdCheckSettings> = {}): Started {
  const client = createKubeClient({config, clock: systemClock, random: Math.random, deadlineMs: 2_000});
  closers.push(() => client.close());
  const logged: string[] = [];
  const write =
    (level: string) =>
    (message: string, fields: Record<string, unknown> = {}): void =>
      void logged.push([level, message, ...Object.values(fields)].join(': '));
  const log: Log = {error: write('error'), warn: write('warn'), info: write('info'), debug: write('debug')};
  let looks = 0;
  const counting: KubeClient = {
    ...client,
    request: (request) => client.request(request).finally(() => (looks += 1)),
  };
  const clock = createFakeClock();
  const crds = watchCrds({client: counting, clock, log, ...settings});
  closers.push(() => crds.stop());
  let isReady = false;
  crds.ready().then(
    () => (isReady = true),
    () => {},
  );
  return {crds, clock, logged, isReady: () => isReady, looks: () => looks};
}

/** It has looked at both, so many times, and waits. */
const looked = ({looks, clock}: Started, times: number): Promise<void> =>
  waitFor(() => looks() === 2 * times && clock.pending === 1, `look ${times}`);

const notInstalled = (name: string): string => `the CRD ${name} is not installed: install the chart modelroute-crds`;

describeWithServer('the CRDs, on a real API server', () => {
  let server: ApiServer;
  const config = (): KubeConfig => ({server: server.url, caFile: server.ca, token: server.token});

  beforeAll(async () => {
    server = await startApiServer(assets ?? '');
  });
  afterAll(() => server.stop());

  type Crd = {metadata: {annotations: Record<string, string>}; spec: {versions: {name: string; served: boolean}[]}};
  const change = async (name: string, edit: (crd: Crd) => void): Promise<void> => {
    const {body} = await server.request('GET', `${definitions}/${name}`);
    const crd = body as Crd; // as it was installed
    edit(crd);
    expect(await server.request('PUT', `${definitions}/${name}`, crd)).toMatchObject({status: 200});
  };

  it('are waited for while they are not installed, which is said once, and found when they are', async () => {
    const started = start(config());
    const {crds, clock, logged} = started;
    expect(crds.problem()).toBe('the CRDs have not been looked at yet');
    for (let time = 1; time <= 3; time += 1) {
      await looked(started, time);
      await clock.advance(3_000);
    }
    await looked(started, 4);
    expect(started.isReady()).toBe(false);
    expect(crds.problem()).toBe(`${notInstalled(routes)}; ${notInstalled(gateways)}`);
    expect(logged).toEqual([
      `error: waits for the CRDs: ${notInstalled(routes)}`,
      `error: waits for the CRDs: ${notInstalled(gateways)}`,
    ]);
    await installCrds(server);
    await clock.advance(3_000);
    await crds.ready();
    expect(crds.problem()).toBeUndefined();
    expect(clock.pending).toBe(0);
    expect(logged).toHaveLength(2);
  });

  it('of this release are right', async () => {
    const {crds, logged} = start(config());
    await crds.ready();
    expect(logged).toEqual([]);
  });

  it.each([
    ['lower', '0', 'the CRD modelroutes.modelroute.dev is of schema version 0 and this operator needs 1'],
    ['missing', undefined, 'the CRD modelroutes.modelroute.dev is of schema version 0 and this operator needs 1'],
    ['nonsense', 'new', 'the CRD modelroutes.modelroute.dev is of schema version new and this operator needs 1'],
  ])('are waited for while their schema version is %s', async (_title, version, words) => {
    await change(routes, ({metadata}) => {
      metadata.annotations = version === undefined ? {} : {'modelroute.dev/schema-version': version};
    });
    const started = start(config());
    await looked(started, 1);
    expect(started.logged).toEqual([`error: waits for the CRDs: ${words}: upgrade the chart modelroute-crds`]);
    await change(routes, ({metadata}) => {
      metadata.annotations = {'modelroute.dev/schema-version': '2'}; // of the next release, which serves us too
    });
    await started.clock.advance(3_000);
    await started.crds.ready();
  });

  it('are waited for while they do not serve our version', async () => {
    await change(gateways, ({spec: {versions}}) => {
      versions[0]!.served = false;
    });
    const started = start(config());
    await looked(started, 1);
    expect(started.crds.problem()).toBe(
      `the CRD ${gateways} does not serve v1alpha1: install the chart modelroute-crds of this release`,
    );
    await change(gateways, ({spec: {versions}}) => {
      versions[0]!.served = true;
    });
    await started.clock.advance(3_000);
    await started.crds.ready();
  });

  it('are taken to be right by one who may not read them', async () => {
    const account = '/api/v1/namespaces/narrow/serviceaccounts';
    await server.request('POST', account, {metadata: {name: 'operator'}});
    const {body} = await server.request('POST', `${account}/operator/token`, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {},
    });
    const {token} = (body as {status: {token: string}}).status;
    const {crds, logged} = start({...config(), token});
    await crds.ready();
    expect(crds.problem()).toBeUndefined();
    expect(logged).toEqual([
      `warn: may not read the CRD, and takes it to be right: ${routes}`,
      `warn: may not read the CRD, and takes it to be right: ${gateways}`,
    ]);
  });
});

describe('while the API server', () => {
  it('is away, this is said once, and nothing is given up', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await waitFor(() => server.listening, 'a port');
    const {port} = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    const started = start({server: `http://127.0.0.1:${port}`});
    await looked(started, 1);
    await started.clock.advance(3_000);
    await looked(started, 2);
    expect(started.logged).toHaveLength(2);
    expect(started.logged[0]).toMatch(
      new RegExp(`^error: waits for the CRDs: the CRD ${routes} cannot be read: .*ECONNREFUSED`),
    );
    expect(started.isReady()).toBe(false);
  });

  it('answers with something else, this is said', async () => {
    const server = createServer((_request, response) => void response.end('{}')).listen(0, '127.0.0.1');
    closers.push(() => server.close());
    await waitFor(() => server.listening, 'a port');
    const started = start({server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`});
    await looked(started, 1);
    expect(started.crds.problem()).toBe(`the CRD ${routes} cannot be read; the CRD ${gateways} cannot be read`);
  });

  it('does not answer, it can be stopped', async () => {
    let asked = 0;
    const server = createServer(() => void (asked += 1)).listen(0, '127.0.0.1');
    closers.push(() => {
      server.close();
      server.closeAllConnections();
    });
    await waitFor(() => server.listening, 'a port');
    const {crds, clock, logged} = start({server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`});
    await waitFor(() => asked === 1, 'the request');
    crds.stop();
    await expect(crds.ready()).rejects.toThrow('stopped before the CRDs were there');
    await clock.advance(10_000);
    expect({pending: clock.pending, asked, logged}).toEqual({pending: 0, asked: 1, logged: []});
  });
});
