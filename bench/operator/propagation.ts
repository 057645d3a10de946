/** From `kubectl apply` of a changed route until every proxy serves it, with nobody else watching, and with many. */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {join} from 'node:path';
import {folder} from '../children.ts';
import {nowUs, pass} from '../clock.ts';
import {median, percentile} from '../statistics.ts';
import {startApi, withApiVersion, type ApiServer, type Resource} from './api.ts';
import {watchConfigs, type Published} from './config-watch.ts';
import {startFollowers, startProxies, type FleetPlace, type Followers, type Proxy} from './fleet.ts';
import {createOutcome, type Measure, type Settings} from './measurement.ts';
import {conditionOf, route, wholeRoute} from './objects.ts';
import {operatorNamespace, startOperator} from './programs.ts';
import {until} from './wait.ts';

const namespace = 'team-a';
const routeNames = Array.from({length: 10}, (_, number) => `chat-${number}`);
const patienceMs = 60_000;

/** Proxies that do not have a change yet are asked that often: it is the precision of what is measured. */
const askEveryMs = 10;

/** Of all changes, so that each makes another route. */
let turns = 0;

type Bench = {place: FleetPlace; proxies: Proxy[]; published: ReadonlyMap<string, Published>};

const areReady = async (server: ApiServer): Promise<boolean> => {
  const found = await Promise.all(routeNames.map((name) => server.get('ModelRoute', namespace, name)));
  return found.every((each) => conditionOf(each, 'Ready') === 'True/Ready');
};

/** All is as it is in a cluster after a while: ten routes, which the operator knows to be ready from the proxies themselves. */
async function setUp({program, sizes}: Settings, server: ApiServer): Promise<Bench> {
  for (const [number, name] of routeNames.entries())
    for (const object of wholeRoute(namespace, name, number)) await server.apply(object);
  const metadata = {namespace, name: 'models'};
  await server.apply({kind: 'ModelGateway', metadata, spec: {replicas: sizes.proxies}});
  const published = new Map<string, Published>();
  await watchConfigs(server, (config) => published.set(config.hash, config));
  await startOperator(program, await server.adminAccount(operatorNamespace, 'operator'), 'bench');
  await until(async () => (await server.get('Deployment', namespace, 'models')) !== undefined, 'there is a fleet');
  const place = {server, program, namespace, account: await server.account(namespace, 'models')};
  const proxies = await startProxies(sizes.proxies, place);
  await until(() => areReady(server), 'all routes are ready');
  return {place, proxies, published};
}

/** Applies it in some way, and answers with its generation. */
type Apply = (changed: Resource) => Promise<number>;

const throughApi =
  (server: ApiServer): Apply =>
  async (changed) =>
    (await server.apply(changed)).metadata.generation ?? NaN;

const throughKubectl =
  ({assets}: Settings, {kubeconfig}: ApiServer): Apply =>
  async (changed) => {
    const flags = ['--kubeconfig', kubeconfig, '--cache-dir', join(folder, 'kubectl')];
    const apply = ['apply', '--server-side', '-f', '-', '-o', 'jsonpath={.metadata.generation}'];
    const kubectl = spawn(join(assets, 'kubectl'), [...flags, ...apply], {stdio: ['pipe', 'pipe', 'inherit']});
    let text = '';
    kubectl.stdout.setEncoding('utf8').on('data', (part: string) => (text += part));
    kubectl.stdin.end(JSON.stringify(withApiVersion(changed)));
    await once(kubectl, 'close');
    return Number(text);
  };

/** Milliseconds from before the change is sent. */
type Times = {
  /** The API server has taken it. */ taken: number;
  /** The operator has written the config. */ written: number;
  /** The last proxy says that it has loaded it. */ loaded: number;
  /** That, and the last of the other clients has it. */ everywhere: number;
};

async function change({proxies, published}: Bench, apply: Apply, followers?: Followers): Promise<Times> {
  turns += 1;
  const name = routeNames[turns % routeNames.length] ?? '';
  const startedUs = nowUs();
  const generation = await apply(route(namespace, name, turns));
  const takenUs = nowUs();
  const isThere = (hash: string): boolean => (published.get(hash)?.routes.get(name) ?? 0) >= generation;
  const end = performance.now() + patienceMs;
  const ask = async <T>(question: () => T | Promise<T>, isIt: (answer: T) => boolean, who: string): Promise<T> => {
    for (;;) {
      const answer = await question();
      if (isIt(answer)) return answer;
      if (performance.now() > end) throw new Error(`${who} did not load a change in ${patienceMs} ms`);
      await pass(askEveryMs);
    }
  };
  const [hash = ''] = await Promise.all(
    proxies.map((proxy) => ask(() => proxy.loadedHash(), isThere, `the proxy ${proxy.address}`)),
  );
  const loadedUs = nowUs();
  const clientsUs =
    followers === undefined
      ? 0
      : await ask(() => followers.takenUs(hash) ?? NaN, Number.isFinite, 'one of the other clients');
  const ms = (us: number): number => (us - startedUs) / 1_000;
  const writtenUs = published.get(hash)?.atUs ?? NaN;
  return {
    taken: ms(takenUs),
    written: ms(writtenUs),
    loaded: ms(loadedUs),
    everywhere: ms(Math.max(loadedUs, clientsUs)),
  };
}

/** One after the other, at any phase of what else goes on in turns. */
async function changeOften(count: number, makeChange: () => Promise<Times>): Promise<Times[]> {
  const all: Times[] = [];
  for (let made = 0; made < count; made += 1) {
    await pass(100 + 200 * Math.random());
    all.push(await makeChange());
  }
  return all;
}

const numbersOf = (name: string, values: readonly number[]): Record<string, number> => ({
  [`${name}.p50`]: percentile(values, 50),
  [`${name}.p99`]: percentile(values, 99),
  [`${name}.max`]: Math.max(...values),
});

async function measureRound(settings: Settings, bench: Bench): Promise<Record<string, number>> {
  const {sizes} = settings;
  const {server} = bench.place;
  const [api, kubectl] = [throughApi(server), throughKubectl(settings, server)];

  const alone = await changeOften(sizes.changes, () => change(bench, api));
  await change(bench, kubectl); // its first run looks up what there is
  const byKubectl = await changeOften(sizes.kubectlRuns, () => change(bench, kubectl));

  const followers = startFollowers(sizes.clients - sizes.proxies, bench.place);
  const current = (await bench.proxies[0]?.loadedHash()) ?? '';
  await until(() => followers.takenUs(current) !== undefined, 'all clients have the config');
  const amongMany = await changeOften(sizes.changes, () => change(bench, api, followers));
  followers.stop();

  return {
    taken: median(alone.map(({taken}) => taken)),
    written: median(alone.map(({written}) => written)),
    ...numbersOf(
      'proxies',
      alone.map(({loaded}) => loaded),
    ),
    ...numbersOf(
      'clients',
      amongMany.map(({everywhere}) => everywhere),
    ),
    kubectl: median(byKubectl.map(({loaded}) => loaded)),
    kubectlAlone: median(byKubectl.map(({taken}) => taken)),
  };
}

export const propagation: Measure = async (settings) => {
  const server = await startApi(settings.assets);
  const bench = await setUp(settings, server);
  const outcome = createOutcome();
  for (let round = 0; round < settings.rounds; round += 1) outcome.add(await measureRound(settings, bench));
  const isSettled = until(() => areReady(server), 'all routes are ready again', {seconds: 60});
  await isSettled.catch((error: unknown) => outcome.faults.push(`propagation: ${String(error)}`));
  await server.stop();
  return outcome;
};
