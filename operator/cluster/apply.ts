/** All writes of a gateway's children: made, applied where they differ from what was applied last, and removed when no longer wanted. */
import type {Clock} from '../../kube/clock.ts';
import {KubeError} from '../../kube/errors.ts';
import type {KubeObject} from '../../kube/objects.ts';
import {applyFailed, nameInUse, pending, type Reason} from '../api/conditions.ts';
import {messageOf} from '../message-of.ts';
import type {Child, FleetState} from '../plan/fleet.ts';
import {nameText} from '../plan/metadata.ts';
import {ownershipOf} from '../plan/ownership.ts';
import {isFirstToPause, remember, restMs, writtenOf, type Applied} from './applied.ts';
import type {Applied as WriterResult, Writer} from './writer.ts';

export type ChildName = {kind: string; namespace: string; name: string};

export type Change = ChildName & {
  action: 'Created' | 'Updated' | 'Restored' | 'Removed';
  /** For people. */
  why: string;
};

export type Elsewhere = {namespace: string; reason: Reason; message: string};

export type ApplyOutcome = {
  changes: readonly Change[];
  /** The first that kept a child from being made or changed. */
  blocked?: NonNullable<FleetState['blocked']>;
  /** The same of children in other namespaces, which keep no other from being made. */
  elsewhere: readonly Elsewhere[];
  /** Somebody else keeps changing them, so that from now on they are put right ever later. Said once. */
  contested: readonly ChildName[];
  /** An object was changed between the plan and the write: another plan is due. */
  isStale: boolean;
  /** Then there may be something to write though nothing was heard of; Infinity: there is not. */
  againAfterMs: number;
  /** Of `blocked` or `elsewhere`, if it was an error. */
  error?: unknown;
};

export type Applier = {
  /** In this order. `force`: also those that look as they were applied. */
  apply(children: readonly Child[], existing: readonly KubeObject[], force: boolean): Promise<ApplyOutcome>;
  remove(objects: readonly KubeObject[]): Promise<ApplyOutcome>;
  /** The object of that name is no longer there. */
  forget(kind: string, key: string): void;
};

const idOf = (kind: string, key: string): string => `${kind} ${key}`;

const partsOf = ({kind = '', metadata: {namespace = '', name}}: KubeObject): ChildName => ({kind, namespace, name});

type Result =
  | {type: 'Same'; againAfterMs: number}
  | {type: 'Stale'}
  | {type: 'Written'; change: Change | undefined; againAfterMs: number; isContested: boolean}
  | {type: 'Blocked'; blocked: NonNullable<FleetState['blocked']>; error?: unknown};

/** Without the version that it may only be applied to: that one changes with each status of the object. */
const textOf = (child: Child): string => {
  const {resourceVersion: _resourceVersion, ...metadata} = child.metadata;
  return JSON.stringify({...child, metadata});
};

const whyOf = (written: 'Created' | 'Updated' | 'Restored', last: Applied | undefined): string => {
  if (written === 'Created') return 'it was not there';
  if (last === undefined) return 'it was not as this operator makes it';
  return written === 'Restored' ? 'somebody else had changed it' : 'as the gateway has it now';
};

function createApplyOne(
  writer: Pick<Writer, 'apply'>,
  clock: Pick<Clock, 'now'>,
  applied: Map<string, Applied>,
): (child: Child, known: KubeObject | undefined, force: boolean) => Promise<Result> {
  return async (child, known, force) => {
    const id = idOf(child.kind, nameText(child.metadata));
    const sent = textOf(child);
    const last = applied.get(id);
    const againAfterMs = force || last?.sent !== sent ? 0 : restMs(last, known, clock.now());
    if (againAfterMs > 0) return {type: 'Same', againAfterMs};
    const result = await writer.apply(child, {known});
    if (!('object' in result)) return without(child, result);
    const written = writtenOf(last, sent, result);
    const now = remember(last, {sent, known, object: result.object, written, at: clock.now()});
    applied.set(id, now);
    return {
      type: 'Written',
      change: written === 'Nothing' ? undefined : {action: written, why: whyOf(written, last), ...partsOf(child)},
      // Nothing tells of one that goes before the watch has shown it.
      againAfterMs: written === 'Created' ? now.unseenMs : Infinity,
      isContested: written === 'Restored' && isFirstToPause(now),
    };
  };
}

type Outcome = ApplyOutcome & {changes: Change[]; elsewhere: Elsewhere[]; contested: ChildName[]};

const noOutcome = (): Outcome => ({
  changes: [],
  elsewhere: [],
  contested: [],
  isStale: false,
  againAfterMs: Infinity,
});

