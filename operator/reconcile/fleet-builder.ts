/** A gateway's fleet made as it is planned: its objects applied, what is left over removed, its proxies asked what they serve. */
import type {Clock} from '../../kube/clock.ts';
import type {EventRecord, EventRecorder} from '../../kube/events.ts';
import type {KubeObject} from '../../kube/objects.ts';
import type {GatewayConfig} from '../../proxy/config/schema.ts';
import {configTooLarge} from '../api/conditions.ts';
import {apiVersion} from '../api/crds.ts';
import type {ModelGateway} from '../api/generated.ts';
import type {Applier, ApplyOutcome, Change, ChildName} from '../cluster/apply.ts';
import {configObjects, type ConfigObjects} from '../cluster/config-object.ts';
import type {Gathered} from '../cluster/gather.ts';
import type {Poller} from '../cluster/poller.ts';
import {proxyAddresses} from '../cluster/read-objects.ts';
import type {Writer} from '../cluster/writer.ts';
import type {Log} from '../log.ts';
import {planChildren, type ChildrenInput} from '../plan/children/children.ts';
import {configName, credentialsName} from '../plan/children/names.ts';
import type {FleetState} from '../plan/fleet.ts';
import {nameOf, nameText} from '../plan/metadata.ts';
import {leftOvers} from '../plan/ownership.ts';
import type {Plan} from '../plan/world.ts';
import {allServe, createPublished, stillNamed} from './published.ts';

export type FleetBuilderSettings = {
  writer: Pick<Writer, 'find'>;
  applier: Applier;
  poller: Poller;
  recorder: Pick<EventRecorder, 'record'>;
  log: Log;
  clock: Pick<Clock, 'now'>;
  proxyImage: string;
  imagePullPolicy: ChildrenInput['imagePullPolicy'];
};

/** What came of it, and what the fleet looks like now. */
export type Built = {outcome: ApplyOutcome; fleet: FleetState};

export type FleetBuilder = {
  /** `force`: also what looks as it was applied. */
  build(found: Gathered, gateway: ModelGateway, planned: Plan, force: boolean): Promise<Built>;
  /** Of a gateway that is not there, or going: what it owns in its namespace goes by itself. */
  tearDown(found: Gathered): Promise<Built>;
};

const childOf = ({children, name: {namespace}}: Gathered, kind: string, name: string): KubeObject | undefined =>
  children.find(({kind: is, metadata}) => is === kind && metadata.namespace === namespace && metadata.name === name);

const servedNamespaces = ({routes}: GatewayConfig): string[] => [
  ...new Set(
    routes
      .flatMap(({backends}) => backends)
      .flatMap(({target}) => (target.type === 'Service' ? [target.namespace] : [])),
  ),
];

type DeploymentStatus = {replicas?: number};

const lines = {
  Created: 'child created',
  Updated: 'child updated',
  Restored: 'child restored',
  Removed: 'child removed',
} as const satisfies Record<Change['action'], string>;

/** Each change of a route updates these two, and its status tells of it. */
const isToldByStatus = ({action, kind}: Change): boolean =>
  action === 'Updated' && (kind === 'ConfigMap' || kind === 'Secret');

const describe = ({kind, namespace, name}: ChildName): string => `${kind} ${namespace}/${name}`;

/** Of a gateway without proxies. */
export const noFleet: FleetState = {
  replicas: 0,
  readyReplicas: 0,
  reports: [],
  readyAddresses: [],
  published: new Map(),
  wantedHash: '',
};

/** As many of the older configs' credentials as there is room for: `keeps` has them, the most first. */
function objectsThatFit(
  input: Omit<Parameters<typeof configObjects>[0], 'keep'>,
  keeps: readonly Parameters<typeof configObjects>[0]['keep'][],
): ConfigObjects {
  for (const keep of keeps) {
    const objects = configObjects({...input, keep});
    if (objects.tooLarge === undefined) return objects;
  }
  return configObjects({...input, keep: new Map()});
}

