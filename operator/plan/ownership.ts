/** Whose an object is that has the name of a child, and which children are no longer wanted. */
import {farRoleName} from './children/names.ts';
import type {Child} from './fleet.ts';
import {areLabelsOf, gatewayLabel, gatewayNamespaceLabel} from './labels.ts';
import type {ObjectName} from './world.ts';

export type OwnerReference = {apiVersion: string; kind: string; name: string; uid: string; controller?: boolean};

/** An object as the API server has it; `kind` is set by whoever listed it, as the API server leaves it out of lists. */
export type Existing = {
  kind?: string;
  metadata: {
    name: string;
    namespace?: string;
    labels?: Record<string, string>;
    ownerReferences?: OwnerReference[];
    deletionTimestamp?: string;
  };
};

/**
 * `Ours`: to be applied. `Strangers`: never touched, the gateway says NameInUse. `GoingAway`: it was ours or that of a gateway of the same
 * name before this one; the API server or the garbage collector removes it, and then it can be made.
 */
export type Ownership = 'Ours' | 'Strangers' | 'GoingAway';

const controllerOf = ({metadata: {ownerReferences = []}}: Existing): OwnerReference | undefined =>
  ownerReferences.find(({controller}) => controller === true);

/** Versions of the API come and go, its group stays. */
const groupOf = (apiVersion: string): string => apiVersion.replace(/\/[^/]*$/, '');

const isSameGateway = (a: OwnerReference, b: OwnerReference): boolean =>
  groupOf(a.apiVersion) === groupOf(b.apiVersion) && a.kind === b.kind && a.name === b.name;

const ofOwner = (existing: Existing, owner: OwnerReference): Ownership => {
  const controller = controllerOf(existing);
  if (controller === undefined || !isSameGateway(controller, owner)) return 'Strangers';
  return controller.uid === owner.uid ? 'Ours' : 'GoingAway';
};

/** Across namespaces. */
const ofLabels = ({metadata}: Existing, {labels}: Child['metadata']): Ownership => {
  const gateway = {namespace: labels[gatewayNamespaceLabel] ?? '', name: labels[gatewayLabel] ?? ''};
  return areLabelsOf(metadata.labels, gateway) ? 'Ours' : 'Strangers';
};

/** `existing` has the kind, name and namespace of `child`. */
export const ownershipOf = (existing: Existing, child: Child): Ownership => {
  const owner = child.metadata.ownerReferences?.[0];
  const ownership = owner === undefined ? ofLabels(existing, child.metadata) : ofOwner(existing, owner);
  return ownership === 'Ours' && existing.metadata.deletionTimestamp !== undefined ? 'GoingAway' : ownership;
};

export type LeftOversInput<T extends Existing> = {
  /** What carries the gateway's labels, in all namespaces, with its kind. */
  existing: readonly T[];
  /** Empty if the gateway is gone. */
  desired: readonly Child[];
  /** `uid`: unset if it is gone. */
  gateway: ObjectName & {uid?: string};
};

const key = ({kind = '', metadata: {namespace = '', name}}: Existing): string => `${kind} ${namespace}/${name}`;

/** Traffic goes on by them, also while newer ones cannot be made. */
const neverLeftOver = new Set(['ConfigMap', 'Secret']);
const farKinds = new Set(['Role', 'RoleBinding']);

/**
 * The children to delete. Labels alone are not enough, anybody can write them: beside the gateway a child has to be owned by it, elsewhere
 * it has to be of a kind and name that is made there. What a gateway that is gone leaves in its own namespace is the garbage collector's.
 */
export const leftOvers = <T extends Existing>({existing, desired, gateway}: LeftOversInput<T>): T[] => {
  const wanted = new Set(desired.map(key));
  const isOurs = (object: T): boolean => {
    const {kind = '', metadata} = object;
    if (metadata.namespace === gateway.namespace)
      return gateway.uid !== undefined && controllerOf(object)?.uid === gateway.uid && !neverLeftOver.has(kind);
    return farKinds.has(kind) && metadata.name === farRoleName(gateway) && areLabelsOf(metadata.labels, gateway);
  };
  return existing.filter(
    (object) => object.metadata.deletionTimestamp === undefined && !wanted.has(key(object)) && isOurs(object),
  );
};
