/** Which gateways a change concerns. */
import type {KubeObject} from '../../kube/objects.ts';
import type {Change} from '../../kube/store.ts';
import type {Caches} from '../cluster/caches.ts';
import {asRoute, byNamespace, byService, bySecret, ownerOf, servicesOf} from '../cluster/gather.ts';
import {childKindNames} from '../cluster/kinds.ts';
import {gatewayOf} from '../plan/gateway-of.ts';
import {nameText} from '../plan/metadata.ts';
import type {ObjectName} from '../plan/world.ts';

/** `namespace/name` of a ModelGateway, be it there or not. */
export type GatewayKey = `${string}/${string}`;

type Settings = {caches: Caches; defaultGateway: ObjectName | undefined; add: (key: GatewayKey) => void};

const both = ({object, previous}: Change<KubeObject>): KubeObject[] =>
  previous === undefined ? [object] : [object, previous];

/** A write that was under way when the object changed has come last: nothing else would put its status right. */
const hasOldStatus = ({metadata: {generation = 0}, ...object}: KubeObject): boolean => {
  const {observedGeneration = generation} = (object['status'] ?? {}) as {observedGeneration?: number}; // of our CRDs
  return observedGeneration < generation;
};

/** The status alone is new, and we wrote that. */
const isStatusOnly = ({type, object, previous}: Change<KubeObject>): boolean =>
  type === 'Modified' &&
  !hasOldStatus(object) &&
  object.metadata.generation === previous?.metadata.generation &&
  object.metadata.deletionTimestamp === previous?.metadata.deletionTimestamp;

const hasSameLabels = ({object, previous}: Change<KubeObject>): boolean =>
  previous !== undefined && JSON.stringify(object.metadata.labels) === JSON.stringify(previous.metadata.labels);

/** Everything that there is something to do for: what is wanted, and what is left of what no longer is. */
export function allKeys(caches: Caches, defaultGateway: ObjectName | undefined): GatewayKey[] {
  const gateways = caches.of('ModelGateway').list().map(keyOf);
  const routes = caches
    .of('ModelRoute')
    .list()
    .map((route) => nameText(gatewayOf(asRoute(route), defaultGateway)));
  const owners = childKindNames.flatMap((kind) => caches.of(kind).list()).flatMap(ownerOf);
  return [...new Set([...gateways, ...routes, ...owners])] as GatewayKey[]; // all come from nameText
}

const keyOf = ({metadata: {namespace = '', name}}: KubeObject): GatewayKey => `${namespace}/${name}`;

/** Calls `add` for each gateway that a change may mean something to. */
export function watchKeys({caches, defaultGateway, add}: Settings): void {
  const addAll = (keys: readonly string[]): void => {
    for (const key of new Set(keys)) add(key as GatewayKey); // as in allKeys
  };
  const gatewaysOf = (routes: readonly KubeObject[]): string[] =>
    routes.map((route) => nameText(gatewayOf(asRoute(route), defaultGateway)));
  const routes = caches.of('ModelRoute');
  /** A Service or its slices: a backend's, or the gateway's own, which has its name. */
  const ofService = (service: string): string[] => [
    ...gatewaysOf(routes.byIndex(byService, service)),
    ...(caches.of('ModelGateway').get(service) === undefined ? [] : [service]),
  ];

  routes.onChange((change) => {
    if (!isStatusOnly(change)) addAll(gatewaysOf(both(change)));
  });
  caches.of('ModelGateway').onChange((change) => {
    if (!isStatusOnly(change)) add(keyOf(change.object));
  });
  caches.of('Service').onChange(({key}) => addAll(ofService(key)));
  caches.of('EndpointSlice').onChange((change) => addAll(both(change).flatMap(servicesOf).flatMap(ofService)));
  caches.of('Secret').onChange(({key}) => addAll(gatewaysOf(routes.byIndex(bySecret, key))));
  caches.of('Namespace').onChange((change) => {
    if (!hasSameLabels(change)) addAll(gatewaysOf(routes.byIndex(byNamespace, change.key)));
  });
  for (const kind of childKindNames) caches.of(kind).onChange((change) => addAll(both(change).flatMap(ownerOf)));
}