function add(outcome: Outcome, child: Child, result: Result): void {
  if (result.type === 'Stale') outcome.isStale = true;
  else if (result.type === 'Blocked') {
    const {blocked, error} = result;
    outcome.error ??= error;
    if (isOwn(child)) outcome.blocked ??= blocked;
    else
      outcome.elsewhere.push({namespace: child.metadata.namespace, reason: blocked.reason, message: blocked.message});
  } else {
    outcome.againAfterMs = Math.min(outcome.againAfterMs, result.againAfterMs);
    if (result.type !== 'Written') return;
    if (result.change !== undefined) outcome.changes.push(result.change);
    if (result.isContested) outcome.contested.push(partsOf(child));
  }
}

type Gate = {
  isOpen(child: Child, isThere: boolean): boolean;
  /** It was not written, or not let through. */
  close(child: Child, isThere: boolean, error?: unknown): void;
};

/**
 * What is still written after a child that could not be. One that is there goes on as it is, and so does all that follows. On one that is
 * not there what follows stands: the NetworkPolicy says who may call before there is a Service, and beside a stranger's object nothing is
 * half made. But the Secret and the ConfigMap that a fleet has are always written, whatever else is refused or taken: they are its routes
 * and its keys. The ConfigMap only after its Secret, for it must not name a credential that is not there.
 */
function createGate(): Gate {
  let [onlyPublished, isSecretOld] = [false, false];
  const isPublished = ({kind}: Child): boolean => kind === 'Secret' || kind === 'ConfigMap';
  return {
    isOpen: (child, isThere) =>
      !(child.kind === 'ConfigMap' && isSecretOld) && (!onlyPublished || (isThere && isPublished(child))),
    close(child, isThere, error) {
      // A write that got no answer has taken its whole deadline, and so may each that follows.
      onlyPublished ||= !isThere || (error instanceof KubeError && error.status === 0);
      isSecretOld ||= child.kind === 'Secret';
    },
  };
}

export function createApplier(writer: Pick<Writer, 'apply' | 'remove'>, clock: Pick<Clock, 'now'>): Applier {
  const applied = new Map<string, Applied>();
  const applyOne = createApplyOne(writer, clock, applied);

  return {
    async apply(children, existing, force) {
      const byId = new Map(existing.map((object) => [idOf(object.kind ?? '', nameText(partsOf(object))), object]));
      const outcome = noOutcome();
      const gate = createGate();
      for (const child of children) {
        const known = byId.get(idOf(child.kind, nameText(child.metadata)));
        const isThere = known !== undefined && ownershipOf(known, child) === 'Ours';
        if (!gate.isOpen(child, isThere)) {
          gate.close(child, isThere);
          continue;
        }
        const result = await applyOne(child, known, force).catch(refused);
        add(outcome, child, result);
        if (!isOwn(child)) continue;
        if (result.type === 'Stale') gate.close(child, isThere);
        if (result.type === 'Blocked') gate.close(child, isThere, result.error);
      }
      return outcome;
    },
    async remove(objects) {
      const outcome = noOutcome();
      for (const object of objects) {
        try {
          await writer.remove(object);
          outcome.changes.push({action: 'Removed', why: 'the gateway does not need it', ...partsOf(object)});
        } catch (error) {
          const {reason, message} = failed(error);
          return {...outcome, elsewhere: [{namespace: partsOf(object).namespace, reason, message}], error};
        }
      }
      return outcome;
    },
    forget: (kind, key) => void applied.delete(idOf(kind, key)),
  };
}

const refused = (error: unknown): Result =>
  isTerminating(error)
    ? {type: 'Blocked', blocked: {...failed(error), reason: pending}}
    : {type: 'Blocked', blocked: failed(error), error};

/** The namespace goes, and all that is in it: there is nothing to be made any more. */
export const isTerminating = (error: unknown): boolean =>
  error instanceof KubeError && error.status === 403 && error.message.includes('because it is being terminated');

/** In the namespace of its gateway, where an owner reference reaches. */
const isOwn = ({metadata}: Child): boolean => metadata.ownerReferences !== undefined;

function without(child: Child, result: Exclude<WriterResult, {object: KubeObject}>): Result {
  if (result.type === 'Conflict') return {type: 'Stale'};
  if (result.type === 'GoingAway') return {type: 'Blocked', blocked: goingAway(child)};
  return {type: 'Blocked', blocked: {type: 'Accepted', reason: nameInUse, message: result.message}};
}

const failed = (error: unknown): NonNullable<FleetState['blocked']> => ({
  type: 'Programmed',
  reason: applyFailed,
  message: messageOf(error),
});

const describe = ({kind, metadata}: Child): string => `${kind} ${nameText(metadata)}`;

const goingAway = (child: Child): NonNullable<FleetState['blocked']> => ({
  type: 'Programmed',
  reason: pending,
  message: `waits until ${describe(child)} of an earlier gateway of this name is gone`,
});
