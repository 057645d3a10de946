/** What people get wrong, or take away: what they then read in kubectl, and that it heals when it is put right. */
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals';
import {inCluster, type Cluster} from './cluster.ts';
import {eventually} from './eventually.ts';
import {fetchFrom, firstAnswer, startLoad} from './load.ts';
import {
  backend,
  backendPort,
  gateway,
  documentsOf,
  namespace,
  route,
  secret,
  service,
  simulators,
  type BackendSpec,
  type KubernetesObject,
} from './objects.ts';
import {
  createScope,
  describeOnCluster,
  proxies,
  setUpMs,
  startProduct,
  startScenario,
  type Scenario,
  type Scope,
} from './scenario.ts';

const testMs = 6 * 60_000;

/** `kubectl describe` breaks no line of a message, but what it shows is a column. */
const squeezed = (text: string): string => text.replaceAll(/\s+/g, ' ');

const withAuth = (secretName: string, key?: string): BackendSpec =>
  backend('sim', {auth: {secretRef: {name: secretName, ...(key === undefined ? {} : {key})}}});

const statusOf = async ({url}: Scope, model: string): Promise<number> => {
  const body = {model, messages: [{role: 'user', content: 'Hi'}], max_tokens: 3};
  return (await fetchFrom({url: `${url}/chat/completions`, body}, inCluster)).status;
};

