/**
 * All that the operator writes, by server-side apply: so what others have set on an object stays, and what we no longer say of it goes
 * (https://kubernetes.io/docs/reference/using-api/server-side-apply/). Everything throws a {@link KubeError} that says what could not be done.
 */
import {CustomObjectsApi, KubernetesObjectApi, PatchStrategy, setHeaderOptions} from '@kubernetes/client-node';
import type {KubeClient} from '../../kube/client.ts';
import {KubeError} from '../../kube/errors.ts';
import type {KubeObject} from '../../kube/objects.ts';
import {parseObject} from '../../kube/parse-object.ts';
import {apiVersion, group, version} from '../api/crds.ts';
import type {ModelGatewayStatus, ModelRouteStatus} from '../api/generated.ts';
import type {Child} from '../plan/fleet.ts';
import {fieldManager, onDemandAnnotation} from '../plan/on-demand.ts';
import {ownershipOf} from '../plan/ownership.ts';
import type {ObjectName} from '../plan/world.ts';
import {apiVersionOf, writtenKinds} from './kinds.ts';
import {refusal, type Deed} from './refusal.ts';
import {createTransport, passAsItIs} from './transport.ts';

export type Applied =
  | {type: 'Created'; object: KubeObject}
  /** `before`: what it was applied to, as last heard of or read. */
  | {type: 'Applied'; object: KubeObject; before: KubeObject}
  /** A stranger's object has the name. */
  | {type: 'NameInUse'; message: string}
  /** An object of that name is still being deleted. */
  | {type: 'GoingAway'}
  /** It came or went meanwhile, or has another version than the child names. */
  | {type: 'Conflict'};

export type ApplyOptions = {
  /** As last heard of; undefined: there is none, as far as we know. */
  known: KubeObject | undefined;
};

type Statuses = {ModelRoute: ModelRouteStatus; ModelGateway: ModelGatewayStatus};

export type Writer = {
  /** Makes it, or sets what it says on the one that there is, if that is ours. */
  apply(child: Child, options: ApplyOptions): Promise<Applied>;
  /** Exactly this object, not a younger one of its name. It may be gone already. */
  remove(object: KubeObject): Promise<void>;
  /** The whole of it. Undefined: there is no such object any more. */
  applyStatus<Kind extends keyof Statuses>(
    kind: Kind,
    name: ObjectName,
    status: Statuses[Kind],
  ): Promise<KubeObject | undefined>;
  /** As it is now. */
  find(kind: string, name: ObjectName): Promise<KubeObject | undefined>;
  /** On demand, and only if there is none. */
  createGateway(name: ObjectName): Promise<void>;
  /** False if somebody has touched it since, or removed it. */
  removeGateway(object: KubeObject): Promise<boolean>;
};

const plurals = {ModelRoute: 'modelroutes', ModelGateway: 'modelgateways'};

const apiVersions = new Map(writtenKinds.map((written) => [written.kind, apiVersionOf(written)]));
// The list is client-node's to keep, and is kept once for the process.
for (const [kind, writtenVersion] of apiVersions) passAsItIs(writtenVersion, kind);

/** No object ever has it, for etcd counts from 1 before the first: so an apply that asks for it makes an object or conflicts. */
const neverVersion = '1';

const hasStatus = (error: unknown, ...statuses: number[]): boolean =>
  error instanceof KubeError && statuses.includes(error.status);

const read = (object: unknown): KubeObject => {
  const parsed = parseObject(object);
  if (parsed === undefined) throw new KubeError('the answer is no Kubernetes object');
  return parsed;
};

type Metadata = {namespace?: string; name: string};
const deed = (verb: string, kind: string, {namespace = '', name}: Metadata): Deed => ({verb, kind, namespace, name});
const headerOf = ({apiVersion, kind, metadata: {name, namespace}}: Header): Header => ({
  apiVersion,
  kind,
  metadata: {name, namespace},
});

type Header = Pick<Child, 'apiVersion' | 'kind'> & {metadata: {name: string; namespace: string}};

type Objects = {
  /** `precondition`: of the object that it is to fall on. */
  patch(child: Child, precondition: {uid?: string; resourceVersion?: string}): Promise<KubeObject>;
  /** Sets what it says and nothing else, but lists whole. Who had set what is forgotten: else these fields could never go again. */
  merge(child: Child, uid: string): Promise<void>;
  find(child: Header): Promise<KubeObject | undefined>;
  /** False: there is none that meets them. */
  delete(object: KubeObject, preconditions: {uid?: string; resourceVersion?: string}): Promise<boolean>;
  create(object: {apiVersion: string; kind: string; metadata: Metadata}): Promise<void>;
};

