/** All that the operator writes, on a real API server. */
import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest} from '@jest/globals';
import {createKubeClient, type KubeClient} from '../../kube/client.ts';
import {KubeError} from '../../kube/errors.ts';
import type {KubeObject} from '../../kube/objects.ts';
import type {ModelGateway} from '../../operator/api/generated.ts';
import {createWriter, type Applied, type Writer} from '../../operator/cluster/writer.ts';
import {childMetadata, farMetadata} from '../../operator/plan/children/child-metadata.ts';
import {planChildren} from '../../operator/plan/children/children.ts';
import type {Child} from '../../operator/plan/fleet.ts';
import {systemClock} from '../../proxy/engine/clock.ts';
import {findAssets} from '../api-server/assets.ts';
import {installCrds} from '../api-server/crds.ts';
import {type ApiServer, startApiServer} from '../api-server/start.ts';
import {modelGateway, modelRoute} from '../objects.ts';
import {until} from '../until.ts';

jest.setTimeout(60_000);

const assets = findAssets((line) => process.stderr.write(line));
const describeWithServer = assets === undefined ? describe.skip : describe;

const failed = async (asked: Promise<unknown>): Promise<KubeError> => {
  const error = await asked.then(
    (answer) => new Error(`answered ${JSON.stringify(answer)}`),
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(KubeError);
  return error as KubeError; // as just seen
};

type Made = KubeObject & {metadata: {managedFields: {manager: string; operation: string; subresource?: string}[]}};

const routesIn = (namespace: string): string => `/apis/modelroute.dev/v1alpha1/namespaces/${namespace}/modelroutes`;

describeWithServer('the writer, on a real API server', () => {
  let server: ApiServer;
  const clients: KubeClient[] = [];
  let namespaces = 0;
  /** Of this test alone. */
  let namespace: string;
  let writer: Writer;
  let client: KubeClient;

  const connect = (token = server.token): KubeClient => {
    const config = {server: server.url, caFile: server.ca, token};
    const client = createKubeClient({config, clock: systemClock, random: Math.random});
    clients.push(client);
    return client;
  };

  beforeAll(async () => {
    server = await startApiServer(assets ?? '');
    await installCrds(server);
    client = connect();
    await client.request({method: 'POST', path: routesIn('warm-up'), body: modelRoute({namespace: 'warm-up'})});
    const status = {conditions: []};
    const isTaken = (): Promise<boolean> =>
      createWriter({client})
        .applyStatus('ModelRoute', {namespace: 'warm-up', name: 'chat'}, status)
        .then(
          () => true,
          () => false,
        );
    await until(isTaken, 'server-side apply of what the CRD has', 60_000); // it comes a moment after the rest
  }, 180_000);

  beforeEach(() => {
    namespaces += 1;
    namespace = `team-${namespaces}`;
    client = connect();
    writer = createWriter({client});
  });

  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.close()));
  });

  afterAll(() => server.stop());

  const gateway = (uid = 'uid-1'): ModelGateway => modelGateway({namespace, uid});

  const configMap = (data: Record<string, string> = {a: '1'}, uid?: string): Child => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: childMetadata(gateway(uid)),
    data,
  });

  const pathOf = (plural: string, name = 'models'): string => `/api/v1/namespaces/${namespace}/${plural}/${name}`;
  const get = async (path: string): Promise<Made> => (await client.request({method: 'GET', path})) as Made;
  const objectOf = (applied: Applied): KubeObject => {
    if (!('object' in applied)) throw new Error(`no object: ${applied.type}`);
    return applied.object;
  };
  const stranger = (method: 'POST' | 'PATCH', path: string, body: unknown): Promise<unknown> =>
    client.request({
      method,
      path,
      body,
      query: {fieldManager: 'stranger'},
      contentType: method === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
    });

  describe('a child', () => {
    it('is made once, then applied; what is no longer said of it goes', async () => {
      const made = await writer.apply(configMap({a: '1', b: '2'}), {known: undefined});
      expect(made).toMatchObject({type: 'Created', object: {data: {a: '1', b: '2'}}});
      const applied = await writer.apply(configMap({b: '3'}), {known: objectOf(made)});
      expect(applied).toMatchObject({type: 'Applied', object: {data: {b: '3'}}});
      expect(objectOf(applied)['data']).toEqual({b: '3'});
      const {metadata} = await get(pathOf('configmaps'));
      expect(metadata.managedFields).toEqual([expect.objectContaining({manager: 'modelroute', operation: 'Apply'})]);
    });

    it('that is as it should be keeps its resourceVersion', async () => {
      const made = objectOf(await writer.apply(configMap(), {known: undefined}));
      const again = objectOf(await writer.apply(configMap(), {known: made}));
      expect(again.metadata.resourceVersion).toBe(made.metadata.resourceVersion);
    });

    it('keeps what others have set on it, and gets back what they have changed of ours', async () => {
      const made = objectOf(await writer.apply(configMap(), {known: undefined}));
      const theirs = {metadata: {labels: {theirs: 'x'}, annotations: {note: 'y'}}, data: {a: 'changed', c: 'theirs'}};
      await stranger('PATCH', pathOf('configmaps'), theirs);
      const applied = objectOf(await writer.apply(configMap({a: '1'}), {known: made}));
      expect(applied).toMatchObject({metadata: {labels: {theirs: 'x'}, annotations: {note: 'y'}}});
      expect(applied['data']).toEqual({a: '1', c: 'theirs'});
    });

    it('that somebody has made impossible to apply is put right, and others keep what does not stand in the way', async () => {
      const service = (port: number): Child => ({
        apiVersion: 'v1',
        kind: 'Service',
        metadata: childMetadata(gateway()),
        spec: {ports: [{name: 'http', port, targetPort: 'http', protocol: 'TCP'}], selector: {app: 'a'}},
      });
      const made = objectOf(await writer.apply(service(80), {known: undefined}));
      const edited = {metadata: {labels: {theirs: 'x'}}, spec: {ports: [{name: 'http', port: 81}]}};
      await stranger('PATCH', pathOf('services'), edited);
      const repaired = objectOf(await writer.apply(service(80), {known: made}));
      expect(repaired).toMatchObject({metadata: {labels: {theirs: 'x'}}});
      expect((repaired['spec'] as {ports: object[]}).ports).toEqual([expect.objectContaining({port: 80})]);
      // What we no longer want still goes: nothing of the repair holds it.
      const moved = objectOf(await writer.apply(service(90), {known: repaired}));
      expect((moved['spec'] as {ports: object[]}).ports).toEqual([expect.objectContaining({port: 90})]);
    });

    it('that a try has made whose answer did not come is applied', async () => {
      await writer.apply(configMap({a: '1', b: '2'}), {known: undefined});
      const again = await writer.apply(configMap({a: '1'}), {known: undefined});
      expect(again).toMatchObject({type: 'Applied', before: {data: {a: '1', b: '2'}}});
      expect(objectOf(again)['data']).toEqual({a: '1'});
    });

    it('of a stranger is left alone, byte for byte, even if it conflicts with nothing', async () => {
      for (const [owner, child] of [
        ['nobody', {}],
        ['another', {ownerReferences: [{apiVersion: 'v1', kind: 'Pod', name: 'p', uid: 'u', controller: true}]}],
        ['our labels alone', {labels: childMetadata(gateway()).labels}],
      ] as const) {
        const name = owner.replaceAll(' ', '-');
        await stranger('POST', pathOf('configmaps').replace('/models', ''), {metadata: {name, ...child}});
        const before = await get(pathOf('configmaps', name));
        const ours = {...configMap({}), metadata: childMetadata(gateway(), name)};
        for (const known of [undefined, before])
          expect(await writer.apply(ours, {known})).toEqual({
            type: 'NameInUse',
            message: expect.stringContaining(
              `already a ConfigMap ${namespace}/${name}, which this gateway did not make`,
            ),
          });
        expect(await get(pathOf('configmaps', name))).toEqual(before);
      }
    });

    it('of a stranger that was made between our look and our write is left alone', async () => {
      const {metadata} = objectOf(await writer.apply(configMap(), {known: undefined}));
      await client.request({method: 'DELETE', path: pathOf('configmaps')});
      await stranger('POST', pathOf('configmaps').replace('/models', ''), {metadata: {name: 'models'}});
      const before = await get(pathOf('configmaps'));
      expect(await writer.apply(configMap(), {known: {metadata}})).toMatchObject({type: 'NameInUse'});
      expect(await get(pathOf('configmaps'))).toEqual(before);
    });

    it('that is no longer the one that was heard of is read, and made or applied as it is now', async () => {
      const known = objectOf(await writer.apply(configMap(), {known: undefined}));
      await client.request({method: 'DELETE', path: pathOf('configmaps')});
      const second = await writer.apply(configMap(), {known});
      expect(second).toMatchObject({type: 'Created'});
      const third = await writer.apply(configMap({b: '2'}), {known});
      expect(third).toMatchObject({type: 'Applied', object: {data: {b: '2'}}, before: objectOf(second)});
    });

    it('is applied onto the version that was asked for, or not at all', async () => {
      const known = objectOf(await writer.apply(configMap(), {known: undefined}));
      const onto = ({metadata: {resourceVersion = ''}}: KubeObject): Child => {
        const child = configMap({b: '2'});
        return {...child, metadata: {...child.metadata, resourceVersion}};
      };
      await stranger('PATCH', pathOf('configmaps'), {metadata: {labels: {theirs: 'x'}}});
      expect(await writer.apply(onto(known), {known})).toEqual({type: 'Conflict'});
      const newer = await get(pathOf('configmaps'));
      expect(await writer.apply(onto(newer), {known: newer})).toMatchObject({type: 'Applied'});
    });

    it('of the gateway before this one is waited for', async () => {
      await writer.apply(configMap({}, 'uid-before'), {known: undefined});
      expect(await writer.apply(configMap(), {known: undefined})).toEqual({type: 'GoingAway'});
    });

    it('that is being deleted is waited for', async () => {
      await writer.apply(configMap(), {known: undefined});
      await stranger('PATCH', pathOf('configmaps'), {metadata: {finalizers: ['example.com/wait']}});
      await client.request({method: 'DELETE', path: pathOf('configmaps')});
      expect(await writer.apply(configMap(), {known: undefined})).toEqual({type: 'GoingAway'});
      const known = await get(pathOf('configmaps'));
      expect(await writer.apply(configMap(), {known})).toEqual({type: 'GoingAway'});
    });

    it('is made by one of many who try at the same moment, and is then as all of them want it', async () => {
      const tries = Array.from({length: 10}, () => writer.apply(configMap(), {known: undefined}));
      const types = (await Promise.all(tries)).map(({type}) => type);
      expect(types.filter((type) => type === 'Created')).toHaveLength(1);
      expect(types.filter((type) => type !== 'Created')).toEqual(Array(9).fill('Applied'));
    });

    it('in another namespace has a name with colons', async () => {
      const role: Child = {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'Role',
        metadata: farMetadata(gateway(), `${namespace}-far`),
        rules: [],
      };
      const made = await writer.apply(role, {known: undefined});
      expect(made).toMatchObject({type: 'Created', object: {metadata: {name: `modelroute:${namespace}:models`}}});
      const {metadata} = objectOf(made);
      await writer.remove({kind: 'Role', metadata});
      expect(await writer.apply(role, {known: undefined})).toMatchObject({type: 'Created'});
    });
  });

  describe('what is sent', () => {
    it('is stored, whatever its kind: nothing is lost, renamed or added', async () => {
      const full = {
        ...gateway(),
        spec: {
          autoscaling: {minReplicas: 2, maxReplicas: 3, targetCPUPercent: 70},
          allowedCallers: {namespaces: {from: 'Selector' as const, selector: {matchLabels: {a: 'b'}}}},
          service: {trafficDistribution: 'PreferClose' as const},
        },
      };
      const children = planChildren({
        gateway: full,
        servedNamespaces: [namespace, `${namespace}-far`],
        proxyImage: 'example.com/modelroute:1',
        imagePullPolicy: 'IfNotPresent',
        currentDeployment: undefined,
      });
      expect(new Set(children.map(({kind}) => kind)).size).toBeGreaterThanOrEqual(8);
      for (const child of children) {
        const object = objectOf(await writer.apply(child, {known: undefined}));
        expect(object).toMatchObject(child);
        expect(object.metadata.creationTimestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
        const path = selfOf(child);
        expect(await get(path)).toEqual(object);
        const {metadata} = object;
        await writer.remove({kind: child.kind, metadata});
        expect(await failed(get(path))).toMatchObject({status: 404});
      }
    });

    it('is a config and credentials, with bytes as they are', async () => {
      const bytes = Buffer.from(Array.from({length: 256}, (_, byte) => byte)).toString('base64');
      const config: Child = {...configMap({}), binaryData: {'config.json.gz': bytes}};
      expect(objectOf(await writer.apply(config, {known: undefined}))['binaryData']).toEqual({'config.json.gz': bytes});
      const secret: Child = {...config, kind: 'Secret', type: 'Opaque', data: {'credentials.json': bytes}};
      delete secret['binaryData'];
      expect(objectOf(await writer.apply(secret, {known: undefined}))['data']).toEqual({'credentials.json': bytes});
    });
  });

  describe('what is removed', () => {
    it('is the very object, not a younger one of its name, and may be gone', async () => {
      const first = objectOf(await writer.apply(configMap(), {known: undefined}));
      await writer.remove(first);
      await writer.remove(first);
      const second = objectOf(await writer.apply(configMap(), {known: undefined}));
      await writer.remove(first);
      expect((await get(pathOf('configmaps'))).metadata.uid).toBe(second.metadata.uid);
    });
  });

  describe('a status', () => {
    const routes = (): string => routesIn(namespace);
    const condition = {
      type: 'Accepted' as const,
      status: 'True' as const,
      reason: 'Accepted' as const,
      message: 'ok',
      observedGeneration: 1,
      lastTransitionTime: '2026-01-01T00:00:00Z',
    };

    it('is applied whole, without change costs no version, and leaves the spec alone', async () => {
      const name = {namespace, name: 'chat'};
      const made = (await client.request({method: 'POST', path: routes(), body: modelRoute(name)})) as KubeObject;
      const status = {observedGeneration: 1, url: 'http://models/v1', conditions: [condition]};
      const written = await writer.applyStatus('ModelRoute', name, status);
      expect(written).toMatchObject({spec: made['spec'], status, metadata: {generation: 1}});
      const again = await writer.applyStatus('ModelRoute', name, status);
      expect(again?.metadata.resourceVersion).toBe(written?.metadata.resourceVersion);
      const less = await writer.applyStatus('ModelRoute', name, {observedGeneration: 1, conditions: [condition]});
      expect(less?.['status']).toEqual({observedGeneration: 1, conditions: [condition]});
    });

    it('of what has gone is none', async () => {
      expect(await writer.applyStatus('ModelRoute', {namespace, name: 'gone'}, {conditions: []})).toBeUndefined();
      expect(await failed(client.request({method: 'GET', path: `${routes()}/gone`}))).toMatchObject({status: 404});
    });

    it('that the CRD does not take is refused, and the field named', async () => {
      const name = {namespace, name: 'chat'};
      await client.request({method: 'POST', path: routes(), body: modelRoute(name)});
      const wrong = {conditions: [], nonsense: 1} as unknown as {conditions: []};
      const {message} = await failed(writer.applyStatus('ModelRoute', name, wrong));
      expect(message).toMatch(new RegExp(`^cannot apply the status of ModelRoute ${namespace}/chat: .*nonsense`));
    });
  });

  describe('a gateway on demand', () => {
    const path = (): string => `/apis/modelroute.dev/v1alpha1/namespaces/${namespace}/modelgateways/models`;

    it('is made once, and says what it is', async () => {
      const name = {namespace, name: 'models'};
      await writer.createGateway(name);
      const made = await get(path());
      expect(made.metadata.annotations).toEqual({'modelroute.dev/on-demand': 'true'});
      expect(made.metadata.managedFields).toMatchObject([{manager: 'modelroute'}]);
      await writer.createGateway(name);
      expect(await get(path())).toEqual(made);
    });

    it('is removed unless somebody has touched it', async () => {
      await writer.createGateway({namespace, name: 'models'});
      const known = await get(path());
      await stranger('PATCH', path(), {spec: {replicas: 5}});
      expect(await writer.removeGateway(known)).toBe(false);
      const {metadata} = await get(path());
      expect(await writer.removeGateway({kind: 'ModelGateway', metadata})).toBe(true);
      expect(await failed(get(path()))).toMatchObject({status: 404});
      expect(await writer.removeGateway(known)).toBe(false);
    });
  });

  describe('what is refused', () => {
    it('by RBAC is told of by who, what and where', async () => {
      const account = `/api/v1/namespaces/${namespace}/serviceaccounts/operator/token`;
      await client.request({
        method: 'POST',
        path: pathOf('serviceaccounts', '').slice(0, -1),
        body: {metadata: {name: 'operator'}},
      });
      const token = (await client.request({
        method: 'POST',
        path: account,
        body: {apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {}},
      })) as {status: {token: string}};
      const narrow = createWriter({client: connect(token.status.token)});
      const user = `system:serviceaccount:${namespace}:operator`;
      const forbidden = await failed(narrow.apply(configMap(), {known: undefined}));
      expect(forbidden).toMatchObject({status: 403, reason: 'Forbidden'});
      expect(forbidden.message).toBe(
        `cannot apply ConfigMap ${namespace}/models: 403 Forbidden: configmaps "models" is forbidden: ` +
          `User "${user}" cannot patch resource "configmaps" in API group "" in the namespace "${namespace}"`,
      );
      const removing = await failed(
        narrow.remove({kind: 'Deployment', metadata: {name: 'models', namespace, uid: 'u'}}),
      );
      expect(removing.message).toContain(`cannot delete Deployment ${namespace}/models: 403 Forbidden: `);
      const status = await failed(narrow.applyStatus('ModelGateway', {namespace, name: 'models'}, {conditions: []}));
      expect(status.message).toContain('cannot patch resource "modelgateways/status" in API group "modelroute.dev"');
      const creating = await failed(narrow.createGateway({namespace, name: 'models'}));
      expect(creating.message).toContain(`cannot create ModelGateway ${namespace}/models: 403 Forbidden: `);
    });

    it('as unknown names the field', async () => {
      const wrong: Child = {...configMap(), nonsense: 1};
      const {message} = await failed(writer.apply(wrong, {known: undefined}));
      expect(message).toMatch(new RegExp(`^cannot apply ConfigMap ${namespace}/models: .*nonsense`));
      expect(await failed(get(pathOf('configmaps')))).toMatchObject({status: 404});
    });

    it('of a Secret quotes nothing of it', async () => {
      for (const wrong of [{data: {a: 'sk-not-base64'}}, {data: {a: {b: 'sk-not-text'}}}, {'sk-no-field': 1}]) {
        const secret: Child = {...configMap(), kind: 'Secret', ...wrong};
        if (!('data' in wrong)) delete secret['data'];
        const error = await failed(writer.apply(secret, {known: undefined}));
        expect(error.message).toContain(`cannot apply Secret ${namespace}/models: `);
        expect(`${error.stack} ${String(error.cause)}`).not.toContain('sk-');
      }
    });
  });
});

describe('the writer', () => {
  it('says of an API server that is away what it could not do, and why', async () => {
    const config = {server: 'http://127.0.0.1:1'};
    const client = createKubeClient({config, clock: systemClock, random: Math.random, deadlineMs: 500});
    const child: Child = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: childMetadata(modelGateway({uid: 'u'})),
      data: {},
    };
    const error = await failed(createWriter({client}).apply(child, {known: undefined}));
    expect(error).toMatchObject({status: 0});
    expect(error.message).toMatch(/^cannot apply Secret team-a\/models: cannot connect: .*ECONNREFUSED/);
    await client.close();
  });
});

const plurals: Record<string, string> = {NetworkPolicy: 'networkpolicies'};

const selfOf = ({apiVersion, kind, metadata: {namespace, name}}: Child): string => {
  const group = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  return `${group}/namespaces/${namespace}/${plurals[kind] ?? `${kind.toLowerCase()}s`}/${name}`;
};