export function createFleetBuilder(settings: FleetBuilderSettings): FleetBuilder {
  const {writer, applier, poller, recorder, log, clock} = settings;
  const published = createPublished(clock);
  /** What was last said of other namespaces, by gateway. */
  const saidElsewhere = new Map<string, string>();

  const tell = (found: Gathered, {changes, contested, elsewhere}: ApplyOutcome): void => {
    const {gateway, name} = found;
    const record = (event: Omit<EventRecord, 'object'>): void => {
      if (gateway === undefined) return;
      const {uid = ''} = gateway.metadata;
      recorder.record({object: {apiVersion, kind: gateway.kind, ...nameOf(gateway), uid}, ...event});
    };
    const said = elsewhere.map(({message}) => message).join('; ');
    if (said !== (saidElsewhere.get(nameText(name)) ?? '') && said !== '')
      log.warn('what a gateway needs in another namespace could not be made', {gateway: nameText(name), message: said});
    saidElsewhere.set(nameText(name), said);
    for (const change of changes) {
      const {action, why, ...child} = change;
      log.info(lines[action], {...child, why});
      if (!isToldByStatus(change))
        record({type: 'Normal', reason: action, message: `${describe(child)}: ${why}`, action});
    }
    for (const child of contested) {
      log.warn('somebody else keeps changing a child', {gateway: nameText(name), ...child});
      const message = `somebody else keeps changing ${describe(child)}: it is put right ever later, until they stop`;
      record({type: 'Warning', reason: 'Contested', message, action: 'Restored'});
    }
  };

  const fleetOf = (found: Gathered, wantedHash: string, outcome: ApplyOutcome): FleetState => {
    const key = nameText(found.name);
    const {ready, all} = proxyAddresses(found.proxySlices);
    poller.watch(key, {addresses: all, wantedHash});
    const {replicas = 0} = (childOf(found, 'Deployment', found.name.name)?.['status'] ?? {}) as DeploymentStatus; // the API server's
    const {blocked, elsewhere} = outcome;
    return {
      replicas,
      readyReplicas: ready.length,
      reports: poller.reports(key),
      readyAddresses: ready,
      published: published.configs(key),
      wantedHash,
      elsewhere,
      ...(blocked !== undefined && {blocked}),
    };
  };

  /** The config and the credentials to publish; older credentials stay until no proxy needs them. */
  const objectsOf = (found: Gathered, gateway: ModelGateway, {config, credentials}: Plan): ConfigObjects => {
    const key = nameText(found.name);
    const hash = published.stored(key, childOf(found, 'ConfigMap', configName(found.name.name)));
    if (hash !== undefined && allServe(hash, proxyAddresses(found.proxySlices).ready, poller.reports(key)))
      published.settle(key, hash);
    const secret = childOf(found, 'Secret', credentialsName(found.name.name));
    const configs = published.needed(key);
    const keeps = configs.map((_, dropped) => stillNamed(secret, configs.slice(dropped)));
    const objects = objectsThatFit({gateway, config, credentials}, keeps);
    if (objects.tooLarge === undefined) published.add(key, objects.hash, config);
    return objects;
  };

  /** Its labels may have been changed by hand, so that it is not among the children; an autoscaler's number must not be lost by that. */
  const deploymentOf = async (found: Gathered, {spec}: ModelGateway): Promise<KubeObject | undefined> => {
    const {namespace, name} = found.name;
    const known = childOf(found, 'Deployment', name);
    if (known !== undefined || spec.autoscaling === undefined) return known;
    return writer.find('Deployment', {namespace, name});
  };

  return {
    async build(found, gateway, planned, force) {
      const objects = objectsOf(found, gateway, planned);
      const {proxyImage, imagePullPolicy} = settings;
      const {tooLarge} = objects;
      const wanted = planChildren(
        {
          gateway,
          servedNamespaces: servedNamespaces(planned.config),
          proxyImage,
          imagePullPolicy,
          currentDeployment: await deploymentOf(found, gateway),
        },
        tooLarge === undefined ? [objects.secret, objects.configMap] : [],
      );
      const applied = await applier.apply(wanted, found.children, force);
      const isWhole = applied.blocked === undefined && !applied.isStale;
      const owner = {...found.name, uid: gateway.metadata.uid ?? ''};
      const removed = await applier.remove(
        isWhole ? leftOvers({existing: found.children, desired: wanted, gateway: owner}) : [],
      );
      const blocked =
        applied.blocked ??
        (tooLarge === undefined
          ? undefined
          : ({type: 'Programmed', reason: configTooLarge, message: tooLarge} as const));
      const outcome: ApplyOutcome = {
        ...applied,
        changes: [...applied.changes, ...removed.changes],
        elsewhere: [...applied.elsewhere, ...removed.elsewhere],
        error: applied.error ?? removed.error,
        ...(blocked !== undefined && {blocked}),
      };
      tell(found, outcome);
      return {outcome, fleet: fleetOf(found, objects.hash, outcome)};
    },
    async tearDown(found) {
      const key = nameText(found.name);
      poller.forget(key);
      published.forget(key);
      const outcome = await applier.remove(leftOvers({existing: found.children, desired: [], gateway: found.name}));
      tell({...found, gateway: undefined}, outcome);
      if (outcome.elsewhere.length === 0) saidElsewhere.delete(key);
      return {outcome, fleet: noFleet};
    },
  };
}
