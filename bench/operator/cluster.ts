/** On the cluster that the tests have: pods that come, pods that go, and a load that must not notice. */
import {fileURLToPath} from 'node:url';
import {loadAccess} from '../../operator/cluster/access.ts';
import {readSlice} from '../../proxy/config/slice.ts';
import {systemClock} from '../../proxy/engine/clock.ts';
import {inCluster, startCluster, type Cluster} from '../../test/cluster/cluster.ts';
import {firstAnswer, flow, startLoad, type Load} from '../../test/cluster/load.ts';
import {
  backend,
  backendPort,
  documentsOf,
  gateway,
  namespace as namespaceObject,
  route,
  simulators,
} from '../../test/cluster/objects.ts';
import {nowUs, pass} from '../clock.ts';
import {connect, type Api} from './api.ts';
import {watchObjects} from './config-watch.ts';
import {createOutcome, type Measure, type Outcome} from './measurement.ts';
import {conditionOf} from './objects.ts';
import {operatorNamespace} from './programs.ts';
import {secondsSince, until} from './wait.ts';

/** Where the backends are that are there from the start. */
const backends = 'bench-backends';
const perSecond = 50;
const afterGoneMs = 4_000;

const chart = (name: string): string => fileURLToPath(new URL(`../../charts/${name}`, import.meta.url));
const image = ['registry=localhost', 'repository=modelroute', 'tag=test', 'pullPolicy=IfNotPresent'];

async function install(cluster: Cluster): Promise<void> {
  await cluster.loadImages();
  const charts = {'modelroute-crds': [], modelroute: image.flatMap((value) => ['--set', `image.${value}`])};
  for (const [name, values] of Object.entries(charts)) {
    const where = ['--namespace', operatorNamespace, '--create-namespace', '--wait', '--timeout', '5m'];
    await cluster.helm(['upgrade', '--install', name, chart(name), ...where, ...values]);
  }
}

type Bench = {cluster: Cluster; api: Api};

async function makeBackends({cluster}: Bench): Promise<void> {
  await cluster.apply(documentsOf([namespaceObject(backends)]));
  const objects = [...simulators('sim', 2), gateway('models'), route('chat', [backend('sim')], {modelNames: ['chat']})];
  await cluster.kubectl(['--namespace', backends, 'apply', '-f', '-'], {stdin: documentsOf(objects)});
  await cluster.kubectl(['--namespace', backends, 'rollout', 'status', 'deployment/sim', '--timeout=5m']);
  await cluster.kubectl(['--namespace', backends, 'wait', '--for=condition=Ready', 'mroute/chat', '--timeout=2m']);
}

/**
 * Leaves room for the next one. A namespace that is deleted with its pods stays for half of their grace period, which is minutes, however soon they
 * have gone.
 */
async function clear(cluster: Cluster, namespace: string): Promise<void> {
  const within = ['--namespace', namespace];
  await cluster.kubectl([...within, 'delete', 'mroute', '--all']);
  await cluster.kubectl([...within, 'delete', 'mgateway', '--all']);
  await cluster.kubectl([...within, 'wait', 'pods', '--all', '--for=delete', '--timeout=2m']);
  await cluster.kubectl(['delete', 'namespace', namespace, '--wait=false']);
}

/** A namespace in which nothing is, and then a route that goes to a server that is there. */
async function firstRoute({cluster, api}: Bench): Promise<Record<string, number>> {
  const namespace = `bench-first-${Date.now().toString(36)}`;
  await cluster.apply(documentsOf([namespaceObject(namespace)]));
  const url = `http://sim.${backends}:${backendPort}/v1`;
  const {kind, metadata, spec} = route('chat', [{name: 'sim', url, model: 'chat'}]);
  const startedUs = nowUs();
  await api.apply({kind, metadata: {...metadata, namespace}, spec});
  const ready = async (): Promise<boolean> =>
    conditionOf(await api.get('ModelRoute', namespace, 'chat'), 'Ready') === 'True/Ready';
  await until(ready, 'the first route is ready', {everyMs: 50});
  const readyUs = nowUs();
  await firstAnswer({url: `http://models.${namespace}/v1`, withinSeconds: 30}, inCluster);
  await clear(cluster, namespace);
  return {ready: secondsSince(startedUs, readyUs)};
}

