/** A thousand routes that are there before the operator is: how long until all is made of them, and that it is quiet then. */
import type {KubeObject} from '../../kube/objects.ts';
import {nowUs, pass} from '../clock.ts';
import {cpuOf, memoryOf, peakMemoryOf} from '../cpu.ts';
import {startApi, type Api, type ApiServer, type Resource} from './api.ts';
import {watchConfigs, watchObjects} from './config-watch.ts';
import {createOutcome, type Measure, type Outcome, type Settings, type Sizes} from './measurement.ts';
import {conditionOf, hasStatus, wholeRoute} from './objects.ts';
import {operatorNamespace, startOperator, type Operator} from './programs.ts';
import {changedSince, isEvent, nudge, versionsOf} from './quiet.ts';
import {secondsSince, until} from './wait.ts';

const group = '/apis/modelroute.dev/v1alpha1';
const namespaceOf = (number: number): string => `team-${number}`;

/** What is still to be written when all objects have their status, Events above all, is written within that time. */
const settleSeconds = 15;

/** Requests at a time, of those that make the objects. */
const atOnce = 8;

async function applyAll(api: Api, objects: readonly Resource[]): Promise<void> {
  const left = [...objects];
  const work = async (): Promise<void> => {
    for (let next = left.pop(); next !== undefined; next = left.pop()) await api.apply(next);
  };
  await Promise.all(Array.from({length: atOnce}, work));
}

/** Routes alone: their gateways are made on demand. */
const objectsOf = ({gateways, routesPerGateway}: Sizes): Resource[] =>
  Array.from({length: gateways}, (_, gateway) => [
    {kind: 'Namespace', metadata: {name: namespaceOf(gateway)}},
    ...Array.from({length: routesPerGateway}, (_none, number) =>
      wholeRoute(namespaceOf(gateway), `chat-${number}`, gateway * routesPerGateway + number),
    ).flat(),
  ]).flat();

type Progress = {
  /** When the last of them was seen; undefined: not yet. */
  configsUs(): number | undefined;
  statusesUs(): number | undefined;
  stop(): void;
};

/** Counts what is as it should be; when something was seen for the last time, all of it was. */
async function watchProgress(api: Api, {gateways, routesPerGateway}: Sizes): Promise<Progress> {
  const complete = new Map<string, number>();
  const said = new Map<string, number>();
  const configs = await watchConfigs(api, ({namespace, routes, atUs}) => {
    if (routes.size === routesPerGateway && !complete.has(namespace)) complete.set(namespace, atUs);
  });
  const heard = (object: KubeObject): void => {
    const {namespace, name} = object.metadata;
    const key = `${namespace}/${name}`;
    if (hasStatus(object) && !said.has(key)) said.set(key, nowUs());
  };
  const statuses = [
    await watchObjects(api, `${group}/modelroutes`, heard),
    await watchObjects(api, `${group}/modelgateways`, heard),
  ];
  const lastOf = (seen: ReadonlyMap<string, number>, all: number): number | undefined =>
    seen.size === all ? Math.max(...seen.values()) : undefined;
  return {
    configsUs: () => lastOf(complete, gateways),
    statusesUs: () => lastOf(said, gateways * routesPerGateway + gateways),
    stop: () => [configs, ...statuses].forEach((each) => each.stop()),
  };
}

/** What a status says that it should not, of routes that lack nothing but proxies. */
async function wrongStatuses(api: Api): Promise<string[]> {
  const wanted = {Accepted: 'True/Accepted', ResolvedRefs: 'True/ResolvedRefs', Ready: 'False/NoReadyProxies'};
  const all = [...(await api.list('ModelRoute')), ...(await api.list('ModelGateway'))];
  return all.flatMap((object) =>
    Object.entries(wanted).flatMap(([type, is]) => {
      const found = conditionOf(object, type);
      const {namespace, name} = object.metadata;
      return found === is ? [] : [`scale: ${namespace}/${name}: ${type} is "${found}", not "${is}"`];
    }),
  );
}

const reconciles = (operator: Operator): Promise<number> => operator.metric(/^controller_runtime_reconcile_total/);

async function measureQuiet(
  api: Api,
  operator: Operator,
  {sizes}: Settings,
  outcome: Outcome,
): Promise<Record<string, number>> {
  const done = await versionsOf(api);
  await pass(settleSeconds * 1_000);
  const before = await versionsOf(api);
  const [cpuUs, reconciled] = [cpuOf(operator.pid), await reconciles(operator)];
  const touched = await nudge(api, {
    seconds: sizes.quietSeconds,
    namespaces: Array.from({length: sizes.gateways}, (_, number) => namespaceOf(number)),
    service: 'chat-0',
  });
  const [quietCpu, quietReconciles] = [cpuOf(operator.pid) - cpuUs, (await reconciles(operator)) - reconciled];
  const changed = changedSince(before, await versionsOf(api)).filter((key) => !touched.has(key));
  if (changed.length > 0)
    outcome.faults.push(`scale: changed while nothing changed: ${changed.slice(0, 5).join(', ')}`);
  const late = changedSince(done, before);
  return {
    late: late.filter((key) => !isEvent(key)).length,
    lateEvents: late.filter(isEvent).length,
    changed: changed.length,
    reconciles: quietReconciles,
    quietCpu: quietCpu / 1e6,
  };
}

async function measureRound(settings: Settings, server: ApiServer, outcome: Outcome): Promise<Record<string, number>> {
  const {sizes, program} = settings;
  await applyAll(server, objectsOf(sizes));
  const account = await server.adminAccount(operatorNamespace, 'operator');
  const progress = await watchProgress(server, sizes);
  const startedUs = nowUs();
  const operator = await startOperator(program, account, 'bench');
  await until(() => progress.configsUs() !== undefined, 'all configs are written', {seconds: 300});
  await until(() => progress.statusesUs() !== undefined, 'all statuses are written', {seconds: 300});
  const cpu = cpuOf(operator.pid) / 1e6;
  progress.stop();
  outcome.faults.push(...(await wrongStatuses(server)).slice(0, 3));
  const quiet = await measureQuiet(server, operator, settings, outcome);
  const megabytes = (kilobytes: number): number => kilobytes / 1_024;
  const memory = {peak: megabytes(peakMemoryOf(operator.pid)), settled: megabytes(memoryOf(operator.pid))};
  await operator.kill();
  return {
    configs: secondsSince(startedUs, progress.configsUs() ?? NaN),
    statuses: secondsSince(startedUs, progress.statusesUs() ?? NaN),
    cpu,
    ...quiet,
    ...memory,
  };
}

export const scale: Measure = async (settings) => {
  const outcome = createOutcome();
  for (let round = 0; round < settings.rounds; round += 1) {
    const server = await startApi(settings.assets);
    outcome.add(await measureRound(settings, server, outcome));
    await server.stop();
  }
  return outcome;
};
