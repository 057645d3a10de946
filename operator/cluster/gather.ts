/** All reads of a reconcile: from synced caches to what the plan is made of. */
import type {EndpointSlice} from '../../proxy/config/endpoint.ts';
import {readSlice, serviceLabel} from '../../proxy/config/slice.ts';
import type {KubeObject} from '../../kube/objects.ts';
import type {IndexFunction} from '../../kube/store-index.ts';
import type {ModelGateway, ModelRoute} from '../api/generated.ts';
import {gatewayOf} from '../plan/gateway-of.ts';
import {gatewayLabel, gatewayNamespaceLabel} from '../plan/labels.ts';
import {nameOf, nameText} from '../plan/metadata.ts';
import {referencesOf} from '../plan/references.ts';
import type {ObjectName, SecretValue, ServiceValue, World} from '../plan/world.ts';
import type {Caches} from './caches.ts';
import {childKindNames} from './kinds.ts';
import {readSecretObject, readService} from './read-objects.ts';

export type Gathered = {
  name: ObjectName;
  gateway: ModelGateway | undefined;
  /** All that name this gateway and are not being deleted. */
  routes: readonly ModelRoute[];
  world: World;
  /** Whatever carries the labels of this gateway, in all namespaces. */
  children: readonly KubeObject[];
  /** Of the gateway's own Service. */
  proxySlices: readonly EndpointSlice[];
};

export type Gather = (name: ObjectName) => Gathered;

/** Whether an object that was gathered is still there as it was, but for its status and metadata. */
export type IsCurrent = (object: ModelRoute | ModelGateway) => boolean;

export const byGateway = 'byGateway';
export const bySecret = 'bySecret';
export const byService = 'byService';
export const byNamespace = 'byNamespace';

/** The API server has held them against the CRD's schema. */
export const asRoute = (object: KubeObject): ModelRoute => object as unknown as ModelRoute;
export const asGateway = (object: KubeObject): ModelGateway => object as unknown as ModelGateway;

/** The gateway whose labels it carries, if any. */
export const ownerOf = ({metadata: {labels = {}}}: KubeObject): string[] => {
  const [name, namespace] = [labels[gatewayLabel], labels[gatewayNamespaceLabel]];
  return name === undefined || namespace === undefined ? [] : [nameText({namespace, name})];
};

/** The Service whose slice it is. */
export const servicesOf: IndexFunction<KubeObject> = ({metadata: {namespace = '', labels = {}}}) => {
  const service = labels[serviceLabel];
  return service === undefined ? [] : [nameText({namespace, name: service})];
};

/** For {@link Caches}, by kind. */
export function indexes(
  defaultGateway: ObjectName | undefined,
): Readonly<Record<string, Readonly<Record<string, IndexFunction<KubeObject>>>>> {
  const children = Object.fromEntries(childKindNames.map((kind) => [kind, {[byGateway]: ownerOf}]));
  return {
    ...children,
    EndpointSlice: {[byService]: servicesOf},
    ModelRoute: {
      [byGateway]: (object) => [nameText(gatewayOf(asRoute(object), defaultGateway))],
      [bySecret]: (object) => referencesOf(asRoute(object)).secrets,
      [byService]: (object) => referencesOf(asRoute(object)).services,
      [byNamespace]: ({metadata: {namespace = ''}}) => [namespace],
    },
  };
}

const isHere = ({metadata}: KubeObject): boolean => metadata.deletionTimestamp === undefined;

const found = <T>(caches: Caches, kind: string, keys: readonly string[], read: (object: KubeObject) => T): T[] =>
  [...new Set(keys)].flatMap((key) => {
    const object = caches.of(kind).get(key);
    return object === undefined ? [] : [read(object)];
  });

export const createIsCurrent =
  (caches: Caches): IsCurrent =>
  (object) => {
    const {uid, generation} = caches.of(object.kind).get(nameText(nameOf(object)))?.metadata ?? {};
    return uid === object.metadata.uid && generation === object.metadata.generation;
  };

export function createGather(
  caches: Caches,
  settings: Pick<World, 'defaultGateway' | 'faultsInTls' | 'watchedNamespaces'>,
): Gather {
  const labelsOf = (routes: readonly ModelRoute[]): NonNullable<World['namespaceLabels']> =>
    new Map(
      [...new Set(routes.map((route) => nameOf(route).namespace))].map((namespace) => [
        namespace,
        caches.of('Namespace').get(namespace)?.metadata.labels ?? {},
      ]),
    );
  const slicesOf = (services: readonly string[]): EndpointSlice[] =>
    [...new Set(services)]
      .flatMap((service) => caches.of('EndpointSlice').byIndex(byService, service))
      .map(readSlice)
      .flatMap((read) => ('slice' in read ? [read.slice] : [])); // the proxies tell of the others

  return (name) => {
    const key = nameText(name);
    const gatewayObject = caches.of('ModelGateway').get(key);
    const gateway = gatewayObject === undefined ? undefined : asGateway(gatewayObject);
    const routes = caches.of('ModelRoute').byIndex(byGateway, key).filter(isHere).map(asRoute);
    const references = routes.map(referencesOf);
    const services = references.flatMap((reference) => reference.services);
    const world: World = {
      ...settings,
      gateway: name,
      gateways: gateway === undefined ? [] : [gateway],
      routes,
      secrets: found<SecretValue>(
        caches,
        'Secret',
        references.flatMap(({secrets}) => secrets),
        readSecretObject,
      ),
      services: found<ServiceValue>(caches, 'Service', services, readService),
      slices: slicesOf(services),
      ...(settings.watchedNamespaces === undefined && {namespaceLabels: labelsOf(routes)}),
    };
    const children = childKindNames.flatMap((kind) => caches.of(kind).byIndex(byGateway, key));
    return {name, gateway, routes, world, children, proxySlices: slicesOf([key])};
  };
}