type Pod = {metadata: {name: string; deletionTimestamp?: string}; status: {podIP?: string; conditions?: Condition[]}};
type Condition = {type: string; status: string};

async function readyPods({cluster}: Bench): Promise<Pod[]> {
  const {stdout} = await cluster.kubectl(['--namespace', backends, 'get', 'pods', '-l', 'app=sim', '-o', 'json']);
  const {items} = JSON.parse(stdout) as {items: Pod[]};
  return items.filter(
    ({metadata, status}) =>
      metadata.deletionTimestamp === undefined &&
      status.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') === true,
  );
}

/** Milliseconds since 1970 at which it got calls, as the simulator says itself. */
async function callsOf({cluster}: Bench, podIp: string): Promise<number[]> {
  const {stdout} = await cluster.run('curl', '-sS', '--fail', `http://${podIp}:${backendPort}/control/requests`);
  const {requests} = JSON.parse(stdout) as {requests: {path: string; receivedAt: number}[]};
  return requests.filter(({path}) => path.endsWith('/chat/completions')).map(({receivedAt}) => receivedAt);
}

/** When the control plane said of each address that its pod is on its way out, milliseconds since 1970. */
async function watchTerminating({api}: Bench): Promise<{atOf: ReadonlyMap<string, number>; stop(): void}> {
  const atOf = new Map<string, number>();
  const path = `/apis/discovery.k8s.io/v1/namespaces/${backends}/endpointslices`;
  const watch = await watchObjects(api, path, (object) => {
    const read = readSlice(object);
    if ('problem' in read) throw new Error(read.problem);
    for (const {addresses, terminating} of read.slice.endpoints)
      for (const address of addresses) if (terminating === true && !atOf.has(address)) atOf.set(address, Date.now());
  });
  return {atOf, stop: () => watch.stop()};
}

async function podGone(bench: Bench, load: Load): Promise<Record<string, number>> {
  await until(async () => (await readyPods(bench)).length === 2, 'both backends are ready', {everyMs: 500});
  await flow(load, 5 * perSecond);
  const [pod] = await readyPods(bench);
  const {name = ''} = pod?.metadata ?? {};
  const {podIP = ''} = pod?.status ?? {};
  const terminating = await watchTerminating(bench);
  const goneAt = Date.now();
  await bench.api.client.request({method: 'DELETE', path: `/api/v1/namespaces/${backends}/pods/${name}`});
  await pass(afterGoneMs); // it stays for some seconds more, and would answer whoever comes
  terminating.stop();
  const calls = await callsOf(bench, podIP);
  if (!calls.some((at) => at < goneAt)) throw new Error('the pod that was deleted had not been asked before');
  return {lastCall: Math.max(...calls) - goneAt, slice: (terminating.atOf.get(podIP) ?? NaN) - goneAt};
}

async function measurePods(
  bench: Bench,
  rounds: number,
  outcome: Outcome & {add: (round: Record<string, number>) => void},
): Promise<void> {
  const options = {url: `http://models.${backends}/v1`, plainPerSecond: perSecond, streams: 0};
  const load = startLoad(options, inCluster);
  try {
    for (let round = 0; round < rounds; round += 1) outcome.add(await podGone(bench, load));
  } catch (error) {
    load.kill();
    throw error;
  }
  const {ok, failed, failures} = await load.stop();
  outcome.add({calls: ok + failed, failed});
  if (failed > 0) outcome.faults.push(`cluster: ${failed} calls failed, the first: ${JSON.stringify(failures[0])}`);
}

export const cluster: Measure = async ({rounds}) => {
  const outcome = createOutcome();
  const running = await startCluster();
  try {
    await install(running);
    const {config} = loadAccess({
      kubeconfig: running.env['KUBECONFIG'] ?? '',
      environment: running.env,
      clock: systemClock,
    });
    const bench = {cluster: running, api: connect(config)};
    await makeBackends(bench);
    for (let round = 0; round < rounds; round += 1) outcome.add(await firstRoute(bench));
    await measurePods(bench, rounds, outcome);
    await running.kubectl(['delete', 'namespace', backends, '--wait=false']);
    await bench.api.close();
  } finally {
    await running.stop();
  }
  return outcome;
};