describeOnCluster('bad input', () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await startProduct();
  }, setUpMs);
  afterAll(() => cluster.stop(), setUpMs);

  describe('what people get wrong', () => {
    let scope: Scope;

    beforeAll(async () => {
      scope = await createScope(cluster, 'bad-input');
      await scope.apply(...simulators('sim', 1), gateway('models', {replicas: 1}), route('good', [backend('sim')]));
      await scope.untilReady('mroute/good');
    }, setUpMs);
    afterAll(() => scope.close(), setUpMs);

    /** What a person sees, the route beside it untouched. */
    const described = async (object: string): Promise<string> => {
      const text = squeezed(await scope.describe(object));
      expect(await statusOf(scope, 'good')).toBe(200);
      return text;
    };

    const refused: Record<string, {object: () => KubernetesObject; says: string[]}> = {
      'an unknown field': {
        object: () => route('bad', [backend('sim')], {retries: 3}),
        says: ['unknown field "spec.retries"'],
      },
      'an unknown field of a backend': {
        object: () => route('bad', [backend('sim', {wieght: 2})]),
        says: ['unknown field "spec.backends[0].wieght"'],
      },
      'an unknown field of a gateway': {
        object: () => gateway('bad', {replica: 3}),
        says: ['unknown field "spec.replica"'],
      },
      'an unknown value': {
        object: () => route('bad', [backend('sim')], {loadBalancing: {strategy: 'Random'}}),
        says: ['spec.loadBalancing.strategy', 'Unsupported value: "Random"', 'LeastRequest'],
      },
      'no backend': {object: () => route('bad', []), says: ['spec.backends', 'at least 1']},
      'both kinds of target': {
        object: () => route('bad', [backend('sim', {url: 'http://example.com/v1'})]),
        says: ['spec.backends[0]', 'serviceRef', 'url'],
      },
      '65 backends': {
        object: () =>
          route(
            'bad',
            Array.from({length: 65}, (_, index) => backend('sim', {name: `b${index}`})),
          ),
        says: ['spec.backends', 'at most 64'],
      },
      'a gateway with a name too long for its Service': {
        object: () => gateway('g'.repeat(64)),
        says: ['metadata.name'],
      },
    };

    it.each(Object.entries(refused))(
      '%s: kubectl apply is told what',
      async (_, {object, says}) => {
        const text = await scope.refusal(object());
        for (const words of says) expect(text).toContain(words);
      },
      testMs,
    );

    const healed = async (name: string): Promise<void> => {
      await scope.untilReady(`mroute/${name}`);
      await firstAnswer({url: scope.url, model: name, withinSeconds: 30}, inCluster);
      await scope.kubectl('delete', `mroute/${name}`);
    };

    it(
      'a Service that is missing, then appears',
      async () => {
        await scope.apply(route('no-service', [backend('late')]));
        await scope.untilReason('mroute/no-service', 'ResolvedRefs', 'BackendNotFound');
        expect(await described('mroute/no-service')).toContain(`${scope.name}/late`);
        await scope.apply(service('late', 'sim'));
        await healed('no-service');
      },
      testMs,
    );

    it(
      'a port that is missing, then appears',
      async () => {
        const ref = {serviceRef: {name: 'sim', port: 8001}};
        await scope.apply(route('no-port', [backend('sim', ref)]));
        await scope.untilReason('mroute/no-port', 'ResolvedRefs', 'PortNotFound');
        const text = await described('mroute/no-port');
        for (const words of ['8001', String(backendPort), `${scope.name}/sim`]) expect(text).toContain(words);
        const ports = [backendPort, 8001].map((port) => ({name: `port-${port}`, port, targetPort: 'http'}));
        await scope.apply({
          apiVersion: 'v1',
          kind: 'Service',
          metadata: {name: 'sim'},
          spec: {selector: {app: 'sim'}, ports},
        });
        await healed('no-port');
        await scope.untilReady('mroute/good');
      },
      testMs,
    );

    it(
      'a Secret that is missing, then there without the key, then with an empty one, then whole',
      async () => {
        await scope.apply(route('no-secret', [withAuth('late')]));
        await scope.untilReason('mroute/no-secret', 'ResolvedRefs', 'SecretNotFound');
        expect(await described('mroute/no-secret')).toContain(`${scope.name}/late`);

        await scope.apply(secret('late', {token: 'hidden-1'}));
        await scope.untilReason('mroute/no-secret', 'ResolvedRefs', 'SecretKeyNotFound');
        const withoutKey = await described('mroute/no-secret');
        expect(withoutKey).toContain('"apiKey"');
        expect(withoutKey).toContain('token');
        expect(withoutKey).not.toContain('hidden-1');

        await scope.apply(secret('late', {token: 'hidden-1', apiKey: ''}));
        await eventually(
          async () => (await described('mroute/no-secret')).includes('is empty'),
          'the status says that the key is empty',
        );
        await scope.apply(secret('late', {apiKey: 'hidden-2'}));
        await healed('no-secret');
      },
      testMs,
    );

    it(
      'a Secret with a binary key: named, and never shown',
      async () => {
        const binary = {apiVersion: 'v1', kind: 'Secret', metadata: {name: 'binary'}, data: {apiKey: '/wD+gEE='}};
        await scope.apply(binary, route('binary-secret', [withAuth('binary')]));
        await scope.untilReason('mroute/binary-secret', 'ResolvedRefs', 'Invalid');
        const text = await described('mroute/binary-secret');
        expect(text).toContain(`key "apiKey" of Secret ${scope.name}/binary`);
        expect(text).not.toContain('/wD+gEE=');
        await scope.apply(secret('binary', {apiKey: 'plain'}));
        await healed('binary-secret');
      },
      testMs,
    );

    it(
      'a gateway that is not there',
      async () => {
        await scope.apply(route('no-gateway', [backend('sim')], {gatewayRef: {name: 'later'}}));
        await scope.untilReason('mroute/no-gateway', 'Accepted', 'GatewayNotFound');
        expect(await described('mroute/no-gateway')).toContain(`${scope.name}/later`);
        await scope.apply(gateway('later', {replicas: 1}));
        await scope.untilReady('mroute/no-gateway');
        await scope.kubectl('delete', 'mroute/no-gateway', 'mgateway/later');
      },
      testMs,
    );

    it(
      'a Service whose selector matches nothing',
      async () => {
        await scope.apply(service('empty', 'nobody'), route('no-pods', [backend('empty')]));
        await scope.untilReason('mroute/no-pods', 'Ready', 'NoReadyEndpoints');
        expect(await described('mroute/no-pods')).toContain(`${scope.name}/empty`);
        expect(await statusOf(scope, 'no-pods')).toBeGreaterThanOrEqual(500);
        await scope.apply(service('empty', 'sim'));
        await healed('no-pods');
      },
      testMs,
    );

    it(
      'a name that another route of the namespace has: the older one keeps it',
      async () => {
        await scope.apply(route('younger', [backend('nobody')], {modelNames: ['good']}));
        const {message} = await scope.untilReason('mroute/younger', 'Accepted', 'ModelNameConflict');
        expect(message).toContain(`${scope.name}/good`);
        expect(await described('mroute/younger')).toContain('"good"');
        await scope.kubectl('delete', 'mroute/younger');
      },
      testMs,
    );

    it(
      '64 backends',
      async () => {
        const backends = Array.from({length: 64}, (_, index) =>
          backend('sim', {name: `b${index}`, priority: index % 4}),
        );
        await scope.apply(route('many', backends));
        await healed('many');
      },
      testMs,
    );
  });

  describe('routes from another namespace', () => {
    let owner: Scope;
    let guest: Scope;
    const shared = (allowedRoutes?: object): KubernetesObject =>
      gateway('models', {replicas: 1, ...(allowedRoutes === undefined ? {} : {allowedRoutes})});
    const allowed = {namespaces: {from: 'All'}};
    const from = (name: string, modelNames: string[]): KubernetesObject =>
      route(name, [backend('sim')], {modelNames, gatewayRef: {name: 'models', namespace: owner.name}});

    beforeAll(async () => {
      owner = await createScope(cluster, 'owner', {team: 'guests'});
      guest = await createScope(cluster, 'guest', {team: 'guests'});
      await owner.apply(...simulators('sim', 1), shared(), route('owned', [backend('sim')], {modelNames: ['gpt-*']}));
      await guest.apply(...simulators('sim', 1));
      await owner.untilReady('mroute/owned');
    }, setUpMs);
    afterAll(() => Promise.all([owner.close(), guest.close()]), setUpMs);

    const ownerServes = async (): Promise<void> => expect(await statusOf(owner, 'gpt-4')).toBe(200);

    it(
      'are not taken by a gateway that does not allow them, and are once it does',
      async () => {
        await guest.apply(from('guest', ['llama']));
        await guest.untilReason('mroute/guest', 'Accepted', 'NotAllowedByGateway');
        expect(squeezed(await guest.describe('mroute/guest'))).toContain(`${owner.name}/models`);

        const nobody = {namespaces: {from: 'Selector', selector: {matchLabels: {team: 'nobody'}}}};
        await owner.apply(shared(nobody));
        await eventually(async () => {
          const {reason, message} = (await guest.condition('mroute/guest', 'Accepted')) ?? {reason: '', message: ''};
          return reason === 'NotAllowedByGateway' && /label|selector/.test(message);
        }, 'the status says that the selector does not match');

        const guests = {namespaces: {from: 'Selector', selector: {matchLabels: {team: 'guests'}}}};
        await owner.apply(shared({...guests, modelNames: ['gpt-*', 'qwen-*']}));
        await eventually(
          async () => (await guest.condition('mroute/guest', 'Accepted'))?.message.includes('"llama"') === true,
          'the status names the model name that is not allowed',
        );
        await ownerServes();

        await owner.apply(shared(allowed));
        await guest.untilReady('mroute/guest');
        await firstAnswer({url: owner.url, model: 'llama', withinSeconds: 30}, inCluster);
        await ownerServes();
      },
      testMs,
    );

    it(
      'with a name that overlaps one of another namespace: the older one keeps it',
      async () => {
        await owner.apply(shared(allowed));
        await guest.apply(from('overlapping', ['gpt-4']));
        const {message} = await guest.untilReason('mroute/overlapping', 'Accepted', 'ModelNameConflict');
        expect(message).toContain(`${owner.name}/owned`);
        expect(message).toContain('gpt-*');
        await ownerServes();
      },
      testMs,
    );
  });

  describe('names at the limit of their length', () => {
    it(
      'are served: namespace, gateway, Service, backend, Secret, route and model name',
      async () => {
        const suffix = Date.now().toString(36);
        const space = `${'n'.repeat(62 - suffix.length)}-${suffix}`;
        const [gatewayName, serverName] = ['g'.repeat(63), 's'.repeat(63)];
        const [secretName, routeName, model] = ['k'.repeat(253), 'r'.repeat(253), 'm'.repeat(256)];
        const inSpace = ['--namespace', space];
        await cluster.apply(documentsOf([namespace(space)]));
        try {
          const objects = [
            ...simulators(serverName, 1),
            secret(secretName, {apiKey: 'key'}),
            gateway(gatewayName, {replicas: 1}),
            route(routeName, [backend(serverName, {auth: {secretRef: {name: secretName}}})], {
              gatewayRef: {name: gatewayName},
              modelNames: [model],
            }),
          ];
          await cluster.kubectl([...inSpace, 'apply', '-f', '-'], {stdin: documentsOf(objects)});
          await cluster.kubectl([...inSpace, 'wait', `mroute/${routeName}`, '--for=condition=Ready', '--timeout=180s']);
          await firstAnswer({url: `http://${gatewayName}.${space}/v1`, model, withinSeconds: 30}, inCluster);
        } finally {
          await cluster.kubectl(['delete', 'namespace', space, '--wait=false']);
        }
      },
      testMs,
    );
  });

  describe('what people take away or change by hand', () => {
    let scenario: Scenario;

    beforeAll(async () => {
      scenario = await startScenario(cluster, 'by-hand');
    }, setUpMs);
    afterAll(() => scenario.close(), setUpMs);

    it(
      'the config object and that of the credentials: traffic goes on, and they come back',
      async () => {
        await scenario.underLoad('config and credentials deleted', async () => {
          for (const object of ['configmap/models-config', 'secret/models-credentials']) {
            await scenario.kubectl('delete', object);
            await eventually(() => scenario.exists(object), `${object} is there again`);
          }
          await scenario.apply(route('chat', [backend('sim')], {modelNames: ['chat', 'after']}));
          await firstAnswer({url: scenario.url, model: 'after', withinSeconds: 60}, inCluster);
        });
      },
      testMs,
    );

    it(
      'a child that is deleted is made again',
      async () => {
        const children = ['networkpolicy/models', 'poddisruptionbudget/models', 'rolebinding/models', 'role/models'];
        for (const child of [...children, 'service/models', 'deployment/models']) {
          await scenario.kubectl('delete', child);
          await eventually(() => scenario.exists(child), `${child} is there again`);
        }
        await scenario.untilPods(proxies, 2);
        await scenario.untilReady('mroute/chat');
        await firstAnswer({url: scenario.url, model: 'chat', withinSeconds: 60}, inCluster);
      },
      testMs,
    );

    it(
      'a child that is edited is put right',
      async () => {
        const portsOf = async (): Promise<number[]> =>
          (await scenario.get<{spec: {ports: {port: number}[]}}>('service/models')).spec.ports.map(({port}) => port);
        const edited = {spec: {ports: [{name: 'http', port: 81, targetPort: 'http'}]}};
        await scenario.kubectl('patch', 'service/models', '--type=merge', '--patch', JSON.stringify(edited));
        await eventually(async () => (await portsOf()).includes(80), 'the Service has its port again');

        await scenario.kubectl('scale', 'deployment/models', '--replicas=0');
        await scenario.untilPods(proxies, 2);
        await firstAnswer({url: scenario.url, model: 'chat', withinSeconds: 60}, inCluster);
      },
      testMs,
    );

    it(
      'the gateway, while it streams: every stream comes to its end',
      async () => {
        const streams = startLoad(
          {url: scenario.url, plainPerSecond: 0, streams: 5, streamTokens: 300, pace: 20, seconds: 2},
          inCluster,
        );
        await eventually(() => streams.status() !== '', 'streams run', 30);
        await scenario.kubectl('delete', 'mgateway/models', '--wait=false');
        await eventually(async () => {
          const {items} = await scenario.get<{items: {metadata: {deletionTimestamp?: string}}[]}>(
            'pods',
            '-l',
            proxies,
          );
          return items.some(({metadata}) => metadata.deletionTimestamp !== undefined);
        }, 'the proxies are on their way out');
        const report = await streams.ended();
        expect(report.failures).toEqual([]);
        expect(report.streams).toEqual({ok: 5});

        // Its routes name no other gateway, so that the namespace's own takes its place.
        await scenario.untilReady('mroute/chat');
        await firstAnswer({url: scenario.url, model: 'chat', withinSeconds: 60}, inCluster);
      },
      testMs,
    );
  });
});
