/** Whether a gateway lets a route attach. */
import {gatewayNotFound, notAllowedByGateway, refNotPermitted} from '../api/conditions.ts';
import type {ModelGateway, ModelRoute} from '../api/generated.ts';
import {gatewayOf, isMadeOnDemand} from './gateway-of.ts';
import {isSameObject, nameOf, nameText} from './metadata.ts';
import {covers} from './model-names.ts';
import {claimsOf} from './name-conflicts.ts';
import {labelsOfNamespace, matchesSelector} from './selector.ts';
import {listText} from './text.ts';
import type {Problem, World} from './world.ts';

type Refusal = Pick<Problem, 'path' | 'reason' | 'message'>;

export type AttachContext = Pick<World, 'namespaceLabels' | 'defaultGateway' | 'watchedNamespaces'>;

const gatewayIsMissing = (
  route: ModelRoute,
  {defaultGateway, watchedNamespaces}: AttachContext,
): Refusal | undefined => {
  if (isMadeOnDemand(route, defaultGateway)) return undefined;
  const gateway = gatewayOf(route, defaultGateway);
  const named = `ModelGateway ${nameText(gateway)}`;
  if (defaultGateway !== undefined && isSameObject(gateway, defaultGateway)) {
    const message = `there is no ${named}, which routes without gatewayRef go to: add it, or name another in spec.gatewayRef`;
    return {path: ['spec', 'gatewayRef'], reason: gatewayNotFound, message};
  }
  if (watchedNamespaces?.includes(gateway.namespace) === false) {
    const message =
      `${named} is in a namespace that this operator does not watch: ` +
      `use one of ${listText(watchedNamespaces)}, or remove gatewayRef`;
    return {path: ['spec', 'gatewayRef', 'namespace'], reason: refNotPermitted, message};
  }
  const own = defaultGateway === undefined ? "the namespace's own" : nameText(defaultGateway);
  const message = `there is no ${named}: add one, or remove gatewayRef to use ${own}`;
  return {path: ['spec', 'gatewayRef', 'name'], reason: gatewayNotFound, message};
};

type Admission = {isAllowed: boolean; remedy: string};

/** The selector alone decides, for the gateway's own namespace too. */
const admissionOf = (namespace: string, gateway: ModelGateway, {namespaceLabels}: AttachContext): Admission => {
  const {from = 'Same', selector} = gateway.spec.allowedRoutes?.namespaces ?? {};
  if (from === 'Selector' && selector !== undefined) {
    const isAllowed = matchesSelector(selector, labelsOfNamespace(namespace, namespaceLabels));
    return {isAllowed, remedy: 'give the namespace labels that its spec.allowedRoutes.namespaces.selector matches'};
  }
  const isAllowed = from === 'All' || namespace === nameOf(gateway).namespace;
  return {isAllowed, remedy: 'set its spec.allowedRoutes.namespaces.from to All'};
};

const namespaceIsNotAllowed = (
  route: ModelRoute,
  gateway: ModelGateway,
  context: AttachContext,
): Refusal | undefined => {
  const {namespace} = nameOf(route);
  const {isAllowed, remedy} = admissionOf(namespace, gateway, context);
  if (isAllowed) return undefined;
  const {gatewayRef} = route.spec;
  const message =
    `ModelGateway ${nameText(nameOf(gateway))} takes no routes of namespace ${namespace}: ` +
    `${remedy}, or ${gatewayRef === undefined ? 'name another in spec.gatewayRef' : 'remove gatewayRef'}`;
  return {path: ['spec', 'gatewayRef', 'namespace'], reason: notAllowedByGateway, message};
};

const modelNameIsNotAllowed = (route: ModelRoute, gateway: ModelGateway): Refusal | undefined => {
  const allowed = gateway.spec.allowedRoutes?.modelNames;
  if (allowed === undefined) return undefined;
  const refused = claimsOf(route).find(({name}) => !allowed.some((pattern) => covers(pattern, name)));
  if (refused === undefined) return undefined;
  const message =
    `ModelGateway ${nameText(nameOf(gateway))} does not allow the model name "${refused.name}": ` +
    `use one under ${listText(allowed)}, or add it to its spec.allowedRoutes.modelNames`;
  return {path: refused.path, reason: notAllowedByGateway, message};
};

/** Why `route` may not attach to the gateway that it names, `undefined` if it may. `gateway` is unset if nobody wrote one. */
export const attachRefusal = (
  route: ModelRoute,
  gateway: ModelGateway | undefined,
  context: AttachContext,
): Refusal | undefined => {
  if (gateway === undefined) return gatewayIsMissing(route, context);
  return namespaceIsNotAllowed(route, gateway, context) ?? modelNameIsNotAllowed(route, gateway);
};
