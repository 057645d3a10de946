/** The reflector on a real API server, with a network in between that a test can break. */
import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import {connect, createServer, type AddressInfo, type Socket} from 'node:net';
import {afterAll, afterEach, beforeAll, describe, expect, it} from '@jest/globals';
import {createKubeClient, type KubeClient, type KubeRequest} from '../../kube/client.ts';
import type {Clock} from '../../kube/clock.ts';
import {KubeError} from '../../kube/errors.ts';
import type {KubeObject} from '../../kube/objects.ts';
import {createReflector, type ReflectorOptions} from '../../kube/reflector.ts';
import {createStore, type Change} from '../../kube/store.ts';
import {findAssets} from '../api-server/assets.ts';
import {startApiServer, type ApiServer} from '../api-server/start.ts';
import {createFakeClock} from '../fake-clock.ts';
import {until} from '../until.ts';

const createFastClock = (times: number): Clock => ({
  now: () => performance.now() * times,
  after(ms, run) {
    const timer = setTimeout(run, ms / times);
    return {cancel: () => clearTimeout(timer)};
  },
});

/** Ten seconds of the reflector's in one of the test's: its back-off of seconds is none of ours. */
const fastClock = createFastClock(10);

const realClock: Clock = {
  now: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return {cancel: () => clearTimeout(timer)};
  },
};

const patienceMs = 10_000;
const waitFor = (condition: () => boolean | Promise<boolean>, what: string): Promise<void> =>
  until(condition, what, patienceMs);

type Network = {
  port: number;
  /** Connections that stand. */
  open(): number;
  /** Resets those that stand. */
  cut(): void;
  /** Resets those that stand and each that comes, until `mend`. */
  breakDown(): void;
  mend(): void;
  /** What stands goes silent, and stays so; what comes is not. */
  silence(): void;
  close(): Promise<void>;
};

