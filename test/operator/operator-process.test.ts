/** `modelroute operator` as a process: who leads, what it waits for, and what it says when it may not do its work. */
import {once} from 'node:events';
import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterAll, afterEach, beforeAll, describe, expect, it} from '@jest/globals';
import {parse} from 'yaml';
import {crdPaths} from '../../operator/api/crds.ts';
import {findAssets} from '../api-server/assets.ts';
import {installCrds} from '../api-server/crds.ts';
import {type ApiServer, startApiServer} from '../api-server/start.ts';
import {until} from '../until.ts';
import {connect, patienceMs, type Cluster} from './harness.ts';
import {startProcess, writeKubeconfig, type Process} from './process.ts';

const assets = findAssets((line) => process.stderr.write(line));
const describeWithServer = assets === undefined ? describe.skip : describe;
const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const leasePath = '/apis/coordination.k8s.io/v1/namespaces/default/leases/modelroute-operator';

const route = (namespace: string, name: string) => ({
  kind: 'ModelRoute',
  metadata: {namespace, name},
  spec: {backends: [{name: 'cloud', url: 'https://a.example/v1'}]},
});

describeWithServer('modelroute operator', () => {
  let server: ApiServer;
  let cluster: Cluster;
  let folder: string;
  const processes: Process[] = [];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'modelroute-operator-'));
    server = await startApiServer(assets ?? '');
    cluster = connect(server);
  }, 180_000);

  afterEach(async () => {
    for (const started of processes.splice(0)) await started.end();
    // Whoever was killed has not given it up.
    await cluster.client.request({method: 'DELETE', path: leasePath}).catch(() => {});
  });

  afterAll(async () => {
    await cluster.close();
    await server.stop();
    rmSync(folder, {recursive: true, force: true});
  });

  const start = (identity: string, flags: string[] = []): Process => {
    const kubeconfig = writeKubeconfig(folder, server, server.token);
    const needed = ['--proxy-image', 'modelroute:test', '--kubeconfig', kubeconfig, '--identity', identity];
    const started = startProcess(['operator', ...needed, ...flags]);
    processes.push(started);
    return started;
  };

  const exists = (kind: string, namespace: string, name: string): Promise<void> =>
    until(
      async () => (await cluster.get(kind, namespace, name)) !== undefined,
      `there is a ${kind} ${namespace}/${name}`,
      patienceMs,
    );

  it('waits for the CRDs, says which are missing or too old, and goes on when they are there', async () => {
    const operator = start('early');
    await operator.says('operator started');
    await until(() => /not installed/.test(JSON.stringify(operator.log)), 'it says that they are missing', patienceMs);
    expect(await operator.ready()).toBe(503);
    for (const path of crdPaths()) {
      const crd = parse(readFileSync(path, 'utf8')) as {metadata: {annotations: Record<string, string>}};
      crd.metadata.annotations = {...crd.metadata.annotations, 'modelroute.dev/schema-version': '0'};
      await server.request('POST', definitions, crd);
    }
    await until(() => /schema version 0/.test(JSON.stringify(operator.log)), 'it says that they are old', patienceMs);
    expect(await operator.ready()).toBe(503);
    for (const name of ['modelroutes', 'modelgateways'])
      await cluster.client.request({
        method: 'PATCH',
        path: `${definitions}/${name}.modelroute.dev`,
        contentType: 'application/merge-patch+json',
        body: {metadata: {annotations: {'modelroute.dev/schema-version': '1'}}},
      });
    await operator.says('leads');
    expect(await operator.ready()).toBe(200);
    expect(operator.child.exitCode).toBeNull();
    await installCrds(server); // what they are, for the tests that follow
  }, 180_000);

  it('leads alone; another takes over when it is killed, at once when it is stopped', async () => {
    const first = start('first');
    await first.says('leads');
    const second = start('second');
    await second.says('caches synced');
    await cluster.apply(route('handover', 'a'));
    await exists('Deployment', 'handover', 'models');
    expect(second.log.some(({message}) => message === 'leads')).toBe(false);
    expect(second.log.some(({message}) => message.startsWith('child'))).toBe(false);

    first.child.kill('SIGKILL');
    await cluster.apply(route('handover-2', 'a'));
    await second.says('leads');
    await exists('Deployment', 'handover-2', 'models');

    const third = start('third');
    await third.says('caches synced');
    second.child.kill('SIGTERM');
    const [code] = (await once(second.child, 'exit')) as [number | null];
    expect(code).toBe(0);
    await third.says('leads');
    await cluster.apply(route('handover-3', 'a'));
    await exists('Deployment', 'handover-3', 'models');
  }, 240_000);

  it('ends when it has lost the lead', async () => {
    const operator = start('loser');
    await operator.says('leads');
    const lease = (await cluster.client.request({method: 'GET', path: leasePath})) as {spec: object};
    const taken = {...lease, spec: {...lease.spec, holderIdentity: 'usurper'}};
    const exit = once(operator.child, 'exit');
    await until(
      () =>
        cluster.client.request({method: 'PUT', path: leasePath, body: taken}).then(
          () => true,
          async () => {
            Object.assign(taken, await cluster.client.request({method: 'GET', path: leasePath}));
            taken.spec = {...taken.spec, holderIdentity: 'usurper'};
            return false;
          },
        ),
      'the lease is taken',
      patienceMs,
    );
    const [code] = (await exit) as [number | null];
    expect(code).toBe(1);
    expect(operator.log.at(-1)).toMatchObject({message: 'no longer leads', reason: 'AnotherHolder'});
  }, 120_000);

  it('keeps to the namespaces that it is given', async () => {
    const operator = start('narrow', ['--watch-namespaces', 'in-a,in-b']);
    await operator.says('leads');
    await cluster.apply(route('outside', 'a'));
    await cluster.apply(route('in-a', 'a'));
    await cluster.apply(route('in-b', 'a'));
    await exists('Deployment', 'in-a', 'models');
    await exists('Deployment', 'in-b', 'models');
    expect(await cluster.get('ModelGateway', 'outside', 'models')).toBeUndefined();
  }, 120_000);

  it('sends routes without gatewayRef to the shared gateway, and does not make that one', async () => {
    const operator = start('shared', ['--watch-namespaces', 'pool,user', '--default-gateway', 'pool/shared']);
    await operator.says('leads');
    await cluster.apply(route('user', 'a'));
    await cluster.turns(['ModelRoute', 'user', 'a'], 'Accepted', 'False/GatewayNotFound');
    await cluster.apply({
      kind: 'ModelGateway',
      metadata: {namespace: 'pool', name: 'shared'},
      spec: {allowedRoutes: {namespaces: {from: 'All'}}},
    });
    await cluster.turns(['ModelRoute', 'user', 'a'], 'Accepted', 'True/Accepted');
    await exists('Deployment', 'pool', 'shared');
    expect(await cluster.get('ModelGateway', 'user', 'models')).toBeUndefined();
  }, 120_000);

  it.each<[string, string[], RegExp]>([
    [
      'a namespace that cannot be one',
      ['--watch-namespaces', 'a,B'],
      /Expected namespaces, separated by commas, got "B"/,
    ],
    ['a gateway without namespace', ['--default-gateway', 'shared'], /Expected NAMESPACE\/NAME/],
    ['a context that is not there', ['--context', 'nowhere'], /no context nowhere; it has: x/],
    ['a kubeconfig that is not there', ['--kubeconfig', '/nowhere/config'], /cannot read the kubeconfig \/nowhere/],
    ['a port that is no port', ['--admin', 'here'], /Expected HOST:PORT/],
  ])(
    'refuses %s',
    async (_, flags, words) => {
      const operator = start('wrong', flags);
      const [code] = (await once(operator.child, 'exit')) as [number | null];
      expect(code).toBe(1);
      expect(operator.errors()).toMatch(words);
    },
    60_000,
  );
});
