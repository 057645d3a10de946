/** The proxy on a real API server: what it serves, and what it goes on serving. */
import {writeFileSync} from 'node:fs';
import {afterAll, afterEach, beforeAll, describe, expect, it} from '@jest/globals';
import type {ModelRouteSpec} from '../../operator/api/generated.ts';
import type {Simulator} from '../../simulator/index.ts';
import {findAssets} from '../api-server/assets.ts';
import {startApiServer, type ApiServer} from '../api-server/start.ts';
import {configMapsIn, hashOf, slicesIn} from '../cluster-objects.ts';
import {secret, slice} from '../objects.ts';
import {chatBody, keeper, post, startUpstream, type Setup} from '../proxy/harness.ts';
import {until} from '../until.ts';
import {
  apiServerAt,
  createCluster,
  createMounts,
  runProxy,
  startNetwork,
  stored,
  type Cluster,
  type RunOptions,
  type Running,
} from './proxy-cluster.ts';

const assets = findAssets((line) => process.stderr.write(line));
const describeWithServer = assets === undefined ? describe.skip : describe;

const patienceMs = 40_000;
const comes = (condition: () => boolean | Promise<boolean>, what: string): Promise<void> =>
  until(condition, what, patienceMs);

const pods = {serviceRef: {name: 'vllm', port: 8_000}};
const retryNever = {maxAttempts: 1};

/** A route to the Service, whose pods all have a port `http` of their own. */
const toPods = (spec: Partial<ModelRouteSpec> = {}): Setup => ({
  routes: {backends: [{name: 'local', ...pods}], retry: retryNever, ...spec},
  slices: [slice()],
});

const toUrl = (url: string, resourceVersion: string): Setup => ({
  routes: {backends: [{name: 'cloud', url, auth: {secretRef: {name: 'openai'}}}], retry: retryNever},
  secrets: [secret({resourceVersion, values: {apiKey: `sk-${resourceVersion}`}})],
});

const ask = async ({url}: Pick<Running, 'url'>): Promise<number> => {
  const response = await post(url, chatBody());
  await response.text();
  return response.status;
};

/** Asks one after the other until told to stop; answers with every status that was not 200. */
function keepAsking(running: Running): {stop(): Promise<{asked: number; failed: (number | string)[]}>} {
  const controller = new AbortController();
  let asked = 0;
  const failed: (number | string)[] = [];
  const done = (async () => {
    while (!controller.signal.aborted) {
      const status = await ask(running).catch(String);
      asked += 1;
      if (status !== 200) failed.push(status);
    }
  })();
  return {
    async stop() {
      controller.abort();
      await done;
      return {asked, failed};
    },
  };
}

const keysOf = (upstream: Simulator): unknown[] => upstream.requests().map(({headers}) => headers['authorization']);

const {keep, closeAll} = keeper();

