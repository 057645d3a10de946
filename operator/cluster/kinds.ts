/** What the operator watches, and how much of each object it keeps: a cluster has many, and most of what they say is not looked at. */
import type {KubeObject} from '../../kube/objects.ts';
import {apiVersion} from '../api/crds.ts';
import {managedByLabel, managedBy} from '../plan/labels.ts';

export type WatchedKind = {
  kind: string;
  /** In a message, as RBAC has it: `deployments.apps`. */
  resource: string;
  /** Of the API: `/apis/apps/v1`. */
  api: string;
  plural: string;
  /** `ClusterWide`: not seen by an operator that watches some namespaces only. */
  scope: 'Namespaced' | 'ClusterWide';
  query?: Readonly<Record<string, string>>;
  trim: (object: KubeObject) => KubeObject;
};

/** Some hundred bytes to many kilobytes, for the few kinds in which who set what is looked at. */
const withoutManagedFields = ({metadata, ...rest}: KubeObject): KubeObject => {
  const {managedFields: _managedFields, ...kept} = metadata as KubeObject['metadata'] & {managedFields?: unknown};
  return {...rest, metadata: kept};
};

const whole = (object: KubeObject): KubeObject => object;

const only =
  (...members: string[]) =>
  (object: KubeObject): KubeObject => {
    const {metadata, ...rest} = withoutManagedFields(object);
    return {metadata, ...Object.fromEntries(Object.entries(rest).filter(([name]) => members.includes(name)))};
  };

const ours = {labelSelector: `${managedByLabel}=${managedBy}`};

const namespaced = (kind: string, api: string, plural: string, rest: Partial<WatchedKind> = {}): WatchedKind => {
  const group = api.split('/')[2];
  const resource = group === undefined || api.startsWith('/api/') ? plural : `${plural}.${group}`;
  return {kind, resource, api, plural, scope: 'Namespaced', trim: only(), ...rest};
};

/** The children that are watched for their own sake alone; Services and Secrets are watched anyway. */
const childKinds = [
  namespaced('Deployment', '/apis/apps/v1', 'deployments', {query: ours, trim: whole}),
  namespaced('ConfigMap', '/api/v1', 'configmaps', {query: ours, trim: only('binaryData')}),
  namespaced('ServiceAccount', '/api/v1', 'serviceaccounts', {query: ours}),
  namespaced('Role', '/apis/rbac.authorization.k8s.io/v1', 'roles', {query: ours}),
  namespaced('RoleBinding', '/apis/rbac.authorization.k8s.io/v1', 'rolebindings', {query: ours}),
  namespaced('NetworkPolicy', '/apis/networking.k8s.io/v1', 'networkpolicies', {query: ours}),
  namespaced('PodDisruptionBudget', '/apis/policy/v1', 'poddisruptionbudgets', {query: ours}),
  namespaced('HorizontalPodAutoscaler', '/apis/autoscaling/v2', 'horizontalpodautoscalers', {
    query: ours,
    trim: only('spec'),
  }),
] as const;

export const watchedKinds: readonly WatchedKind[] = [
  namespaced('ModelRoute', `/apis/${apiVersion}`, 'modelroutes', {trim: withoutManagedFields}),
  namespaced('ModelGateway', `/apis/${apiVersion}`, 'modelgateways', {trim: whole}),
  namespaced('Service', '/api/v1', 'services', {trim: only('spec')}),
  // Helm's releases are the largest Secrets that there are, and nobody's credentials.
  namespaced('Secret', '/api/v1', 'secrets', {
    query: {fieldSelector: 'type!=helm.sh/release.v1'},
    trim: only('data', 'type'),
  }),
  namespaced('EndpointSlice', '/apis/discovery.k8s.io/v1', 'endpointslices', {
    trim: only('addressType', 'ports', 'endpoints'),
  }),
  namespaced('Namespace', '/api/v1', 'namespaces', {scope: 'ClusterWide'}),
  ...childKinds,
];

/** `namespace`: undefined for all. */
export const pathOf = ({api, plural}: WatchedKind, namespace: string | undefined): string =>
  namespace === undefined ? `${api}/${plural}` : `${api}/namespaces/${namespace}/${plural}`;

/** `apps/v1`; as objects of it say. */
export const apiVersionOf = ({api}: WatchedKind): string => api.replace(/^\/apis?\//, '');

/** Of the objects that a gateway becomes. */
export const childKindNames = ['Service', 'Secret', ...childKinds.map(({kind}) => kind)];

/** What the operator makes: children, and gateways on demand. */
export const writtenKinds = watchedKinds.filter(({kind}) => kind === 'ModelGateway' || childKindNames.includes(kind));
