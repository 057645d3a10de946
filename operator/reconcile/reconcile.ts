/** One key in, the world made to match: gather, plan, apply, status, outcome. */
import type {Clock} from '../../kube/clock.ts';
import type {EventRecorder} from '../../kube/events.ts';
import type {Outcome} from '../../kube/work-queue.ts';
import {applyFailed} from '../api/conditions.ts';
import type {ModelGateway} from '../api/generated.ts';
import {isTerminating, type ApplyOutcome} from '../cluster/apply.ts';
import type {Gather, Gathered, IsCurrent} from '../cluster/gather.ts';
import type {Writer} from '../cluster/writer.ts';
import type {FleetState} from '../plan/fleet.ts';
import {messageOf} from '../message-of.ts';
import {nameOf, nameText} from '../plan/metadata.ts';
import {lifeOf, type Life} from '../plan/on-demand.ts';
import {plan} from '../plan/plan.ts';
import {planStatus} from '../plan/status.ts';
import type {ObjectName, Plan} from '../plan/world.ts';
import {createFleetBuilder, noFleet, type FleetBuilderSettings} from './fleet-builder.ts';
import type {GatewayKey} from './keys.ts';
import type {StatusPace} from './status-pace.ts';
import {writeStatuses, type Written} from './write-statuses.ts';

export type ReconcilerSettings = FleetBuilderSettings & {
  gather: Gather;
  isCurrent: IsCurrent;
  writer: Writer;
  recorder: EventRecorder;
  pace: StatusPace;
  clock: Clock;
  wallClock: () => Date;
  /** From 0 to below 1. */
  random: () => number;
  defaultGateway: ObjectName | undefined;
};

/** Everything is planned and applied anew after so long, whether or not anything was heard of. */
const fullReplanMs = 600_000;
/** A name in use, or a child that is going away: nobody tells us when it is free. */
const lookAgainMs = 5_000;
/** Until the watch has brought what another wrote: the first time, doubling up to the longest while it does not, for it may be broken. */
const staleMs = 200;
const longestStaleMs = 30_000;

/** What is remembered of one gateway between two reconciles. `staleInARow`: how many of the last ones came too early. */
type Memory = {fullAt: number; idleSince: number | undefined; staleInARow: number};

/** How long to wait after one that came too early. */
const nextStaleMs = (memory: Memory): number => {
  const ms = Math.min(staleMs * 2 ** memory.staleInARow, longestStaleMs);
  memory.staleInARow += 1;
  return ms;
};

const isHere = (gateway: ModelGateway | undefined): gateway is ModelGateway =>
  gateway !== undefined && gateway.metadata.deletionTimestamp === undefined;

/** Without fractions, as Kubernetes has it. */
const rfc3339 = (date: Date): string => date.toISOString().replace(/[.]\d+Z$/, 'Z');

/** What is not as it should be is looked at again by then. */
const soonestMs = ({blocked, elsewhere, isStale, againAfterMs}: ApplyOutcome, memory: Memory): number => {
  if (isStale) return Math.min(nextStaleMs(memory), againAfterMs);
  memory.staleInARow = 0;
  return blocked === undefined && elsewhere.length === 0 ? againAfterMs : Math.min(lookAgainMs, againAfterMs);
};

/** Neither there nor named, and nothing of it left. */
const isNothing = ({gateway, routes}: Gathered, {elsewhere}: ApplyOutcome): boolean =>
  gateway === undefined && routes.length === 0 && elsewhere.length === 0;

export type Reconcile = (key: GatewayKey) => Promise<Outcome>;

export function createReconciler(settings: ReconcilerSettings): Reconcile {
  const {gather, isCurrent, writer, recorder, pace, log, clock, defaultGateway} = settings;
  const memories = new Map<string, Memory>();
  const builder = createFleetBuilder(settings);

  const memoryOf = (key: string, routes: number): Memory => {
    const known = memories.get(key) ?? {fullAt: -Infinity, idleSince: undefined, staleInARow: 0};
    known.idleSince = routes > 0 ? undefined : (known.idleSince ?? clock.now());
    memories.set(key, known);
    return known;
  };

  const lifeOfFound = ({name, gateway, routes}: Gathered, {idleSince}: Memory): Life =>
    lifeOf({
      name,
      gateway,
      routes: routes.map(nameOf),
      ...(defaultGateway !== undefined && {defaultGateway}),
      idleForMs: idleSince === undefined ? 0 : clock.now() - idleSince,
    });

  const tell = (found: Gathered, {problems, config}: Plan, fleet: FleetState): Promise<Written> => {
    const {gateway, routes, world} = found;
    const now = rfc3339(settings.wallClock());
    const statuses = planStatus({gateway, routes, problems, config, slices: world.slices, fleet, now});
    return writeStatuses(statuses, {gateway, routes}, {writer, recorder, pace, isCurrent});
  };

  const create = async (found: Gathered): Promise<Outcome> => {
    try {
      await writer.createGateway(found.name);
    } catch (error) {
      if (isTerminating(error)) return {type: 'Again', afterMs: lookAgainMs};
      const blocked = {type: 'Programmed', reason: applyFailed, message: messageOf(error)} as const;
      const {nextMs} = await tell(found, plan(found.world), {...noFleet, blocked});
      return {type: 'Failed', error, afterMs: nextMs};
    }
    log.info('gateway created on demand', {gateway: nameText(found.name)});
    return {type: 'Again', afterMs: lookAgainMs};
  };

  const remove = async (gateway: ModelGateway, memory: Memory): Promise<Outcome> => {
    const isRemoved = await writer.removeGateway({...gateway});
    if (!isRemoved) return {type: 'Again', afterMs: nextStaleMs(memory)}; // somebody has just touched it
    log.info('gateway without routes removed', {gateway: nameText(nameOf(gateway))});
    return {type: 'Done'};
  };

  /** What is wanted, made so; and what it came to, told. Says when there is more to do. */
  const settle = async (found: Gathered, life: Life, memory: Memory): Promise<Outcome> => {
    const {gateway} = found;
    const force = clock.now() - memory.fullAt >= fullReplanMs;
    if (force) memory.fullAt = clock.now();
    const planned = plan(found.world);
    const {outcome, fleet} = isHere(gateway)
      ? await builder.build(found, gateway, planned, force)
      : await builder.tearDown(found);
    const written = await tell(found, planned, fleet);
    const afterMs = Math.min(
      fullReplanMs * (1 + settings.random() / 10),
      written.nextMs ?? Infinity,
      life.type === 'Idle' ? life.removeInMs : Infinity,
      soonestMs(outcome, memory),
    );
    const error = outcome.error ?? written.error;
    if (error !== undefined) return {type: 'Failed', error, afterMs};
    return isNothing(found, outcome) ? {type: 'Done'} : {type: 'Again', afterMs};
  };

  return async (key) => {
    const [namespace = '', name = ''] = key.split('/');
    const found = gather({namespace, name});
    const {gateway, routes} = found;
    const memory = memoryOf(key, routes.length);
    const life = lifeOfFound(found, memory);
    if (life.type === 'Create') return create(found);
    if (life.type === 'Remove' && gateway !== undefined) return remove(gateway, memory);
    const outcome = await settle(found, life, memory);
    if (outcome.type === 'Done') memories.delete(key);
    return outcome;
  };
}