describeWithServer('a proxy in a cluster', () => {
  let server: ApiServer;
  let clusters = 0;

  beforeAll(async () => {
    server = await startApiServer(assets ?? '');
  }, 120_000);
  afterAll(() => server?.stop());
  afterEach(closeAll);

  const start = async () => {
    clusters += 1;
    const cluster = createCluster(server, `gateway-${clusters}`);
    const network = await keep(startNetwork(Number(new URL(server.url).port)));
    const mounts = await keep(Promise.resolve(createMounts()));
    const run = (options: Partial<RunOptions> = {}): Promise<Running> =>
      keep(
        runProxy({
          namespace: cluster.namespace,
          apiServer: apiServerAt(server, network.port),
          folders: mounts.folders,
          ...options,
        }),
      );
    const store = async (setup: Setup): Promise<{text: string; credentials: string}> => {
      const both = stored(cluster.namespace, setup);
      await cluster.putCredentials(both.credentials);
      await cluster.putConfig(both.text);
      return both;
    };
    return {...cluster, cluster, network, mounts, run, store};
  };

  const addPod = async (cluster: Cluster, upstream: Simulator, conditions?: object, zone?: string): Promise<void> =>
    cluster.putSlice({
      name: `vllm-${upstream.port}`,
      port: upstream.port,
      endpoints: [{address: '127.0.0.1', ...(conditions && {conditions}), ...(zone !== undefined && {zone})}],
    });

  const removePod = (cluster: Cluster, upstream: Simulator): Promise<unknown> =>
    cluster.must('DELETE', `${slicesIn(cluster.namespace)}/vllm-${upstream.port}`);

  const serving = async (running: Running, ...upstreams: Simulator[]): Promise<void> =>
    comes(async () => {
      const wanted = upstreams.map(({port}) => `127.0.0.1:${port}`).sort();
      return (await running.addresses()).join() === wanted.join();
    }, `the endpoints are those of ${upstreams.length} pods`);

  it('is not ready without a config, and serves as soon as one is written', async () => {
    const {run, store, cluster} = await start();
    const upstream = await keep(startUpstream());
    const running = await run();
    expect(await running.ready()).toMatch(/^no valid config yet: ENOENT/);
    expect(await ask(running)).toBe(503);
    await addPod(cluster, upstream);
    const {text} = await store(toPods());
    await running.untilReady();
    expect(await ask(running)).toBe(200);
    expect(await running.loaded()).toMatchObject({hash: hashOf(text), rejected: null, missingCredentials: []});
  }, 60_000);

  it('gives a pod that is gone, terminates or is not ready no request, and loses none', async () => {
    const {run, store, cluster} = await start();
    const [one, two] = [await keep(startUpstream()), await keep(startUpstream())];
    await addPod(cluster, one);
    await addPod(cluster, two);
    await store(toPods());
    const running = await run();
    await serving(running, one, two);
    const asking = keepAsking(running);
    for (const conditions of [
      {ready: false, serving: true, terminating: true},
      {ready: false, serving: false, terminating: false},
    ]) {
      await addPod(cluster, one, conditions);
      await serving(running, two);
      await addPod(cluster, one);
      await serving(running, one, two);
    }
    await removePod(cluster, one);
    await serving(running, two);
    const before = one.requests().length;
    for (let times = 0; times < 5; times += 1) expect(await ask(running)).toBe(200);
    expect(one.requests().length).toBe(before);
    await addPod(cluster, two, {ready: false, serving: true, terminating: true}); // none is ready
    for (let times = 0; times < 5; times += 1) expect(await ask(running)).toBe(200);
    const {asked, failed} = await asking.stop();
    expect(failed).toEqual([]);
    expect(asked).toBeGreaterThan(10);
  }, 60_000);

  it('picks the port by its name', async () => {
    const {run, store, cluster} = await start();
    const upstream = await keep(startUpstream());
    const {namespace} = cluster;
    await cluster.put(slicesIn(namespace), {
      metadata: {name: 'vllm-1', labels: {'kubernetes.io/service-name': 'vllm'}},
      addressType: 'FQDN',
      ports: [
        {name: 'metrics', port: 9, protocol: 'TCP'},
        {name: 'http', port: upstream.port, protocol: 'TCP'},
      ],
      endpoints: [{addresses: ['127.0.0.1']}],
    } as {metadata: {name: string}});
    await store(toPods());
    const running = await run();
    await running.untilReady();
    expect(await ask(running)).toBe(200);
  }, 60_000);

  it('goes on while the API server is away, and takes up what changed meanwhile and after', async () => {
    const {run, store, cluster, network} = await start();
    const [one, two] = [await keep(startUpstream()), await keep(startUpstream())];
    await addPod(cluster, one);
    await store(toPods());
    const running = await run();
    await serving(running, one);
    const asking = keepAsking(running);
    network.breakDown();
    await running.untilSays('API server does not answer, what was known last stays in use');
    await addPod(cluster, two);
    expect(await running.ready()).toBe('ok');
    network.mend();
    await serving(running, one, two);
    const {text} = await store(toPods({modelNames: ['chat', 'other']}));
    await comes(async () => (await running.loaded()).hash === hashOf(text), 'the config that came after');
    expect((await asking.stop()).failed).toEqual([]);
  }, 90_000);

  it('starts without an API server, from what is mounted and saved, and follows it when it comes', async () => {
    const {run, store, cluster, network, mounts} = await start();
    const [one, two] = [await keep(startUpstream()), await keep(startUpstream())];
    await addPod(cluster, one);
    mounts.mount(await store(toPods()));
    const first = await run();
    await serving(first, one);
    await first.drain();

    network.breakDown();
    const second = await run();
    expect(await second.ready()).toBe('ok');
    expect(await ask(second)).toBe(200);
    await addPod(cluster, two);
    await removePod(cluster, one);
    network.mend();
    await serving(second, two);
    expect(await ask(second)).toBe(200);
  }, 90_000);

  it('is not ready without an API server when nothing was saved, and reads nothing of a broken file', async () => {
    const {run, network, mounts, cluster} = await start();
    mounts.mount(stored(cluster.namespace, toPods()));
    writeFileSync(`${mounts.folders.state}/endpoints.json`, '{"formatVersion": 1, "gate');
    network.breakDown();
    const running = await run();
    expect(running.log.map(({message}) => message)).toContain('saved endpoints ignored');
    expect(await running.ready()).toBe(`endpoints are not known yet in ${cluster.namespace}`);
    network.mend();
    await running.untilReady();
  }, 60_000);

  it('starts with the last good config, and says so, where the one that is mounted is rejected', async () => {
    const {run, store, cluster, network, mounts} = await start();
    const upstream = await keep(startUpstream());
    await addPod(cluster, upstream);
    const {text, credentials} = await store(toPods());
    const first = await run();
    await serving(first, upstream);
    await first.drain();

    const later = JSON.stringify({...(JSON.parse(text) as object), formatVersion: 2});
    mounts.mount({text: later, credentials});
    await cluster.putConfig(later);
    network.breakDown();
    const second = await run();
    expect(await second.ready()).toBe('ok');
    expect(await ask(second)).toBe(200);
    const expected = {hash: hashOf(text), rejected: {hash: hashOf(later)}};
    expect(await second.loaded()).toMatchObject(expected);
    network.mend();
    await second.untilSays('config rejected, the last good one stays in use');
    expect(await second.loaded()).toMatchObject(expected);
    expect(await ask(second)).toBe(200);
  }, 90_000);

  it('goes on when its config is deleted or broken, says so, and takes the next', async () => {
    const {run, store, cluster} = await start();
    const upstream = await keep(startUpstream());
    await addPod(cluster, upstream);
    const {text} = await store(toPods());
    const running = await run();
    await serving(running, upstream);
    const asking = keepAsking(running);
    await cluster.must('DELETE', `${configMapsIn(cluster.namespace)}/models-config`);
    await running.untilSays('there is no config object, the last good config stays in use');
    const later = JSON.stringify({...(JSON.parse(text) as object), formatVersion: 2});
    await cluster.putConfig(later);
    await comes(async () => (await running.loaded()).rejected !== null, 'it is refused');
    expect(await running.loaded()).toMatchObject({
      hash: hashOf(text),
      rejected: {hash: hashOf(later), reason: expect.stringContaining('formatVersion 2')},
    });
    expect(await (await fetch(`${running.admin}/metrics`)).text()).toMatch(/modelroute_config_rejected\S* [1-9]/);
    await cluster.putConfig(text);
    await comes(async () => (await running.loaded()).rejected === null, 'the good one is back');
    expect((await asking.stop()).failed).toEqual([]);
  }, 60_000);

  it.each(['credentials first', 'config first'])(
    'never sends an old key to a new URL, nor a new one to an old: %s',
    async (order) => {
      const {run, store, cluster} = await start();
      const [before, after] = [await keep(startUpstream()), await keep(startUpstream())];
      await store(toUrl(before.url, '1'));
      const running = await run();
      await running.untilReady();
      expect(await ask(running)).toBe(200);
      const asking = keepAsking(running);
      const next = stored(cluster.namespace, toUrl(after.url, '2'));
      const steps = [() => cluster.putCredentials(next.credentials), () => cluster.putConfig(next.text)];
      const [first, second] = order === 'config first' ? steps.toReversed() : steps;
      await first?.();
      if (order === 'config first') {
        await comes(async () => (await running.loaded()).hash === hashOf(next.text), 'the config');
        expect((await running.loaded()).missingCredentials).toEqual([`${cluster.namespace}/chat`]);
      }
      const asked = before.requests().length;
      await comes(() => before.requests().length > asked, 'the old one is asked still');
      await second?.();
      await comes(() => after.requests().length > 2, 'the new one is asked');
      expect((await asking.stop()).failed).toEqual([]);
      expect([...new Set(keysOf(before)), ...new Set(keysOf(after))]).toEqual(['Bearer sk-1', 'Bearer sk-2']);
      expect((await running.loaded()).missingCredentials).toEqual([]);
    },
    60_000,
  );

  it('does with the rights that a gateway has, and without those to the endpoints of one namespace', async () => {
    const {run, cluster} = await start();
    const {namespace, must} = cluster;
    const upstream = await keep(startUpstream());
    const rbac = (kind: string) => `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/${kind}`;
    const verbs = ['get', 'list', 'watch'];
    await must('POST', `/api/v1/namespaces/${namespace}/serviceaccounts`, {metadata: {name: 'models'}});
    await must('POST', rbac('roles'), {
      metadata: {name: 'models'},
      rules: [
        {apiGroups: [''], resources: ['configmaps'], resourceNames: ['models-config'], verbs},
        {apiGroups: [''], resources: ['secrets'], resourceNames: ['models-credentials'], verbs},
        {apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs},
      ],
    });
    await must('POST', rbac('rolebindings'), {
      metadata: {name: 'models'},
      roleRef: {apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'models'},
      subjects: [{kind: 'ServiceAccount', name: 'models', namespace}],
    });
    const made = await must('POST', `/api/v1/namespaces/${namespace}/serviceaccounts/models/token`, {spec: {}});
    const {token} = (made as {status: {token: string}}).status;
    await addPod(cluster, upstream);
    const {text, credentials} = stored(namespace, toPods());
    const [backend] = (JSON.parse(text) as {routes: {backends: {target: object}[]}[]}).routes[0]!.backends;
    const forbidden = {
      ...backend,
      name: 'elsewhere',
      priority: 1,
      target: {...backend!.target, namespace: 'forbidden'},
    };
    const config = JSON.parse(text) as {routes: {backends: object[]}[]};
    config.routes[0]!.backends.push(forbidden);
    await cluster.putCredentials(credentials);
    await cluster.putConfig(JSON.stringify(config));
    const running = await run({apiServer: apiServerAt(server, Number(new URL(server.url).port), token)});
    const refusal = await running.untilSays('API server refuses, what was known last stays in use');
    expect(refusal['what']).toBe('endpointslices in forbidden');
    expect(refusal['error']).toMatch(/cannot list resource "endpointslices"/);
    await running.untilReady();
    expect(await ask(running)).toBe(200);
    expect(running.log.filter(({message}) => message.startsWith('API server refuses'))).toHaveLength(1);
  }, 60_000);

  it('stays in its zone while there is an endpoint, if the route wants that', async () => {
    const {run, store, cluster} = await start();
    const [near, far] = [await keep(startUpstream()), await keep(startUpstream())];
    await cluster.putSlice({service: 'models', addressType: 'IPv4', endpoints: [{address: '10.1.2.3', zone: 'a'}]});
    await addPod(cluster, near, undefined, 'a');
    await addPod(cluster, far, undefined, 'b');
    await store(toPods({loadBalancing: {zonePreference: 'SameZone'}}));
    const running = await run({podIp: '10.1.2.3'});
    await serving(running, near);
    await removePod(cluster, near);
    await serving(running, far);
    expect(await ask(running)).toBe(200);
    await store(toPods());
    await addPod(cluster, near, undefined, 'a');
    await serving(running, near, far);
  }, 60_000);

  it('serves what an operator of one release before or after writes', async () => {
    const {run, store, cluster} = await start();
    const upstream = await keep(startUpstream());
    await addPod(cluster, upstream);
    const {text} = await store(toPods());
    type Config = {routes: {loadBalancing: object}[]};
    const older = JSON.stringify(JSON.parse(text), (key, value: unknown) =>
      key === 'zonePreference' ? undefined : value,
    );
    const newer = JSON.parse(text) as Config;
    const [route] = newer.routes;
    Object.assign(newer, {
      added: 1,
      routes: [{...route, added: {a: 1}, loadBalancing: {...route!.loadBalancing, added: []}}],
    });
    const running = await run();
    for (const each of [older, JSON.stringify(newer)]) {
      await cluster.putConfig(each);
      await comes(async () => (await running.loaded()).hash === hashOf(each), 'it is loaded');
      await serving(running, upstream);
      expect(await ask(running)).toBe(200);
    }
  }, 60_000);
});
