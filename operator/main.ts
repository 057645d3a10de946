/** The operator: watches, leads if it is elected, and reconciles one gateway at a time per worker. */
import type {KubeClient} from '../kube/client.ts';
import {createKubeClient} from '../kube/client.ts';
import {createEventRecorder, type EventRecorder} from '../kube/events.ts';
import {createElector, type Elector, type LossReason} from '../kube/lease.ts';
import {createWorkQueue, type Outcome, type WorkQueue} from '../kube/work-queue.ts';
import type {Access} from './cluster/access.ts';
import {createApplier} from './cluster/apply.ts';
import {createCaches, type Caches} from './cluster/caches.ts';
import {watchCrds} from './cluster/crd-check.ts';
import {createGather, createIsCurrent, indexes} from './cluster/gather.ts';
import {childKindNames} from './cluster/kinds.ts';
import {createPoller, type Poller} from './cluster/poller.ts';
import {createWriter} from './cluster/writer.ts';
import type {Log} from './log.ts';
import {allKeys, watchKeys, type GatewayKey} from './reconcile/keys.ts';
import {createReconciler, type Reconcile, type ReconcilerSettings} from './reconcile/reconcile.ts';
import {createStatusPace} from './reconcile/status-pace.ts';
import {statusKey} from './reconcile/write-statuses.ts';
import {serveHealth} from './telemetry/health.ts';
import {createOperatorMetrics} from './telemetry/metrics.ts';
import type {World} from './plan/world.ts';

export type OperatorSettings = Pick<
  ReconcilerSettings,
  'clock' | 'wallClock' | 'random' | 'log' | 'proxyImage' | 'imagePullPolicy' | 'defaultGateway'
> & {
  access: Access;
  admin: {host: string; port: number};
  /** Of the Lease. */
  namespace: string;
  /** Of this process alone: the pod's name. */
  identity: string;
  /** Empty: all. */
  watchNamespaces: readonly string[];
  faultsInTls?: World['faultsInTls'];
  /** Another leads now, or nobody confirmed that we do: what runs here must end with the process. */
  onLost: (reason: LossReason) => void;
};

export type Operator = {
  readonly adminPort: number;
  /** Finishes what runs, gives the lease up. */
  stop(): Promise<void>;
};

export const leaseName = 'modelroute-operator';
const maxConcurrent = 4;
const writeDeadlineMs = 10_000;
/** Of the Lease: so that a leader that is killed is replaced within 20 s, whenever the others look. */
const leaseTimes = {leaseDurationMs: 11_000, renewDeadlineMs: 8_000};

type Parts = {
  client: KubeClient;
  /** Apart, with a shorter deadline: what could not be written is planned anew. */
  writes: KubeClient;
  caches: Caches;
  queue: WorkQueue<GatewayKey>;
  poller: Poller;
  recorder: EventRecorder;
};

/** As every reconcile ends, for the log. */
const logged =
  (reconcile: Reconcile, log: Log): Reconcile =>
  async (key): Promise<Outcome> => {
    const outcome = await reconcile(key).catch((error: unknown): Outcome => ({type: 'Failed', error}));
    if (outcome.type === 'Failed' || outcome.type === 'FailedForGood')
      log.error('reconcile failed', {gateway: key, error: String(outcome.error)});
    return outcome;
  };

function createReconcile(settings: OperatorSettings, {caches, poller, recorder, writes}: Parts): Reconcile {
  const {defaultGateway, faultsInTls, watchNamespaces, log} = settings;
  const writer = createWriter({client: writes});
  const pace = createStatusPace(settings.clock);
  const applier = createApplier(writer, settings.clock);
  for (const kind of childKindNames)
    caches.of(kind).onChange(({type, key}) => {
      if (type === 'Deleted') applier.forget(kind, key);
    });
  for (const kind of ['ModelRoute', 'ModelGateway'])
    caches.of(kind).onChange(({type, object}) => {
      if (type === 'Deleted') pace.forget(statusKey(object));
    });
  const gather = createGather(caches, {
    ...(watchNamespaces.length > 0 && {watchedNamespaces: watchNamespaces}),
    ...(defaultGateway !== undefined && {defaultGateway}),
    ...(faultsInTls !== undefined && {faultsInTls}),
  });
  const isCurrent = createIsCurrent(caches);
  return logged(createReconciler({...settings, gather, isCurrent, writer, applier, poller, recorder, pace}), log);
}

