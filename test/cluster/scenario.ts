/**
 * What the tests on a cluster stand on: the product installed by its charts, a namespace with backends, a gateway and routes, and a
 * steady load on them that must not see a failure.
 */
import {fileURLToPath} from 'node:url';
import {describe} from '@jest/globals';
import {inCluster, startCluster, startMs, type Cluster} from './cluster.ts';
import {eventually} from './eventually.ts';
import {canRunCluster} from './machine.ts';
import {messageOf} from '../../operator/message-of.ts';
import {flow, mustHaveNoFailures, startLoad, type Load, type LoadOptions, type LoadReport} from './load.ts';
import {
  backend,
  gateway,
  documentsOf,
  modelServers,
  namespace,
  route,
  simulators,
  type KubernetesObject,
} from './objects.ts';

/** How long a load lasts at least, in seconds: `make outage` says 300. */
export const outageSeconds = Number(process.env['OUTAGE_SECONDS'] ?? 30);

/** For one test under load: what it waits for can take minutes beside everything else that two cores do. */
export const loadTestMs = (outageSeconds + 8 * 60) * 1000;

export const proxies = 'modelroute.dev/gateway=models';

/** For `beforeAll`, which may have to wait for other test files and make images, and for what cleans up. */
export const setUpMs = startMs;

export const operatorNamespace = 'modelroute-system';

const operatorPods = 'app.kubernetes.io/component=operator';

const chart = (name: string): string => fileURLToPath(new URL(`../../charts/${name}`, import.meta.url));

const imageValues = ['registry=localhost', 'repository=modelroute', 'tag=test', 'pullPolicy=IfNotPresent'];

const chartFlags = (more: readonly string[]): string[] =>
  [...imageValues.map((value) => `image.${value}`), 'replicas=2', ...more].flatMap((value) => ['--set', value]);

const upgradeInstall = (release: string, folder: string, flags: readonly string[]): string[] => [
  'upgrade',
  '--install',
  release,
  chart(folder),
  '--namespace',
  operatorNamespace,
  '--create-namespace',
  '--wait',
  '--timeout',
  '5m',
  ...flags,
];

export async function installDefinitions(cluster: Cluster): Promise<void> {
  await cluster.helm(upgradeInstall('modelroute-crds', 'modelroute-crds', []));
}

/** Also those that are not ready, or on their way out. */
export async function operators(cluster: Cluster): Promise<Pod[]> {
  const which = ['--namespace', operatorNamespace, '--selector', operatorPods];
  const {stdout} = await cluster.kubectl(['get', 'pods', ...which, '-o', 'json']);
  return (JSON.parse(stdout) as {items: Pod[]}).items;
}

/** How many operators run, from then on. */
export async function scaleOperator(cluster: Cluster, replicas: number): Promise<void> {
  const deployment = ['deployment/modelroute', '--namespace', operatorNamespace];
  await cluster.kubectl(['scale', ...deployment, `--replicas=${replicas}`]);
  await eventually(async () => (await operators(cluster)).length === replicas, `${replicas} operators`);
}

/** Also upgrades; `values`: as `--set` takes them. */
export async function installProduct(cluster: Cluster, values: readonly string[] = []): Promise<void> {
  await cluster.helm(upgradeInstall('modelroute', 'modelroute', chartFlags(values)));
}

