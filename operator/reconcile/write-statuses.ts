/** The one place that writes statuses, and tells of what changed in them as Events. */
import type {EventRecorder} from '../../kube/events.ts';
import {apiVersion} from '../api/crds.ts';
import type {Condition, ModelGateway, ModelRoute, ModelRouteStatus, ModelGatewayStatus} from '../api/generated.ts';
import type {IsCurrent} from '../cluster/gather.ts';
import type {Writer} from '../cluster/writer.ts';
import type {StatusPlan} from '../plan/fleet.ts';
import {nameOf, nameText} from '../plan/metadata.ts';
import type {StatusPace} from './status-pace.ts';

export type StatusWriting = {
  writer: Pick<Writer, 'applyStatus'>;
  recorder: Pick<EventRecorder, 'record'>;
  pace: StatusPace;
  isCurrent: IsCurrent;
};

type Status = ModelRouteStatus | ModelGatewayStatus;
type Due = {object: ModelRoute | ModelGateway; status: Status};

/** Status writes of one gateway's routes at a time. */
const atATime = 8;

/** An object that is made anew has no past. */
export const statusKey = ({kind = '', metadata}: {kind?: string; metadata: {uid?: string}}): string =>
  `${kind} ${metadata.uid ?? ''}`;

const hasTurned =
  (before: readonly Condition[]) =>
  ({type, status, reason}: Condition): boolean => {
    const known = before.find((condition) => condition.type === type);
    return status !== 'Unknown' && (known?.status !== status || known.reason !== reason);
  };

/** One Event for what is wrong, or one for all being well: conditions follow from each other, and say the same. */
function record({object, status}: Due, recorder: StatusWriting['recorder']): void {
  const {namespace, name} = nameOf(object);
  const {uid = ''} = object.metadata;
  const turned = (status.conditions ?? []).filter(hasTurned(object.status?.conditions ?? []));
  const told = turned.find(({status: is}) => is === 'False') ?? turned.at(-1);
  if (told === undefined) return;
  recorder.record({
    object: {apiVersion, kind: object.kind, namespace, name, uid},
    type: told.status === 'False' ? 'Warning' : 'Normal',
    reason: told.reason,
    message: told.message,
    action: told.type,
  });
}

async function write(due: Due, {writer, recorder, pace, isCurrent}: StatusWriting): Promise<void> {
  const {object, status} = due;
  // What came since is planned by the reconcile that it has made due, perhaps of another gateway: its status must not be overwritten.
  if (!isCurrent(object)) return;
  await writer.applyStatus(object.kind, nameOf(object), status);
  pace.written(statusKey(object));
  record(due, recorder);
}

export type Written = {
  /** After how many milliseconds there is more to write; undefined: that is all. */
  nextMs: number | undefined;
  /** Of the first that could not be written; the others were. */
  error: unknown;
};

export async function writeStatuses(
  plan: StatusPlan,
  objects: {gateway: ModelGateway | undefined; routes: readonly ModelRoute[]},
  writing: StatusWriting,
): Promise<Written> {
  const {gateway, routes} = objects;
  const wanted: Due[] = routes.flatMap((route) => {
    const status = plan.routes.get(nameText(nameOf(route)));
    return status === undefined ? [] : [{object: route, status}];
  });
  if (gateway !== undefined && plan.gateway !== undefined) wanted.push({object: gateway, status: plan.gateway});

  let nextMs: number | undefined;
  const due: Due[] = [];
  for (const entry of wanted) {
    const decision = writing.pace.decide(statusKey(entry.object), entry.object.status, entry.status);
    if (decision.type === 'Write') due.push(entry);
    if (decision.type === 'Wait') nextMs = Math.min(nextMs ?? Infinity, decision.ms);
  }
  const failures: unknown[] = [];
  for (let start = 0; start < due.length; start += atATime) {
    const outcomes = await Promise.allSettled(due.slice(start, start + atATime).map((entry) => write(entry, writing)));
    failures.push(...outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : [])));
  }
  return {nextMs, error: failures[0]};
}
