/** What is remembered of the last write of a child, and from it: whether it has to be written again, and when. */
import type {KubeObject} from '../../kube/objects.ts';

/** What a write has changed. `Restored`: the same was sent before, but somebody had changed the object. */
export type Written = 'Created' | 'Updated' | 'Restored' | 'Nothing';

export type Applied = {
  sent: string;
  /** As the write has left it: see {@link versionOf}. */
  version: string;
  resourceVersion: string;
  at: number;
  /** For so long the watch may not have shown it yet. */
  unseenMs: number;
  /** How often in a row it was restored, and when last. */
  restores: {count: number; at: number};
};

/** A watch shows a write within milliseconds. What is not seen by then may have gone before it was, as between two lists. */
const unseenMs = 5_000;
/** What somebody else keeps changing is restored at once so often, then ever later, until it was left in peace for a while. */
const restoresAtOnce = 5;
const firstPauseMs = 10_000;
const longestPauseMs = 300_000;
const quietMs = 600_000;

/**
 * Changes when somebody changes what we may have set. Where there is a generation it counts the changes of the spec, and the
 * resourceVersion those of the status too.
 */
const versionOf = (object: KubeObject): string => {
  const {uid, generation, resourceVersion, labels, annotations, ownerReferences} = object.metadata;
  const spec = object.kind === 'HorizontalPodAutoscaler' ? object['spec'] : generation; // it has no generation
  return JSON.stringify(
    spec === undefined ? [uid, resourceVersion] : [uid, spec, labels, annotations, ownerReferences],
  );
};

/** Of one object: decimal numbers that grow (https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions). */
const isOlder = (a: string, b: string): boolean => (a.length === b.length ? a < b : a.length < b.length);

/** What is known of the object is from before the last write. */
const isUnseen = ({resourceVersion}: Applied, known: KubeObject | undefined): boolean =>
  known === undefined || isOlder(known.metadata.resourceVersion ?? '', resourceVersion);

const pauseMs = (restores: number): number =>
  restores < restoresAtOnce ? 0 : Math.min(firstPauseMs * 2 ** (restores - restoresAtOnce), longestPauseMs);

/** How long the same need not be written again. Infinity: until something is heard of. */
export const restMs = (last: Applied, known: KubeObject | undefined, now: number): number => {
  if (known === undefined || isUnseen(last, known)) return last.at + last.unseenMs - now;
  return versionOf(known) === last.version ? Infinity : last.restores.at + pauseMs(last.restores.count) - now;
};

/** `before`: what the write fell on, as far as it was known; undefined: nothing was there. */
export const writtenOf = (
  last: Applied | undefined,
  sent: string,
  {before, object}: {before?: KubeObject; object: KubeObject},
): Written => {
  if (before === undefined) return 'Created';
  const version = versionOf(object);
  const known = last !== undefined && isUnseen(last, before) ? last.version : versionOf(before);
  if (version === known) return 'Nothing';
  return last?.sent === sent ? 'Restored' : 'Updated';
};

type Write = {sent: string; known: KubeObject | undefined; object: KubeObject; written: Written; at: number};

export const remember = (last: Applied | undefined, {sent, known, object, written, at}: Write): Applied => {
  const {restores} = last ?? {restores: {count: 0, at: -Infinity}};
  const inARow = at - restores.at < quietMs ? restores.count : 0;
  const isUnseenStill = written === 'Nothing' && last !== undefined && isUnseen(last, known);
  return {
    sent,
    version: versionOf(object),
    resourceVersion: object.metadata.resourceVersion ?? '',
    at,
    unseenMs: isUnseenStill ? Math.min(2 * last.unseenMs, longestPauseMs) : unseenMs,
    restores: written === 'Restored' ? {count: inARow + 1, at} : restores,
  };
};

/** After a restore: whether it is the first one that makes the next wait, and thus the moment to tell of it. */
export const isFirstToPause = ({restores}: Applied): boolean => restores.count === restoresAtOnce;