async function startNetwork(targetPort: number): Promise<Network> {
  const pairs = new Set<{near: Socket; far: Socket}>();
  let isDown = false;
  const server = createServer((near) => {
    near.on('error', () => {});
    if (isDown) {
      near.resetAndDestroy();
      return;
    }
    const far = connect(targetPort, '127.0.0.1').on('error', () => {});
    const pair = {near, far};
    pairs.add(pair);
    near.on('close', () => far.destroy()).pipe(far);
    far.on('close', () => {
      near.destroy();
      pairs.delete(pair);
    });
    far.pipe(near);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = (): void => {
    for (const {near} of pairs) near.resetAndDestroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    open: () => pairs.size,
    cut,
    breakDown() {
      isDown = true;
      cut();
    },
    mend() {
      isDown = false;
    },
    silence() {
      for (const {near, far} of pairs) {
        far.unpipe(near);
        near.unpipe(far);
        near.resume();
        far.resume();
      }
    },
    async close() {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}

type Asked = {kind: 'list' | 'watch'; query: NonNullable<KubeRequest['query']>};

/** What a watch asks for instead, after so many requests for lists. */
type ChangeWatch = (query: Asked['query'], lists: number) => Asked['query'];

function recorded(client: KubeClient, change: ChangeWatch) {
  const asked: Asked[] = [];
  const recording: ReflectorOptions<KubeObject>['client'] = {
    request(request) {
      asked.push({kind: 'list', query: request.query ?? {}});
      return client.request(request);
    },
    stream(request) {
      const query = change(request.query ?? {}, asked.filter(({kind}) => kind === 'list').length);
      asked.push({kind: 'watch', query});
      return client.stream({...request, query});
    },
  };
  return {asked, client: recording};
}

const assets = findAssets((line) => process.stderr.write(line));
const describeWithServer = assets === undefined ? describe.skip : describe;

describeWithServer('the reflector on a real API server', () => {
  let server: ApiServer;
  const closing: (() => Promise<void> | void)[] = [];

  beforeAll(async () => {
    server = await startApiServer(assets ?? '');
  }, 120_000);

  afterAll(() => server?.stop());

  afterEach(async () => {
    for (const close of closing.splice(0).toReversed()) await close();
  });

  const must = async (method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown): Promise<void> => {
    const answer = await server.request(method, path, body);
    if (answer.status > 299) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  };

  let namespaces = 0;

  /** A namespace of its own for each test. */
  const createMaps = () => {
    namespaces += 1;
    const namespace = `reflector-${namespaces}`;
    const path = `/api/v1/namespaces/${namespace}/configmaps`;
    const map = (name: string, value: string) => ({metadata: {name}, data: {value}});
    return {
      namespace,
      path,
      create: (name: string, value = 'first') => must('POST', path, map(name, value)),
      change: (name: string, value: string) => must('PUT', `${path}/${name}`, map(name, value)),
      remove: (name: string) => must('DELETE', `${path}/${name}`),
    };
  };

  const pathOf = (group: string): string => `/apis/${group}/v1/namespaces/a/things`;
  const thing = (name: string, value: string) => ({
    apiVersion: 'forgetful.example.com/v1',
    kind: 'Thing',
    metadata: {name},
    data: {value},
  });

  /** A resource of its own, served. Answers with the path of its collection. */
  const define = async (group: string): Promise<string> => {
    const schema = {openAPIV3Schema: {type: 'object', 'x-kubernetes-preserve-unknown-fields': true}};
    await must('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
      metadata: {name: `things.${group}`},
      spec: {
        group,
        scope: 'Namespaced',
        names: {plural: 'things', kind: 'Thing'},
        versions: [{name: 'v1', served: true, storage: true, schema}],
      },
    });
    await waitFor(async () => (await server.request('GET', pathOf(group))).status === 200, `${group} is served`);
    return pathOf(group);
  };

  type StartOptions = Partial<Pick<ReflectorOptions<KubeObject>, 'query' | 'clock'>> & {
    path: string;
    token?: string;
    /** The network is down at first. */
    isDown?: boolean;
    changeWatch?: ChangeWatch;
  };

  const createClient = (port: number | string, token: string): KubeClient => {
    const ca = readFileSync(server.ca, 'utf8');
    return createKubeClient({
      config: {server: `https://127.0.0.1:${port}`, ca, token},
      clock: realClock,
      random: Math.random,
      deadlineMs: 1_000, // of a list while the network is down
    });
  };

  /** What the API server says to a list. */
  const statusFor = async ({path, query, token}: {path: string; query: Asked['query']; token: string}) => {
    const client = createClient(new URL(server.url).port, token);
    try {
      await client.request({method: 'GET', path, query});
      return 200;
    } catch (error) {
      return error instanceof KubeError ? error.status : error;
    } finally {
      await client.close();
    }
  };

  const start = async ({path, token = server.token, isDown, changeWatch, ...more}: StartOptions) => {
    const network = await startNetwork(Number(new URL(server.url).port));
    if (isDown === true) network.breakDown();
    const kube = createClient(network.port, token);
    const {client, asked} = recorded(kube, changeWatch ?? ((query) => query));
    const told: unknown[] = [];
    const store = createStore<KubeObject>({onError: (error) => told.push(error)});
    const changes: Change<KubeObject>[] = [];
    store.onChange((change) => changes.push(change));
    const reflector = createReflector({
      client,
      path,
      store,
      clock: fastClock,
      random: Math.random,
      onProblem: (error) => told.push(error instanceof KubeError ? error.status : error),
      onRecovered: () => told.push('recovered'),
      onUnreadable: (why) => told.push(why),
      ...more,
    });
    closing.push(() => network.close());
    closing.push(() => kube.close());
    closing.push(() => reflector.stop());
    const count = (kind: Asked['kind']): number => asked.filter((one) => one.kind === kind).length;
    const valueOf = (name: string): unknown => {
      const found = store.list().find(({metadata}) => metadata.name === name);
      return (found?.['data'] as {value: string} | undefined)?.value;
    };
    return {
      network,
      reflector,
      store,
      changes,
      told,
      asked,
      lists: () => count('list'),
      watches: () => count('watch'),
      valueOf,
      arrives: (name: string, value: string | undefined) =>
        waitFor(() => valueOf(name) === value, `${name} is ${String(value)}; told: ${told.map(String).join(', ')}`),
    };
  };

  it('hears of what is created, changed and deleted', async () => {
    const maps = createMaps();
    await maps.create('old');
    const {reflector, arrives, changes, lists, told} = await start(maps);
    await reflector.synced();
    await arrives('old', 'first');
    await maps.create('new');
    await arrives('new', 'first');
    await maps.change('new', 'second');
    await arrives('new', 'second');
    await maps.remove('new');
    await arrives('new', undefined);
    expect(changes.map(({type, key}) => `${type} ${key}`)).toEqual([
      `Added ${maps.namespace}/old`,
      `Added ${maps.namespace}/new`,
      `Modified ${maps.namespace}/new`,
      `Deleted ${maps.namespace}/new`,
    ]);
    expect(changes.map(({object: {apiVersion, kind}}) => `${apiVersion} ${kind}`)).toEqual(
      changes.map(() => 'v1 ConfigMap'), // also that of the list
    );
    expect(lists()).toBe(1);
    expect(told).toEqual([]);
  });

  it('resumes after a cut connection with a watch, and no list', async () => {
    const maps = createMaps();
    const {arrives, reflector, network, lists, watches} = await start(maps);
    await reflector.synced();
    for (const round of [1, 2, 3]) {
      await maps.create(`before-${round}`);
      await arrives(`before-${round}`, 'first');
      network.cut();
      await maps.create(`after-${round}`);
      await arrives(`after-${round}`, 'first');
    }
    expect({lists: lists(), watches: watches()}).toEqual({lists: 1, watches: 4});
  });

  it('keeps its store while the API server is away, and resumes with a watch when it is back', async () => {
    const maps = createMaps();
    await maps.create('gone-meanwhile');
    await maps.create('staying');
    const {arrives, reflector, network, lists, watches, valueOf, told} = await start(maps);
    await reflector.synced();
    network.breakDown();
    await waitFor(() => watches() >= 4, 'it has tried three times');
    await maps.remove('gone-meanwhile');
    await maps.change('staying', 'second');
    await maps.create('new');
    expect([valueOf('gone-meanwhile'), valueOf('staying')]).toEqual(['first', 'first']);
    expect(told).toEqual([0]);
    network.mend();
    await arrives('new', 'first');
    expect([valueOf('gone-meanwhile'), valueOf('staying')]).toEqual([undefined, 'second']);
    expect(told).toEqual([0, 'recovered']);
    expect(lists()).toBe(1);
  });

  it('lists as soon as there is an API server', async () => {
    const maps = createMaps();
    await maps.create('x');
    const {arrives, reflector, network, lists, told} = await start({...maps, isDown: true});
    await waitFor(() => lists() >= 3, 'it has tried twice');
    expect(reflector.hasSynced).toBe(false);
    network.mend();
    await reflector.synced();
    await arrives('x', 'first');
    expect(told).toEqual([0, 'recovered']);
  });

  it('goes on with the next watch when the server ends one in its time', async () => {
    const maps = createMaps();
    const shorten: ChangeWatch = (query) => ({...query, timeoutSeconds: 1});
    const {arrives, reflector, lists, watches, told} = await start({...maps, changeWatch: shorten});
    await reflector.synced();
    await waitFor(() => watches() >= 3, 'two watches have ended');
    await maps.create('x');
    await arrives('x', 'first');
    expect(lists()).toBe(1);
    expect(told).toEqual([]);
  });

  it('lists anew when the server has forgotten its resourceVersion', async () => {
    const path = await define('forgetful.example.com');
    await must('POST', path, thing('x', 'first'));
    const spoilFirst: ChangeWatch = (query, lists) => (lists === 1 ? {...query, resourceVersion: '1'} : query); // from before the resource was defined
    const {arrives, lists, told, changes} = await start({path, changeWatch: spoilFirst});
    await waitFor(() => lists() === 2, 'a second list');
    await must('POST', path, thing('y', 'first'));
    await arrives('y', 'first');
    expect(changes.map(({type, key}) => `${type} ${key}`)).toEqual(['Added a/x', 'Added a/y']);
    expect(lists()).toBe(2);
    expect(told).not.toContain(410);
  });

  it('lists anew after a watch from the future, as there is once etcd has been restored: the server leaves it deaf', async () => {
    const maps = createMaps();
    await maps.create('x');
    const spoilFirst: ChangeWatch = (query, lists) =>
      lists === 1 ? {...query, resourceVersion: '1000000000', timeoutSeconds: 2} : query;
    const {arrives, lists, watches} = await start({
      ...maps,
      clock: createFastClock(100),
      changeWatch: spoilFirst,
    });
    await arrives('x', 'first');
    await waitFor(() => watches() === 1, 'the deaf watch');
    await maps.create('y');
    await until(() => lists() === 2, 'a second list', 30_000);
    await arrives('y', 'first');
    await maps.create('z');
    await arrives('z', 'first');
  }, 60_000);

  it('follows one object alone by field selector', async () => {
    const maps = createMaps();
    await maps.create('x');
    await maps.create('y');
    const {arrives, reflector, store} = await start({...maps, query: {fieldSelector: 'metadata.name=x'}});
    await reflector.synced();
    await maps.change('y', 'second');
    await maps.change('x', 'second');
    await arrives('x', 'second');
    expect(store.list()).toHaveLength(1);
    await maps.remove('x');
    await arrives('x', undefined);
    await maps.create('x', 'third');
    await arrives('x', 'third');
  });

  it('tells of another object under the same name', async () => {
    const maps = createMaps();
    await maps.create('x');
    const {arrives, reflector, network, changes, watches} = await start(maps);
    await reflector.synced();
    network.breakDown();
    const before = watches();
    await waitFor(() => watches() > before, 'it has lost its watch');
    await maps.remove('x');
    await maps.create('x', 'second');
    network.mend();
    await arrives('x', 'second');
    expect(changes.map(({type}) => type)).toEqual(['Added', 'Deleted', 'Added']);
  });

  it('lists 1,200 objects in pages', async () => {
    const maps = createMaps();
    const names = Array.from({length: 1_200}, (_, at) => `map-${at}`);
    while (names.length > 0) await Promise.all(names.splice(0, 50).map((name) => maps.create(name)));
    const {reflector, store, asked} = await start(maps);
    await reflector.synced();
    expect(store.list()).toHaveLength(1_200);
    const pages = asked.filter(({kind}) => kind === 'list').map(({query}) => query);
    expect(pages.map(({limit}) => limit)).toEqual([500, 500, 500]);
    expect(pages.map((query) => typeof query['continue'])).toEqual(['undefined', 'string', 'string']);
  }, 60_000);

  it('waits for permission, and keeps its store when that is taken away', async () => {
    const maps = createMaps();
    await maps.create('x');
    const core = `/api/v1/namespaces/${maps.namespace}`;
    const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${maps.namespace}`;
    await must('POST', `${core}/serviceaccounts`, {metadata: {name: 'reader'}});
    await must('POST', `${rbac}/roles`, {
      metadata: {name: 'reader'},
      rules: [{apiGroups: [''], resources: ['configmaps'], resourceNames: ['x'], verbs: ['list', 'watch']}],
    });
    const answer = await server.request('POST', `${core}/serviceaccounts/reader/token`, {spec: {}});
    const {token} = (answer.body as {status: {token: string}}).status;
    const options = {...maps, token, query: {fieldSelector: 'metadata.name=x'}};
    await waitFor(async () => (await statusFor(options)) === 403, 'the token is known');
    const {arrives, reflector, network, told, lists, valueOf} = await start(options);
    await waitFor(() => lists() >= 3, 'it has tried twice');
    expect(told).toEqual([403]);
    const binding = {
      metadata: {name: 'reader'},
      roleRef: {apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader'},
      subjects: [{kind: 'ServiceAccount', name: 'reader', namespace: maps.namespace}],
    };
    await must('POST', `${rbac}/rolebindings`, binding);
    await arrives('x', 'first');
    expect(reflector.hasSynced).toBe(true);
    expect(told).toEqual([403, 'recovered']);
    await must('DELETE', `${rbac}/rolebindings/reader`);
    await waitFor(async () => (await statusFor(options)) === 403, 'permission is gone');
    network.cut(); // a watch that runs is not asked again
    await waitFor(() => told.at(-1) === 403, 'it hears of it');
    expect(valueOf('x')).toBe('first');
  }, 60_000);

  it('says 401 when nobody knows it', async () => {
    const {reflector, told, lists} = await start({...createMaps(), token: 'of-nobody'});
    await waitFor(() => lists() >= 3, 'it has tried twice');
    expect(told).toEqual([401]);
    expect(reflector.hasSynced).toBe(false);
  });

  it('says 404 of a resource that nobody has defined, and lists it once it is', async () => {
    const {reflector, told, lists} = await start({path: pathOf('late.example.com')});
    await waitFor(() => lists() >= 3, 'it has tried twice');
    expect(told).toEqual([404]);
    expect(reflector.hasSynced).toBe(false);
    await define('late.example.com');
    await reflector.synced();
    expect(told).toContain('recovered');
  });

  it('gives up a watch on a connection that has gone silent', async () => {
    const maps = createMaps();
    const clock = createFakeClock();
    const {arrives, reflector, network, watches, lists} = await start({...maps, clock});
    await reflector.synced();
    await maps.create('x');
    await arrives('x', 'first');
    network.silence();
    await maps.create('y');
    await clock.advance(630_000);
    await waitFor(async () => {
      await clock.advance(1_000);
      return watches() === 2;
    }, 'a second watch');
    await arrives('y', 'first');
    expect(lists()).toBe(1);
  });

  it('leaves no watch on the wire when it is stopped', async () => {
    const maps = createMaps();
    const {arrives, reflector, network} = await start(maps);
    await reflector.synced();
    await maps.create('x');
    await arrives('x', 'first');
    expect(network.open()).toBe(2); // the list's is kept for the next request
    reflector.stop();
    await waitFor(() => network.open() === 1, 'the connection of the watch is closed');
  });
});
