/** What the operator makes of objects, on a real API server. Nothing runs pods here: what proxies report is test/cluster's. */
import {gunzipSync} from 'node:zlib';
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals';
import type {KubeObject} from '../../kube/objects.ts';
import type {GatewayConfig} from '../../proxy/config/schema.ts';
import {findAssets} from '../api-server/assets.ts';
import {installCrds} from '../api-server/crds.ts';
import {type ApiServer, startApiServer} from '../api-server/start.ts';
import {until} from '../until.ts';
import {childKinds, connect, patienceMs, run, textOf, type Cluster, type Running} from './harness.ts';

const assets = findAssets((line) => process.stderr.write(line));
const describeWithServer = assets === undefined ? describe.skip : describe;

const url = {name: 'cloud', url: 'https://a.example/v1'};
const route = (namespace: string, name: string, spec: Record<string, unknown> = {}) => ({
  kind: 'ModelRoute',
  metadata: {namespace, name},
  spec: {backends: [url], ...spec},
});
const gateway = (namespace: string, name: string, spec: Record<string, unknown> = {}) => ({
  kind: 'ModelGateway',
  metadata: {namespace, name},
  spec,
});
const service = (namespace: string, name: string, port = 8000) => ({
  kind: 'Service',
  metadata: {namespace, name},
  spec: {selector: {app: name}, ports: [{name: 'http', port}]},
});
const secret = (namespace: string, name: string, stringData: Record<string, string>) => ({
  kind: 'Secret',
  metadata: {namespace, name},
  stringData,
});

