/** The rights that the chart gives are those that the operator needs, on a real API server that asks for them. */
import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, it} from '@jest/globals';
import {pathOf, watchedKinds} from '../../operator/cluster/kinds.ts';
import {planChildren} from '../../operator/plan/children/children.ts';
import type {Child} from '../../operator/plan/fleet.ts';
import {findAssets} from '../api-server/assets.ts';
import {installCrds} from '../api-server/crds.ts';
import {startApiServer, type ApiServer} from '../api-server/start.ts';
import {modelGateway} from '../objects.ts';
import {createAccount, leases, own, type Account, type Ask} from './account.ts';
import {collection, createHelm, findHelm} from './helm.ts';

const program = findHelm((line) => process.stderr.write(line));
const assets = program === undefined ? undefined : findAssets((line) => process.stderr.write(line));
const helm = createHelm(program ?? '');

const rbac = 'rbac.authorization.k8s.io';

/** All kinds of children, a grant in another namespace among them. */
const children = planChildren({
  gateway: modelGateway({uid: 'uid-1'}, {autoscaling: {maxReplicas: 3}}),
  servedNamespaces: ['team-b'],
  proxyImage: 'example.com/modelroute:1',
  imagePullPolicy: 'IfNotPresent',
  currentDeployment: undefined,
});

const settings = (namespace: string): Child[] =>
  ['ConfigMap', 'Secret'].map((kind) => ({
    apiVersion: 'v1',
    kind,
    metadata: {name: 'models-x', namespace, labels: {}},
  }));

