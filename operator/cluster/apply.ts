/** All writes of a gateway's children: made, applied where they differ from what was applied last, and removed when no longer wanted. */
import {KubeError} from '../../kube/errors.ts';
import type {KubeObject} from '../../kube/objects.ts';
import {applyFailed, nameInUse, pending, type Reason} from '../api/conditions.ts';
import {messageOf} from '../message-of.ts';
import type {Child, FleetState} from '../plan/fleet.ts';
import {nameText} from '../plan/metadata.ts';
import type {Applied as WriterResult, Writer} from './writer.ts';

export type Change = {action: 'Created' | 'Updated' | 'Removed'; kind: string; namespace: string; name: string};

export type Elsewhere = {namespace: string; reason: Reason; message: string};

export type ApplyOutcome = {
  changes: readonly Change[];
  /** What kept a child from being made or changed; what comes after it was left as it is. */
  blocked?: NonNullable<FleetState['blocked']>;
  /** The same of children in other namespaces, which keep no other from being made. */
  elsewhere: readonly Elsewhere[];
  /** An object was changed between the plan and the write: another plan is due. */
  isStale: boolean;
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

/** Of the last write: what was sent, and the versions of the object before and after it. */
type Applied = {sent: string; versions: ReadonlySet<string>};

const absent = 'absent';

const idOf = (kind: string, key: string): string => `${kind} ${key}`;

/**
 * Changes when somebody changes what we may have set. Where there is a generation it counts the changes of the spec, and the
 * resourceVersion those of the status too.
 */
const versionOf = (object: KubeObject | undefined): string => {
  if (object === undefined) return absent;
  const {uid, generation, resourceVersion, labels, annotations, ownerReferences} = object.metadata;
  const spec = object.kind === 'HorizontalPodAutoscaler' ? object['spec'] : generation; // it has no generation
  return JSON.stringify(
    spec === undefined ? [uid, resourceVersion] : [uid, spec, labels, annotations, ownerReferences],
  );
};

const partsOf = ({kind = '', metadata: {namespace = '', name}}: KubeObject): Omit<Change, 'action'> => ({
  kind,
  namespace,
  name,
});

type Result =
  | {type: 'Same' | 'Stale'}
  | {type: 'Changed'; change: Change}
  | {type: 'Blocked'; blocked: NonNullable<FleetState['blocked']>};

/** Without the version that it may only be applied to: that one changes with each status of the object. */
const textOf = (child: Child): string => {
  const {resourceVersion: _resourceVersion, ...metadata} = child.metadata;
  return JSON.stringify({...child, metadata});
};

export function createApplier(writer: Pick<Writer, 'apply' | 'remove'>): Applier {
  const applied = new Map<string, Applied>();

  const applyOne = async (child: Child, known: KubeObject | undefined, force: boolean): Promise<Result> => {
    const id = idOf(child.kind, nameText(child.metadata));
    const sent = textOf(child);
    const last = applied.get(id);
    if (!force && last?.sent === sent && last.versions.has(versionOf(known))) return {type: 'Same'};
    const result = await writer.apply(child, {known});
    if (!('object' in result)) return without(child, result);
    applied.set(id, {sent, versions: new Set([versionOf(known), versionOf(result.object)])});
    if (result.type === 'Created') return {type: 'Changed', change: {action: 'Created', ...partsOf(child)}};
    const isSame = force || known?.metadata.resourceVersion === result.object.metadata.resourceVersion;
    return isSame ? {type: 'Same'} : {type: 'Changed', change: {action: 'Updated', ...partsOf(child)}};
  };

  return {
    async apply(children, existing, force) {
      const byId = new Map(existing.map((object) => [idOf(object.kind ?? '', nameText(partsOf(object))), object]));
      const changes: Change[] = [];
      const elsewhere: Elsewhere[] = [];
      const outcome = {changes, elsewhere, isStale: false, error: undefined as unknown};
      for (const child of children) {
        const known = byId.get(idOf(child.kind, nameText(child.metadata)));
        const result = await applyOne(child, known, force).catch((error: unknown): Result => {
          if (isTerminating(error)) return {type: 'Blocked', blocked: {...failed(error), reason: pending}};
          outcome.error = error;
          return {type: 'Blocked', blocked: failed(error)};
        });
        if (result.type === 'Changed') changes.push(result.change);
        if (result.type === 'Stale') outcome.isStale = true;
        if (result.type === 'Stale' && isOwn(child)) return outcome; // what comes next may stand on it
        if (result.type !== 'Blocked') continue;
        const {blocked} = result;
        if (isOwn(child)) return {...outcome, blocked};
        elsewhere.push({namespace: child.metadata.namespace, reason: blocked.reason, message: blocked.message});
      }
      return outcome;
    },
    async remove(objects) {
      const changes: Change[] = [];
      for (const object of objects) {
        try {
          await writer.remove(object);
          changes.push({action: 'Removed', ...partsOf(object)});
        } catch (error) {
          const {reason, message} = failed(error);
          return {changes, elsewhere: [{namespace: partsOf(object).namespace, reason, message}], isStale: false, error};
        }
      }
      return {changes, elsewhere: [], isStale: false};
    },
    forget: (kind, key) => void applied.delete(idOf(kind, key)),
  };
}

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