function createLeadership(settings: OperatorSettings, {client}: Parts, lead: () => void): Elector {
  const {namespace, identity, clock, wallClock, random, log, onLost} = settings;
  return createElector({
    client,
    namespace,
    name: leaseName,
    ...leaseTimes,
    identity,
    clock,
    wallClock,
    random,
    log,
    onElected: lead,
    onLost: (reason) => onLost(reason),
  });
}

const waitsFor = (caches: Caches): string | undefined =>
  caches.hasSynced ? undefined : `waits for the first list of ${caches.missing().join(', ')}`;

const hangs = (caches: Caches): string | undefined => {
  const silent = caches.silent();
  return silent.length === 0 ? undefined : `nothing was heard for too long of ${silent.join(', ')}`;
};

function createParts(settings: OperatorSettings, observe: (observation: Observed) => void): Parts {
  const {access, clock, wallClock, random, log, defaultGateway, watchNamespaces, identity} = settings;
  const client = createKubeClient({config: access.config, clock, random});
  const writes = createKubeClient({config: access.config, clock, random, deadlineMs: writeDeadlineMs});
  const queue = createWorkQueue<GatewayKey>({clock, random, maxConcurrent, observe});
  const caches = createCaches({
    client,
    clock,
    random,
    log,
    namespaces: watchNamespaces,
    indexes: indexes(defaultGateway),
  });
  const poller = createPoller({clock, random, onChange: (key) => queue.add(key as GatewayKey)}); // the keys that the reconciler gave it
  const recorder = createEventRecorder({
    client,
    component: 'modelroute.dev/operator',
    instance: identity,
    clock,
    wallClock,
    random,
    onFailed: (event, error) => log.debug('event not written', {reason: event.reason, error: String(error)}),
  });
  return {client, writes, caches, queue, poller, recorder};
}

type Observed = Parameters<ReturnType<typeof createOperatorMetrics>['observe']>[0];

/** Starts at once; rejects if the admin port cannot be opened. */
export async function startOperator(settings: OperatorSettings): Promise<Operator> {
  const {clock, log, defaultGateway} = settings;
  const observers: ((observation: Observed) => void)[] = [];
  const parts = createParts(settings, (observation) => observers.forEach((observe) => observe(observation)));
  const {client, writes, caches, queue, poller, recorder} = parts;
  const reconcile = createReconcile(settings, parts);

  let stopped = false;
  const crds = watchCrds({client, clock, log});
  const elector = createLeadership(settings, parts, () => {
    log.info('leads', {identity: settings.identity});
    watchKeys({caches, defaultGateway, add: (key) => queue.add(key)});
    for (const key of allKeys(caches, defaultGateway)) queue.add(key);
    queue.process(reconcile);
  });
  const metrics = createOperatorMetrics({
    queue: () => queue.numbers(),
    isLeader: () => elector.isLeader(),
    maxConcurrent,
    leaseName,
  });
  observers.push((observation) => metrics.observe(observation));
  const health = await serveHealth({
    ...settings.admin,
    metrics,
    notAlive: () => hangs(caches),
    notReady: () => crds.problem() ?? waitsFor(caches),
  });

  /** Nothing is reconciled or published before everything that it depends on is known. */
  const begin = async (): Promise<void> => {
    await Promise.all([crds.ready(), caches.synced()]);
    if (stopped) return;
    log.info('caches synced');
    elector.start();
  };
  begin().catch((error: unknown) => log.debug('stopped before it began', {error: String(error)}));

  return {
    adminPort: health.port,
    async stop() {
      stopped = true;
      crds.stop();
      await queue.stop();
      poller.stop();
      await recorder.flush();
      await elector.stop();
      caches.stop();
      await health.close();
      await Promise.all([client.close(), writes.close()]);
    },
  };
}