(assets === undefined ? describe.skip : describe)('the operator, with the rights of the chart', () => {
  let server: ApiServer;
  let account: Account;
  let asOperator: Ask;

  beforeAll(async () => {
    server = await startApiServer(assets ?? '');
    account = createAccount(server);
    await installCrds(server);
    for (const name of [own, 'team-a', 'team-b', 'team-c'])
      await server.request('POST', '/api/v1/namespaces', {apiVersion: 'v1', kind: 'Namespace', metadata: {name}});
  }, 100_000);
  afterAll(async () => {
    await account?.close();
    await server?.stop();
  });

  const install = async (watchNamespaces?: string[]): Promise<void> => {
    ({ask: asOperator} = await account.install(await helm.render('modelroute', {watchNamespaces}), watchNamespaces));
  };
  afterEach(() => account.uninstall());

  const apply = async (object: Child): Promise<string> => {
    const path = `${collection(object)}/${object.metadata.name}?fieldManager=modelroute&force=true`;
    const status = await asOperator('PATCH', path, object);
    account.installed.push(path.replace(/\?.*/, ''));
    return `${object.kind} ${object.metadata.namespace}: ${status}`;
  };
  const applied = (objects: Child[]): string[] =>
    objects.map(({kind, metadata}) => `${kind} ${metadata.namespace}: 201`);

  const watches = async (namespace: string | undefined): Promise<string[]> => {
    const refused: string[] = [];
    for (const kind of watchedKinds) {
      const path = pathOf(kind, kind.scope === 'ClusterWide' ? undefined : namespace);
      for (const query of ['limit=1', 'watch=1&timeoutSeconds=1&allowWatchBookmarks=true']) {
        if (query.startsWith('watch') && kind.kind !== 'ModelRoute') continue; // a second each; the verbs are in one list
        if ((await asOperator('GET', `${path}?${query}`)) === 403) refused.push(`${kind.resource} ${query}`);
      }
    }
    return refused;
  };

  const lease = {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: {name: 'modelroute-operator', namespace: own},
    spec: {holderIdentity: 'a'},
  };
  /** 409: it has the right, and a resourceVersion that is none. */
  const renewal = {...lease, metadata: {...lease.metadata, resourceVersion: '1'}};
  const models = (namespace: string): string => `/apis/modelroute.dev/v1alpha1/namespaces/${namespace}`;

  describe('of the whole cluster', () => {
    beforeEach(() => install(), 60_000);

    it('watches all that it watches', async () => expect(await watches(undefined)).toEqual([]), 60_000);

    it('makes all that a gateway becomes, what it passes on to the proxies included', async () => {
      const said: string[] = [];
      const all = [...children, ...settings('team-a')];
      for (const child of all) said.push(await apply(child));
      expect(said).toEqual(applied(all));
    }, 60_000);

    it('passes on nothing that it has not itself', async () => {
      const role = {
        apiVersion: `${rbac}/v1`,
        kind: 'Role',
        metadata: {name: 'x', namespace: 'team-a', labels: {}},
        rules: [{apiGroups: [''], resources: ['pods'], verbs: ['get']}],
      };
      expect(await apply(role)).toBe('Role team-a: 403');
    });

    it('leads, makes gateways on demand, tells, and looks at the definitions', async () => {
      account.installed.push(`${leases}/modelroute-operator`, `${models('team-a')}/modelgateways/models`);
      const gateway = modelGateway();
      expect({
        lease: await asOperator('POST', leases, lease),
        renewed: await asOperator('PUT', `${leases}/modelroute-operator`, renewal),
        gateway: await asOperator('POST', `${models('team-a')}/modelgateways`, gateway),
        status: await asOperator('PATCH', `${models('team-a')}/modelgateways/models/status?fieldManager=modelroute`, {
          apiVersion: gateway.apiVersion,
          kind: gateway.kind,
          metadata: gateway.metadata,
          status: {replicas: 1},
        }),
        removed: await asOperator('DELETE', `${models('team-a')}/modelgateways/models`),
        event: await asOperator('POST', '/apis/events.k8s.io/v1/namespaces/team-a/events?dryRun=All', {
          apiVersion: 'events.k8s.io/v1',
          kind: 'Event',
          metadata: {name: 'x', namespace: 'team-a'},
          eventTime: '2026-01-01T00:00:00.000000Z',
          action: 'Make',
          reason: 'Created',
          type: 'Normal',
          reportingController: 'modelroute.dev/operator',
          reportingInstance: 'a',
          regarding: {kind: 'ModelGateway', name: 'models', namespace: 'team-a'},
        }),
        definition: await asOperator(
          'GET',
          '/apis/apiextensions.k8s.io/v1/customresourcedefinitions/modelroutes.modelroute.dev',
        ),
      }).toEqual({lease: 201, renewed: 409, gateway: 201, status: 200, removed: 200, event: 201, definition: 200});
    });

    it.each([
      ['GET', '/api/v1/pods'],
      ['GET', '/api/v1/nodes'],
      ['GET', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'],
      ['GET', `${leases}/another`],
      ['GET', '/apis/rbac.authorization.k8s.io/v1/clusterroles'],
      ['DELETE', `${models('team-a')}/modelroutes/chat`],
      ['DELETE', '/api/v1/namespaces/team-a'],
    ])('may not %s %s', async (method, path) => expect(await asOperator(method, path)).toBe(403));
  });

  describe('of some namespaces', () => {
    beforeEach(() => install(['team-a', 'team-b']), 60_000);

    it('does there what it does, and nothing elsewhere', async () => {
      const said: string[] = [];
      for (const child of children) said.push(await apply(child));
      expect(said).toEqual(applied(children));
      expect(await watches('team-a')).toEqual(['namespaces limit=1']);
      const elsewhere = [own, 'team-c'].map((namespace) => `/api/v1/namespaces/${namespace}/secrets`);
      for (const path of ['/api/v1/secrets', ...elsewhere]) expect(await asOperator('GET', path)).toBe(403);
    }, 60_000);

    it('leads all the same', async () => {
      account.installed.push(`${leases}/modelroute-operator`);
      expect(await asOperator('POST', leases, lease)).toBe(201);
      expect(await asOperator('PUT', `${leases}/modelroute-operator`, renewal)).toBe(409);
    });
  });
});