function createObjects(api: KubernetesObjectApi): Objects {
  return {
    patch: (child, precondition) =>
      refusal(deed('apply', child.kind, child.metadata), async () => {
        const body = {...child, metadata: {...child.metadata, ...precondition}};
        const strategy = PatchStrategy.ServerSideApply;
        return read(await api.patch(body, undefined, undefined, fieldManager, true, strategy));
      }),
    merge: async (child, uid) => {
      const body = {...child, metadata: {...child.metadata, uid, managedFields: [{}]}};
      const none = undefined;
      await refusal(deed('change', child.kind, child.metadata), () =>
        api.patch(body, none, none, fieldManager, none, PatchStrategy.MergePatch),
      );
    },
    find: (child) =>
      refusal(deed('get', child.kind, child.metadata), async () => read(await api.read(headerOf(child)))).catch(
        (error: unknown) => {
          if (hasStatus(error, 404)) return undefined;
          throw error;
        },
      ),
    delete: ({kind = '', metadata}, preconditions) => {
      const apiVersion = apiVersions.get(kind) ?? ''; // an object out of a list does not say its own
      const header = {apiVersion, kind, metadata: {name: metadata.name, namespace: metadata.namespace ?? ''}};
      const body = {preconditions, propagationPolicy: 'Background'};
      const none = undefined;
      return refusal(deed('delete', kind, metadata), () => api.delete(header, none, none, none, none, none, body)).then(
        () => true,
        (error: unknown) => {
          if (hasStatus(error, 404, 409)) return false;
          throw error;
        },
      );
    },
    create: async (object) => {
      await refusal(deed('create', object.kind, object.metadata), () =>
        api.create(object, undefined, undefined, fieldManager),
      );
    },
  };
}

const nameInUse = ({kind, metadata: {namespace, name}}: Child): Applied => ({
  type: 'NameInUse',
  message:
    `there is already a ${kind} ${namespace}/${name}, which this gateway did not make: ` +
    'rename or delete it, or give the gateway another name',
});

function createApply(objects: Objects): Writer['apply'] {
  /**
   * The API server called it invalid. It says so of another uid; and of what we want beside what somebody has put there, such as a second
   * port of one name: an apply leaves others' items of a list where they are, a merge does not.
   */
  const replaceLists = async (child: Child, known: KubeObject): Promise<Applied> => {
    const {uid = ''} = known.metadata;
    if ((await objects.find(child))?.metadata.uid !== uid) return {type: 'Conflict'};
    await objects.merge(child, uid);
    return {type: 'Applied', object: await objects.patch(child, {uid}), before: known};
  };

  const update = async (child: Child, known: KubeObject): Promise<Applied> => {
    const {uid = ''} = known.metadata;
    try {
      return {type: 'Applied', object: await objects.patch(child, {uid}), before: known};
    } catch (error) {
      if (hasStatus(error, 409)) return {type: 'Conflict'};
      if (hasStatus(error, 422)) return await replaceLists(child, known);
      throw error;
    }
  };

  const applyOnto = async (child: Child, object: KubeObject): Promise<Applied> => {
    const ownership = ownershipOf(object, child);
    if (ownership === 'Strangers') return nameInUse(child);
    return ownership === 'GoingAway' ? {type: 'GoingAway'} : update(child, object);
  };

  const create = async (child: Child): Promise<Applied> => {
    try {
      return {type: 'Created', object: await objects.patch(child, {resourceVersion: neverVersion})};
    } catch (error) {
      if (!hasStatus(error, 409)) throw error;
    }
    const object = await objects.find(child); // ours if it was made by a try whose answer did not come
    return object === undefined ? {type: 'Conflict'} : applyOnto(child, object);
  };

  return async (child, {known}) => {
    if (known === undefined) return create(child);
    const applied = await applyOnto(child, known);
    // It is no longer what was heard of. Waiting to hear more could take as long as a watch is broken.
    const mayBeAny = child.metadata.resourceVersion === undefined;
    return applied.type === 'Conflict' && mayBeAny ? create(child) : applied;
  };
}

function createApplyStatus(api: CustomObjectsApi): Writer['applyStatus'] {
  const headers = setHeaderOptions('Content-Type', PatchStrategy.ServerSideApply);
  return async (kind, {namespace, name}, status) => {
    const body = {apiVersion, kind, metadata: {namespace, name}, status};
    const target = {group, version, namespace, plural: plurals[kind], name};
    try {
      return await refusal(deed('apply the status of', kind, body.metadata), async () =>
        read(await api.patchNamespacedCustomObjectStatus({...target, body, fieldManager, force: true}, headers)),
      );
    } catch (error) {
      if (hasStatus(error, 404)) return undefined;
      throw error;
    }
  };
}

/** `client`: its deadline is that of each write. */
export function createWriter({client}: {client: KubeClient}): Writer {
  const transport = createTransport(client);
  const objects = createObjects(new KubernetesObjectApi(transport));
  return {
    apply: createApply(objects),
    async remove(object) {
      await objects.delete(object, {uid: object.metadata.uid ?? ''});
    },
    find: (kind, {namespace, name}) =>
      objects.find({apiVersion: apiVersions.get(kind) ?? '', kind, metadata: {namespace, name}}),
    applyStatus: createApplyStatus(new CustomObjectsApi(transport)),
    async createGateway({namespace, name}) {
      const metadata = {namespace, name, annotations: {[onDemandAnnotation]: 'true'}};
      const gateway = {apiVersion, kind: 'ModelGateway', metadata, spec: {}};
      await objects.create(gateway).catch((error: unknown) => {
        if (!hasStatus(error, 409)) throw error;
      });
    },
    removeGateway: (object) => {
      const {uid = '', resourceVersion = ''} = object.metadata;
      return objects.delete(object, {uid, resourceVersion});
    },
  };
}
