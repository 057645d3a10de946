/** The leader is killed while routes change: how long until another publishes, and that nothing is lost or written twice. */
import {nowUs, pass} from '../clock.ts';
import {startApi, type Account, type ApiServer} from './api.ts';
import {startLedger, type Ledger} from './ledger.ts';
import {createOutcome, type Measure, type Outcome, type Settings} from './measurement.ts';
import {conditionOf, route, wholeRoute} from './objects.ts';
import {operatorNamespace, startOperator, type Operator} from './programs.ts';
import {secondsSince, until} from './wait.ts';

const routes = Array.from({length: 20}, (_, number) => ({
  namespace: `team-${number % 5}`,
  name: `chat-${Math.floor(number / 5)}`,
}));
const changeEveryMs = 200;
const beforeKillMs = 3_000;
const afterPublishedMs = 2_000;

const leasePath = `/apis/coordination.k8s.io/v1/namespaces/${operatorNamespace}/leases/modelroute-operator`;

const holder = async ({client}: ApiServer): Promise<string> => {
  const lease = (await client.request({method: 'GET', path: leasePath})) as {spec: {holderIdentity?: string}};
  return lease.spec.holderIdentity ?? '';
};

type Changes = {stop(): Promise<void>};

/** Of all changes, so that each makes another route. */
let turns = 0;

/** One after the other, whether or not anybody leads. */
function keepChanging(server: ApiServer, ledger: Ledger): Changes {
  const ending = new AbortController();
  const run = async (): Promise<void> => {
    for (; !ending.signal.aborted; await pass(changeEveryMs)) {
      turns += 1;
      const {namespace, name} = routes[turns % routes.length] ?? {namespace: '', name: ''};
      const sentUs = nowUs();
      const {metadata} = await server.apply(route(namespace, name, turns));
      ledger.changes.push({route: `${namespace}/${name}`, generation: metadata.generation ?? NaN, sentUs});
    }
  };
  const ended = run();
  return {
    async stop() {
      ending.abort();
      await ended;
    },
  };
}

const isRight = async (server: ApiServer): Promise<boolean> => {
  const found = await Promise.all(routes.map(({namespace, name}) => server.get('ModelRoute', namespace, name)));
  return found.every(
    (each) =>
      conditionOf(each, 'Accepted') === 'True/Accepted' &&
      conditionOf(each, 'ResolvedRefs') === 'True/ResolvedRefs' &&
      conditionOf(each, 'Programmed') === 'Unknown/Pending' &&
      conditionOf(each, 'Ready') === 'False/NoReadyProxies',
  );
};

type Bench = {server: ApiServer; ledger: Ledger; operators: Map<string, Operator>};

async function handOverOnce({server, ledger, operators}: Bench): Promise<Record<string, number>> {
  const changes = keepChanging(server, ledger);
  await pass(beforeKillMs + 2_000 * Math.random()); // at any phase of the lease's renewal
  const leader = operators.get(await holder(server));
  if (leader === undefined) throw new Error('nobody leads');
  const killedUs = nowUs();
  await leader.kill();
  operators.delete(leader.identity);
  await until(() => ledger.publishedAfter(killedUs) !== undefined, 'another has published a change', {seconds: 60});
  await pass(afterPublishedMs);
  await changes.stop();
  await until(() => ledger.lost() === 0, 'all changes are published', {seconds: 30}).catch(() => {}); // they are counted
  const stopped = nowUs();
  await until(() => isRight(server), 'all statuses are right', {seconds: 60});
  return {
    published: secondsSince(killedUs, ledger.publishedAfter(killedUs) ?? NaN),
    statuses: secondsSince(stopped, nowUs()),
  };
}

async function startOne(settings: Settings, account: Account, {operators}: Bench, identity: string): Promise<void> {
  const operator = await startOperator(settings.program, account, identity);
  await operator.says('caches synced');
  operators.set(identity, operator);
}

/** Faults that a number is for, too. */
function tally(ledger: Ledger, outcome: Outcome): Record<string, number> {
  const counts = {
    lost: ledger.lost(),
    backwards: ledger.backwards.length,
    twice: ledger.twice.length,
  };
  for (const what of [...ledger.backwards, ...ledger.twice].slice(0, 5)) outcome.faults.push(`hand-over: ${what}`);
  if (counts.lost > 0)
    outcome.faults.push(`hand-over: ${counts.lost} routes are not published as they were changed last`);
  return {...counts, changes: ledger.changes.length};
}

export const handOver: Measure = async (settings) => {
  const server = await startApi(settings.assets);
  for (const [number, {namespace, name}] of routes.entries())
    for (const object of wholeRoute(namespace, name, number)) await server.apply(object);
  const account = await server.adminAccount(operatorNamespace, 'operator');
  const ledger = await startLedger(server);
  const bench: Bench = {server, ledger, operators: new Map()};
  const outcome = createOutcome();
  await startOne(settings, account, bench, 'first');
  await until(async () => (await holder(server)) === 'first', 'the first leads');
  await until(() => isRight(server), 'all statuses are right');
  for (let round = 0; round < settings.rounds; round += 1) {
    await startOne(settings, account, bench, `next-${round}`);
    ledger.begin();
    const times = await handOverOnce(bench);
    outcome.add({...times, ...tally(ledger, outcome)});
  }
  await server.stop();
  return outcome;
};