/** A cluster with the product as the chart makes it, whatever the test before left. `stop` it, or the next test file waits for ever. */
export async function startProduct(): Promise<Cluster> {
  const cluster = await startCluster();
  try {
    await cluster.loadImages();
    await installDefinitions(cluster);
    await installProduct(cluster);
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

/** `describe`, where the machine can run a cluster. */
export const describeOnCluster = canRunCluster((line) => process.stderr.write(line)) ? describe : describe.skip;

export type Condition = {type: string; status: string; reason: string; message: string; observedGeneration?: number};

export type Pod = {
  metadata: {name: string; uid: string; deletionTimestamp?: string};
  spec: {containers: {image: string}[]};
  status: {
    podIP?: string;
    conditions?: {type: string; status: string}[];
    containerStatuses?: {containerID?: string; restartCount: number}[];
  };
};

const isReady = ({metadata, status}: Pod): boolean =>
  metadata.deletionTimestamp === undefined &&
  (status.conditions ?? []).some(({type, status}) => type === 'Ready' && status === 'True');

/** A namespace of a test's own. Kinds and objects are named as kubectl names them: `mroute/chat`. */
export type Scope = {
  cluster: Cluster;
  name: string;
  /** Base URL of the gateway `models` of the namespace. */
  url: string;
  /** What it prints. @throws with what it printed to stderr */
  kubectl: (...args: string[]) => Promise<string>;
  apply: (...objects: KubernetesObject[]) => Promise<void>;
  /** What the API server, or kubectl itself, says against these objects. @throws if it takes them */
  refusal: (...objects: KubernetesObject[]) => Promise<string>;
  /** What `kubectl get` finds, parsed. */
  get: <Shape>(...object: string[]) => Promise<Shape>;
  exists: (object: string) => Promise<boolean>;
  describe: (object: string) => Promise<string>;
  condition: (object: string, type: string) => Promise<Condition | undefined>;
  /** Until the condition of this type has this reason, then that condition. */
  untilReason: (object: string, type: string, reason: string) => Promise<Condition>;
  untilReady: (object: string) => Promise<void>;
  rolledOut: (deployment: string) => Promise<void>;
  /** Those that are ready and not on their way out. */
  readyPods: (selector: string) => Promise<Pod[]>;
  untilPods: (selector: string, count: number) => Promise<Pod[]>;
  close: () => Promise<void>;
};

export async function createScope(
  cluster: Cluster,
  prefix: string,
  labels: Record<string, string> = {},
): Promise<Scope> {
  const name = `${prefix}-${Date.now().toString(36)}`;
  await cluster.apply(documentsOf([namespace(name, labels)]));
  const kubectl = async (...args: string[]): Promise<string> =>
    (await cluster.kubectl(['--namespace', name, ...args])).stdout;
  const get = async <Shape>(...object: string[]): Promise<Shape> =>
    JSON.parse(await kubectl('get', ...object, '-o', 'json')) as Shape; // the test knows the kind it asks for
  const apply = async (...objects: KubernetesObject[]): Promise<void> => {
    await cluster.kubectl(['--namespace', name, 'apply', '-f', '-'], {stdin: documentsOf(objects)});
  };
  const describe = (object: string): Promise<string> => kubectl('describe', object);
  const condition = async (object: string, type: string): Promise<Condition | undefined> => {
    const {status} = await get<{status?: {conditions?: Condition[]}}>(object);
    return status?.conditions?.find((candidate) => candidate.type === type);
  };
  const readyPods = async (selector: string): Promise<Pod[]> =>
    (await get<{items: Pod[]}>('pods', '--selector', selector)).items.filter(isReady);
  /** `what`: as `kubectl wait` takes it. */
  const waitFor = async (object: string, what: string): Promise<void> => {
    try {
      await kubectl('wait', object, `--for=${what}`, '--timeout=120s');
    } catch (error) {
      const found = await describe(object).catch(messageOf);
      throw new Error(`waited for ${what} of ${object}: ${messageOf(error)}\n${found}`, {cause: error});
    }
  };
  return {
    cluster,
    name,
    url: `http://models.${name}/v1`,
    kubectl,
    apply,
    async refusal(...objects) {
      const problem = await apply(...objects).then(() => undefined, messageOf);
      if (problem === undefined) throw new Error('the API server took what it should refuse');
      return problem;
    },
    get,
    exists: (object) => kubectl('get', object, '--ignore-not-found', '-o', 'name').then((text) => text.trim() !== ''),
    describe,
    condition,
    async untilReason(object, type, reason) {
      await waitFor(object, `jsonpath={.status.conditions[?(@.type=="${type}")].reason}=${reason}`);
      const found = await condition(object, type);
      if (found === undefined) throw new Error(`${object} has lost its condition ${type}`);
      return found;
    },
    untilReady: (object) => waitFor(object, 'condition=Ready'),
    async rolledOut(deployment) {
      await kubectl('rollout', 'status', `deployment/${deployment}`, '--timeout=5m');
    },
    readyPods,
    async untilPods(selector, count) {
      let found: Pod[] = [];
      await eventually(
        async () => (found = await readyPods(selector)).length === count,
        `${count} ready pods of ${selector}`,
        300,
      );
      return found;
    },
    async close() {
      await cluster.kubectl(['delete', 'namespace', name, '--wait=false', '--ignore-not-found']);
    },
  };
}

/** Whether there is still time that the load is to last. */
export type Clock = {left: () => boolean};

export type Scenario = Scope & {
  /**
   * Runs `act` under load, which lasts `outageSeconds` at least. `longStreams`: on the simulators, beside the rest.
   * @throws if a single call failed
   */
  underLoad: (
    what: string,
    act: (clock: Clock) => Promise<void>,
    options?: {longStreams?: boolean},
  ) => Promise<LoadReport>;
  load: (options?: Partial<LoadOptions>) => Load;
};

const modelServerLoad = {model: 'tiny', expect: 'any', plainPerSecond: 2, streams: 1, streamTokens: 16} as const;

/** 15 s each: longer than a proxy stays that only waits until nobody new is sent to it, and half of a gateway's `drainPeriod` here. */
const longStreamLoad = {plainPerSecond: 0, streams: 6, streamTokens: 150, pace: 10} as const;

const anyFailed = (loads: readonly Load[]): boolean => loads.some((load) => load.counts().failed > 0);

/**
 * Gateway `models` with two proxies; route `chat` on simulators `sim`, whose tokens are known beforehand, and route `tiny` on real
 * model servers `llama`. Resolves when both are ready.
 */
export async function startScenario(cluster: Cluster, prefix: string): Promise<Scenario> {
  const scope = await createScope(cluster, prefix);
  await scope.apply(
    ...simulators('sim', 2),
    ...modelServers('llama', 2),
    gateway('models'),
    route('chat', [backend('sim')], {modelNames: ['chat']}),
    route('tiny', [{...backend('llama'), model: 'tiny'}]),
  );
  await Promise.all(['sim', 'llama'].map(scope.rolledOut));
  await scope.untilReady('mroute/chat');
  await scope.untilReady('mroute/tiny');
  await scope.untilPods(proxies, 2); // Ready needs one
  // A node that is busy takes longer to send callers there than the operator waits before it says Ready.
  await eventually(
    async () => (await cluster.run('curl', '--fail', '--silent', `${scope.url}/models`)).stdout !== '',
    'the gateway answers',
  );

  const load = (options: Partial<LoadOptions> = {}): Load => startLoad({url: scope.url, ...options}, inCluster);

  const underLoad: Scenario['underLoad'] = async (what, act, {longStreams = false} = {}) => {
    const steady = [load(), load(modelServerLoad)];
    const long = longStreams ? [load(longStreamLoad)] : [];
    const loads = [...steady, ...long];
    const end = performance.now() + outageSeconds * 1000;
    const allFlow = (): Promise<unknown> => Promise.all(steady.map((one) => flow(one, 10)));
    const allRun = (): boolean => long.every((one) => one.counts().running === longStreamLoad.streams);
    try {
      await Promise.all([allFlow(), eventually(allRun, 'the long streams run')]);
      await act({left: () => performance.now() < end && !anyFailed(loads)});
      await eventually(() => performance.now() > end || anyFailed(loads), 'the time is over', outageSeconds + 60);
      await allFlow();
    } catch (error) {
      const said = loads.map((one) => one.status()).join('\n');
      for (const one of loads) one.kill();
      throw new Error(`${what}: ${messageOf(error)}\nuntil then:\n${said}`, {cause: error});
    }
    const [report, other, longReport] = await Promise.all(loads.map((one) => one.stop()));
    if (report === undefined || other === undefined) throw new Error('bug: two loads make two reports');
    const ended = [
      {name: 'simulators', report, atLeast: outageSeconds * 10},
      {name: 'model servers', report: other, atLeast: outageSeconds},
      ...(longReport === undefined ? [] : [{name: 'long streams', report: longReport, atLeast: outageSeconds / 5}]),
    ].sort((one, next) => next.report.failed - one.report.failed); // a failure has ended the others early
    for (const {name, report, atLeast} of ended) mustHaveNoFailures(report, `${what}, ${name}`, atLeast);
    return report;
  };
  return {...scope, load, underLoad};
}