describeWithServer('the operator on a real API server', () => {
  let server: ApiServer;
  let cluster: Cluster;
  let running: Running;

  beforeAll(async () => {
    server = await startApiServer(assets ?? '');
    await installCrds(server);
    cluster = connect(server);
    running = await run(server);
  }, 180_000);

  afterAll(async () => {
    await running.stop();
    await cluster.close();
    await server.stop();
  }, patienceMs);

  const exists = (kind: string, namespace: string, name: string): Promise<void> =>
    until(
      async () => (await cluster.get(kind, namespace, name)) !== undefined,
      `there is a ${kind} ${namespace}/${name}`,
      patienceMs,
    );
  const isGone = (kind: string, namespace: string, name: string): Promise<void> =>
    until(
      async () => (await cluster.get(kind, namespace, name)) === undefined,
      `there is no ${kind} ${namespace}/${name}`,
      patienceMs,
    );
  const configOf = async (namespace: string, name = 'models'): Promise<GatewayConfig | undefined> => {
    const object = await cluster.get('ConfigMap', namespace, `${name}-config`);
    const {binaryData} = (object ?? {}) as {binaryData?: Record<string, string>};
    const packed = binaryData?.['config.json.gz'];
    return packed === undefined
      ? undefined
      : (JSON.parse(gunzipSync(Buffer.from(packed, 'base64')).toString()) as GatewayConfig);
  };
  const routesIn = async (namespace: string, name?: string): Promise<string[]> =>
    (await configOf(namespace, name))?.routes.map((each) => each.name) ?? [];
  const serves = (namespace: string, wanted: string[], name?: string): Promise<void> =>
    until(
      async () => JSON.stringify(await routesIn(namespace, name)) === JSON.stringify(wanted),
      `the config of ${namespace} has ${wanted.join()}`,
      patienceMs,
    );

  /** Of everything that there is in a namespace, by what it is. */
  const versions = async (namespace: string): Promise<Record<string, string>> => {
    const found: Record<string, string> = {};
    for (const kind of [...childKinds, 'ModelRoute', 'ModelGateway', 'HorizontalPodAutoscaler'])
      for (const {metadata} of await cluster.list(kind, namespace))
        found[`${kind} ${metadata.name}`] = metadata.resourceVersion ?? '';
    return found;
  };

  it('makes a gateway of the first route in a namespace, and everything that a fleet needs', async () => {
    await cluster.apply(route('first', 'chat'));
    for (const kind of childKinds) {
      const suffix = {ConfigMap: '-config', Secret: '-credentials'}[kind] ?? '';
      await exists(kind, 'first', `models${suffix}`);
    }
    await serves('first', ['chat']);
    const made = await cluster.get('ModelGateway', 'first', 'models');
    expect(made?.metadata.annotations).toMatchObject({'modelroute.dev/on-demand': 'true'});
    const child = await cluster.get('Deployment', 'first', 'models');
    expect(child?.metadata.ownerReferences?.[0]).toMatchObject({uid: made?.metadata.uid, controller: true});
  }, 120_000);

  it('says in four conditions what it found, and that there are no proxies yet', async () => {
    const object: [string, string, string] = ['ModelRoute', 'conditions', 'chat'];
    await cluster.apply(route('conditions', 'chat'));
    await cluster.turns(object, 'Accepted', 'True/Accepted');
    await cluster.turns(object, 'ResolvedRefs', 'True/ResolvedRefs');
    await cluster.turns(object, 'Programmed', 'Unknown/Pending');
    await cluster.turns(object, 'Ready', 'False/NoReadyProxies');
    const found = await cluster.get(...object);
    const status = found?.['status'] as {url: string; observedGeneration: number};
    expect(status).toMatchObject({url: 'http://models.conditions/v1', observedGeneration: found?.metadata.generation});
    await cluster.turns(['ModelGateway', 'conditions', 'models'], 'Ready', 'False/NoReadyProxies');
    const made = await cluster.get('ModelGateway', 'conditions', 'models');
    expect(made?.['status']).toMatchObject({routes: 1, replicas: 0, selector: expect.stringContaining('models')});
  }, 120_000);

  it('changes nothing while nothing changes, also when it is started anew', async () => {
    await cluster.apply(service('quiet', 'vllm'));
    await cluster.apply(secret('quiet', 'openai', {apiKey: 'sk-1'}));
    const backends = [
      {name: 'local', serviceRef: {name: 'vllm', port: 8000}},
      {...url, auth: {secretRef: {name: 'openai'}}},
    ];
    await cluster.apply(route('quiet', 'chat', {backends}));
    await cluster.turns(['ModelRoute', 'quiet', 'chat'], 'Ready', 'False/NoReadyProxies');
    await cluster.turns(['ModelGateway', 'quiet', 'models'], 'Ready', 'False/NoReadyProxies');
    await exists('Deployment', 'quiet', 'models');
    const before = await versions('quiet');
    await running.stop();
    running = await run(server);
    // Reconciled after the restart: another route of the same gateway has come through.
    await cluster.apply(route('quiet', 'other'));
    await serves('quiet', ['chat', 'other']);
    await cluster.turns(['ModelRoute', 'quiet', 'other'], 'Ready', 'False/NoReadyProxies');
    const after = await versions('quiet');
    const changed = Object.keys(after).filter((name) => after[name] !== before[name]);
    expect(changed.sort()).toEqual(['ConfigMap models-config', 'ModelGateway models', 'ModelRoute other']);
  }, 180_000);

  it('restores what was deleted or edited by hand, and keeps what others have added', async () => {
    await cluster.apply(route('edited', 'chat'));
    await exists('Deployment', 'edited', 'models');
    await cluster.remove('Service', 'edited', 'models');
    await exists('Service', 'edited', 'models');
    await cluster.remove('ConfigMap', 'edited', 'models-config');
    await serves('edited', ['chat']);
    await cluster.patch('Deployment', 'edited', 'models', {
      metadata: {labels: {team: 'gold', 'app.kubernetes.io/managed-by': null}},
      spec: {strategy: {rollingUpdate: {maxSurge: 3}}, minReadySeconds: 7},
    });
    await until(
      async () => {
        const found = await cluster.get('Deployment', 'edited', 'models');
        const {strategy} = (found?.['spec'] ?? {}) as {strategy?: {rollingUpdate: {maxSurge: number}}};
        return (
          strategy?.rollingUpdate.maxSurge === 1 &&
          found?.metadata.labels?.['app.kubernetes.io/managed-by'] === 'modelroute'
        );
      },
      'the Deployment is as it was wanted',
      patienceMs,
    );
    const found = await cluster.get('Deployment', 'edited', 'models');
    expect(found?.metadata.labels).toMatchObject({team: 'gold'});
    expect(found?.['spec']).toMatchObject({minReadySeconds: 7});
  }, 120_000);

  it("leaves a stranger's object of the same name alone, says so, and goes on when it is gone", async () => {
    const stranger = await cluster.apply(service('taken', 'models', 1234));
    await cluster.apply(route('taken', 'chat'));
    const message = await cluster.turns(['ModelGateway', 'taken', 'models'], 'Accepted', 'False/NameInUse');
    expect(message).toContain('Service taken/models');
    await cluster.turns(['ModelRoute', 'taken', 'chat'], 'Accepted', 'False/NameInUse');
    expect((await cluster.get('Service', 'taken', 'models'))?.metadata).toEqual(stranger.metadata);
    await cluster.remove('Service', 'taken', 'models');
    await cluster.turns(['ModelGateway', 'taken', 'models'], 'Accepted', 'True/Accepted');
    await exists('Deployment', 'taken', 'models');
  }, 120_000);

  it('goes on publishing routes while an admission policy refuses another object of the fleet', async () => {
    await cluster.apply(route('refused', 'chat'));
    await serves('refused', ['chat']);
    await exists('Deployment', 'refused', 'models');
    const api = '/apis/admissionregistration.k8s.io/v1';
    const policies = `${api}/validatingadmissionpolicies`;
    const bindings = `${api}/validatingadmissionpolicybindings`;
    const accounts = [{apiGroups: [''], apiVersions: ['v1'], operations: ['UPDATE'], resources: ['serviceaccounts']}];
    const selector = {matchLabels: {'kubernetes.io/metadata.name': 'refused'}};
    const send = (method: 'POST' | 'DELETE', path: string, spec?: object): Promise<unknown> =>
      cluster.client.request({method, path, ...(spec && {body: {metadata: {name: 'no-accounts'}, spec}})});
    await cluster.apply({kind: 'Namespace', metadata: {name: 'refused'}});
    await send('POST', policies, {
      failurePolicy: 'Fail',
      matchConstraints: {resourceRules: accounts, namespaceSelector: selector},
      validations: [{expression: 'false', message: 'nobody changes accounts'}],
    });
    await send('POST', bindings, {policyName: 'no-accounts', validationActions: ['Deny']});
    const isRefused = (): Promise<boolean> =>
      cluster.patch('ServiceAccount', 'refused', 'models', {metadata: {annotations: {a: String(Math.random())}}}).then(
        () => false,
        () => true,
      );
    await until(isRefused, 'the policy is in force', patienceMs);
    await running.stop();
    running = await run(server); // which applies everything anew
    await cluster.apply(route('refused', 'other'));
    await serves('refused', ['chat', 'other']);
    const object: [string, string, string] = ['ModelGateway', 'refused', 'models'];
    expect(await cluster.turns(object, 'Programmed', 'False/ApplyFailed')).toContain('nobody changes accounts');
    for (const path of [bindings, policies]) await send('DELETE', `${path}/no-accounts`);
    await cluster.turns(object, 'Programmed', 'Unknown/Pending');
  }, 180_000);

  describe('leaves out a backend, says why, and takes it in when there is what it needs:', () => {
    const local = {name: 'local', serviceRef: {name: 'vllm', port: 8000}};
    const withKey = {...url, auth: {secretRef: {name: 'openai'}}};
    const cases: Record<
      string,
      {
        backend: object;
        before?: Parameters<Cluster['apply']>[0][];
        reason: string;
        says: string;
        after: Parameters<Cluster['apply']>[0];
      }
    > = {
      'no-service': {
        backend: local,
        reason: 'BackendNotFound',
        says: 'Service no-service/vllm',
        after: service('no-service', 'vllm'),
      },
      'no-port': {
        backend: local,
        before: [service('no-port', 'vllm', 9000)],
        reason: 'PortNotFound',
        says: '9000',
        after: service('no-port', 'vllm'),
      },
      'no-secret': {
        backend: withKey,
        reason: 'SecretNotFound',
        says: 'Secret no-secret/openai',
        after: secret('no-secret', 'openai', {apiKey: 'sk-1'}),
      },
      'no-key': {
        backend: withKey,
        before: [secret('no-key', 'openai', {other: 'x'})],
        reason: 'SecretKeyNotFound',
        says: 'apiKey',
        after: secret('no-key', 'openai', {apiKey: 'sk-1'}),
      },
      'empty-key': {
        backend: withKey,
        before: [secret('empty-key', 'openai', {apiKey: ''})],
        reason: 'SecretKeyNotFound',
        says: 'apiKey',
        after: secret('empty-key', 'openai', {apiKey: 'sk-1'}),
      },
      'binary-key': {
        backend: withKey,
        before: [{kind: 'Secret', metadata: {namespace: 'binary-key', name: 'openai'}, data: {apiKey: '//4AAQ=='}}],
        reason: 'Invalid',
        says: 'apiKey',
        after: {kind: 'Secret', metadata: {namespace: 'binary-key', name: 'openai'}, data: {apiKey: 'c2stMQ=='}},
      },
    };

    /** At a time: each status waits for its ten seconds. */
    it(
      Object.keys(cases).join(', '),
      async () => {
        await Promise.all(
          Object.entries(cases).map(async ([namespace, {backend, before = [], reason, says, after}]) => {
            const object: [string, string, string] = ['ModelRoute', namespace, 'chat'];
            for (const each of before) await cluster.apply(each);
            await cluster.apply(route(namespace, 'chat', {backends: [{...url, name: 'other'}, backend]}));
            expect(await cluster.turns(object, 'ResolvedRefs', `False/${reason}`)).toContain(says);
            const backends = async (): Promise<string> =>
              (await configOf(namespace))?.routes[0]?.backends.map(({name}) => name).join() ?? '';
            expect(await backends()).toBe('other');
            await cluster.apply(after);
            await until(async () => (await backends()).split(',').length === 2, 'both are in the config', patienceMs);
            await cluster.turns(object, 'ResolvedRefs', 'True/ResolvedRefs');
          }),
        );
      },
      180_000,
    );
  });

  it('puts values of credentials into the Secret alone', async () => {
    await cluster.apply(secret('keys', 'openai', {apiKey: 'sk-very-secret'}));
    await cluster.apply(route('keys', 'chat', {backends: [{...url, auth: {secretRef: {name: 'openai'}}}]}));
    await serves('keys', ['chat']);
    await cluster.turns(['ModelRoute', 'keys', 'chat'], 'ResolvedRefs', 'True/ResolvedRefs');
    const stored = (await cluster.get('Secret', 'keys', 'models-credentials')) as KubeObject & {
      data: Record<string, string>;
    };
    const values = JSON.parse(Buffer.from(stored.data['credentials.json'] ?? '', 'base64').toString()) as object;
    expect(Object.values(values)).toEqual(['sk-very-secret']);
    const everythingElse = [
      ...(await cluster.list('ConfigMap', 'keys')),
      ...(await cluster.list('ModelRoute', 'keys')),
      ...(await cluster.list('ModelGateway', 'keys')),
      ...(await cluster.list('Event', 'keys')),
      await configOf('keys'),
      ...running.log,
    ];
    expect(JSON.stringify(everythingElse)).not.toContain('sk-very-secret');
  }, 120_000);

  it('lets one bad route block nobody', async () => {
    await cluster.apply(route('bad', 'a', {modelNames: ['chat']}));
    await serves('bad', ['a']);
    await cluster.apply(route('bad', 'b', {modelNames: ['chat']}));
    expect(await cluster.turns(['ModelRoute', 'bad', 'b'], 'Accepted', 'False/ModelNameConflict')).toContain('bad/a');
    await cluster.turns(['ModelRoute', 'bad', 'a'], 'Accepted', 'True/Accepted');
    await cluster.apply(route('bad', 'c', {modelNames: ['other']}));
    await serves('bad', ['a', 'c']);
    await cluster.remove('ModelRoute', 'bad', 'a');
    await cluster.turns(['ModelRoute', 'bad', 'b'], 'Accepted', 'True/Accepted');
    await serves('bad', ['b', 'c']);
  }, 120_000);

  it('serves routes of other namespaces where the gateway allows it, and cleans up there', async () => {
    const gatewayRef = {namespace: 'infra', name: 'shared'};
    const object: [string, string, string] = ['ModelRoute', 'tenant', 'chat'];
    await cluster.apply({kind: 'Namespace', metadata: {name: 'tenant', labels: {tier: 'gold'}}});
    await cluster.apply(service('tenant', 'vllm'));
    const backends = [{name: 'local', serviceRef: {name: 'vllm', port: 8000}}];
    await cluster.apply(route('tenant', 'chat', {gatewayRef, backends}));
    await cluster.turns(object, 'Accepted', 'False/GatewayNotFound');
    await cluster.apply(gateway('infra', 'shared'));
    await exists('Deployment', 'infra', 'shared');
    expect(await routesIn('infra', 'shared')).toEqual([]);
    const from = {from: 'Selector', selector: {matchLabels: {tier: 'gold'}}};
    await cluster.apply(gateway('infra', 'shared', {allowedRoutes: {namespaces: from}}));
    await serves('infra', ['chat'], 'shared');
    await exists('RoleBinding', 'tenant', 'modelroute:infra:shared');
    await cluster.apply({kind: 'Namespace', metadata: {name: 'tenant', labels: {tier: 'lead'}}});
    await serves('infra', [], 'shared');
    await isGone('RoleBinding', 'tenant', 'modelroute:infra:shared');
    await cluster.apply({kind: 'Namespace', metadata: {name: 'tenant', labels: {tier: 'gold'}}});
    await exists('Role', 'tenant', 'modelroute:infra:shared');
    await cluster.remove('ModelGateway', 'infra', 'shared');
    await isGone('Role', 'tenant', 'modelroute:infra:shared');
    await cluster.turns(object, 'Accepted', 'False/GatewayNotFound');
  }, 180_000);

  it('sweeps what it left in other namespaces, also if the gateway went while it was away', async () => {
    const gatewayRef = {namespace: 'away', name: 'shared'};
    await cluster.apply(service('tenant-b', 'vllm'));
    await cluster.apply(gateway('away', 'shared', {allowedRoutes: {namespaces: {from: 'All'}}}));
    const backends = [{name: 'local', serviceRef: {name: 'vllm', port: 8000}}];
    await cluster.apply(route('tenant-b', 'chat', {gatewayRef, backends}));
    await exists('RoleBinding', 'tenant-b', 'modelroute:away:shared');
    await running.stop();
    await cluster.remove('ModelRoute', 'tenant-b', 'chat');
    await cluster.remove('ModelGateway', 'away', 'shared');
    running = await run(server);
    await isGone('RoleBinding', 'tenant-b', 'modelroute:away:shared');
    await isGone('Role', 'tenant-b', 'modelroute:away:shared');
  }, 120_000);

  it('makes an autoscaler when asked, and takes it away', async () => {
    await cluster.apply(gateway('scaled', 'models', {replicas: 3}));
    await cluster.apply(route('scaled', 'chat'));
    await exists('Deployment', 'scaled', 'models');
    await cluster.apply(gateway('scaled', 'models', {replicas: 3, autoscaling: {maxReplicas: 5}}));
    await exists('HorizontalPodAutoscaler', 'scaled', 'models');
    expect((await cluster.get('Deployment', 'scaled', 'models'))?.['spec']).toMatchObject({replicas: 3});
    await cluster.apply(gateway('scaled', 'models', {replicas: 3}));
    await isGone('HorizontalPodAutoscaler', 'scaled', 'models');
  }, 120_000);

  it('keeps the number of an autoscaled fleet, also when its Deployment has lost its labels', async () => {
    await cluster.apply(gateway('held', 'models', {autoscaling: {minReplicas: 1, maxReplicas: 9}}));
    await exists('HorizontalPodAutoscaler', 'held', 'models');
    await cluster.client.request({
      method: 'PATCH',
      path: '/apis/apps/v1/namespaces/held/deployments/models/scale',
      query: {fieldManager: 'kube-controller-manager'},
      contentType: 'application/merge-patch+json',
      body: {spec: {replicas: 7}},
    });
    const labels = {'app.kubernetes.io/managed-by': 'somebody', 'modelroute.dev/gateway': 'other'};
    await cluster.patch('Deployment', 'held', 'models', {metadata: {labels}});
    await until(
      async () => {
        const found = await cluster.get('Deployment', 'held', 'models');
        return found?.metadata.labels?.['app.kubernetes.io/managed-by'] === 'modelroute';
      },
      'its labels are back',
      patienceMs,
    );
    expect((await cluster.get('Deployment', 'held', 'models'))?.['spec']).toMatchObject({replicas: 7});
  }, 120_000);

  it('says that a config is too large, and keeps the one before', async () => {
    await cluster.apply(route('large', 'small'));
    await serves('large', ['small']);
    // Compression has nothing to find in names that look random.
    const text = (length: number): string => {
      let made = '';
      while (made.length < length) made += Math.random().toString(36).slice(2);
      return made.slice(0, length);
    };
    const backends = Array.from({length: 64}, (_, index) => ({
      name: `b${index}`,
      url: `https://a.example/${text(900)}`,
    }));
    for (let index = 0; index < 24; index += 1) await cluster.apply(route('large', `r${index}`, {backends}));
    const message = await cluster.turns(['ModelGateway', 'large', 'models'], 'Programmed', 'False/ConfigTooLarge');
    expect(message).toMatch(/900/);
    expect((await routesIn('large')).length).toBeLessThan(25);
    for (let index = 0; index < 24; index += 1) await cluster.remove('ModelRoute', 'large', `r${index}`);
    await serves('large', ['small']);
  }, 180_000);

  it('tells in Events what it has changed and why, but not of each config', async () => {
    const ofGateway = async (): Promise<string[]> =>
      (await cluster.list('Event', 'whys'))
        .map((event) => event as KubeObject & {reason: string; note: string; regarding: {kind: string}})
        .filter(({regarding}) => regarding.kind === 'ModelGateway')
        .map(({reason, note}) => `${reason} ${note}`);
    const tells = (wanted: string): Promise<void> =>
      until(async () => (await ofGateway()).includes(wanted), `an Event "${wanted}"`, patienceMs);
    await cluster.apply(gateway('whys', 'models', {replicas: 2}));
    await tells('Created Deployment whys/models: it was not there');
    await cluster.apply(gateway('whys', 'models', {replicas: 3}));
    await tells('Updated Deployment whys/models: as the gateway has it now');
    await cluster.patch('Deployment', 'whys', 'models', {spec: {replicas: 1}});
    await tells('Restored Deployment whys/models: somebody else had changed it');
    await cluster.patch('Service', 'whys', 'models', {metadata: {labels: {'app.kubernetes.io/name': 'theirs'}}});
    await tells('Restored Service whys/models: somebody else had changed it');
    await cluster.apply(route('whys', 'chat'));
    await serves('whys', ['chat']);
    await cluster.patch('ConfigMap', 'whys', 'models-config', {binaryData: {'config.json.gz': ''}});
    await tells('Restored ConfigMap whys/models-config: somebody else had changed it');
    const lines = running.log.filter(({namespace, message}) => namespace === 'whys' && message === 'child restored');
    expect(lines.map(({kind}) => kind)).toEqual(['Deployment', 'Service', 'ConfigMap']);
    expect((await ofGateway()).filter((told) => told.startsWith('Updated ConfigMap'))).toEqual([]);
  }, 120_000);

  it('puts right what somebody keeps changing, then ever later, and warns of it once', async () => {
    await cluster.apply(gateway('contested', 'models', {replicas: 2}));
    await exists('Deployment', 'contested', 'models');
    const warnings = () => running.log.filter(({level, namespace}) => level === 'warn' && namespace === 'contested');
    const replicas = async (): Promise<number | undefined> => {
      const found = (await cluster.get('Deployment', 'contested', 'models')) as {spec: {replicas: number}} | undefined;
      return found?.spec.replicas;
    };
    for (let count = 0; count < 5; count += 1) {
      await cluster.patch('Deployment', 'contested', 'models', {spec: {replicas: 9}});
      await until(async () => (await replicas()) === 2, 'it is put right', patienceMs);
    }
    await until(() => warnings().length === 1, 'it warns', patienceMs);
    expect(warnings()).toMatchObject([{message: 'somebody else keeps changing a child', kind: 'Deployment'}]);
    const since = performance.now();
    await cluster.patch('Deployment', 'contested', 'models', {spec: {replicas: 9}});
    await until(async () => (await replicas()) === 2, 'it is put right once more', patienceMs);
    expect(performance.now() - since).toBeGreaterThan(5_000);
    const reasons = (await cluster.list('Event', 'contested')).map((event) => event['reason']);
    expect(reasons.filter((reason) => reason === 'Contested')).toHaveLength(1);
  }, 180_000);

  it('tells of it in Events', async () => {
    await cluster.apply(route('told', 'chat', {backends: [{name: 'local', serviceRef: {name: 'no', port: 1}}]}));
    await until(
      async () => {
        const events = (await cluster.list('Event', 'told')) as (KubeObject & {
          reason: string;
          type: string;
          regarding: {kind: string};
        })[];
        const has = (kind: string, type: string, reason: string): boolean =>
          events.some((event) => event.regarding.kind === kind && event.type === type && event.reason === reason);
        return has('ModelGateway', 'Normal', 'Created') && has('ModelRoute', 'Warning', 'BackendNotFound');
      },
      'there are Events',
      patienceMs,
    );
  }, 120_000);

  it('is alive and ready, and has the metrics that dashboards look for', async () => {
    const port = running.operator.adminPort;
    await until(async () => (await textOf(port, '/readyz')).status === 200, 'ready', patienceMs);
    expect(await textOf(port, '/livez')).toEqual({status: 200, text: 'ok\n'});
    const {text} = await textOf(port, '/metrics');
    for (const name of [
      'controller_runtime_reconcile_total{controller="modelgateway",result="success"}',
      'controller_runtime_reconcile_errors_total{controller="modelgateway"}',
      'controller_runtime_reconcile_time_seconds_bucket{controller="modelgateway"',
      'controller_runtime_active_workers{controller="modelgateway"}',
      'controller_runtime_max_concurrent_reconciles{controller="modelgateway"} 4',
      'workqueue_depth{name="modelgateway",controller="modelgateway"}',
      'workqueue_adds_total{name="modelgateway",controller="modelgateway"}',
      'workqueue_retries_total{name="modelgateway",controller="modelgateway"}',
      'workqueue_queue_duration_seconds_count{name="modelgateway",controller="modelgateway"}',
      'workqueue_work_duration_seconds_sum{name="modelgateway",controller="modelgateway"}',
      'workqueue_unfinished_work_seconds{name="modelgateway",controller="modelgateway"}',
      'workqueue_longest_running_processor_seconds{name="modelgateway",controller="modelgateway"}',
      'leader_election_master_status{name="modelroute-operator"} 1',
    ])
      expect(text).toContain(name);
    expect((await textOf(port, '/nothing')).status).toBe(404);
  }, 120_000);

  it('never says that something is wrong with itself', () => {
    expect(running.log.filter(({message}) => message === 'fault in ModelRoute')).toEqual([]);
    const isMeant = (line: Running['log'][number]): boolean => line['gateway'] === 'refused/models';
    expect(running.log.filter((line) => line.level === 'error' && !isMeant(line))).toEqual([]);
  });
});
