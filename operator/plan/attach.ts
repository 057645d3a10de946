/** Whether a gateway lets a route attach. */
import {gatewayNotFound, notAllowedByGateway, unsupportedValue} from '../api/conditions.ts';
import type {ModelGateway, ModelRoute} from '../api/generated.ts';
import {defaultGatewayName, gatewayOf} from './gateway-of.ts';
import {nameOf, nameText} from './metadata.ts';
import {covers} from './model-names.ts';
import {claimsOf} from './name-conflicts.ts';
import type {Problem} from './world.ts';

type Refusal = Pick<Problem, 'path' | 'reason' | 'message'>;

const gatewayIsMissing = (route: ModelRoute): Refusal | undefined => {
  const gateway = gatewayOf(route);
  const isMadeOnDemand = gateway.name === defaultGatewayName && gateway.namespace === nameOf(route).namespace;
  if (isMadeOnDemand) return undefined;
  const message = `there is no ModelGateway ${nameText(gateway)}: add one, or remove gatewayRef to use the namespace's own`;
  return {path: ['spec', 'gatewayRef', 'name'], reason: gatewayNotFound, message};
};

const namespaceIsNotAllowed = (route: ModelRoute, gateway: ModelGateway): Refusal | undefined => {
  const {namespace} = nameOf(route);
  const owner = nameOf(gateway);
  const from = gateway.spec.allowedRoutes?.namespaces?.from ?? 'Same';
  if (namespace === owner.namespace || from === 'All') return undefined;
  const path = ['spec', 'gatewayRef', 'namespace'];
  if (from === 'Selector') {
    const message = `ModelGateway ${nameText(owner)} chooses namespaces by their labels, which is not supported yet: use from: All`;
    return {path, reason: unsupportedValue, message};
  }
  const message =
    `ModelGateway ${nameText(owner)} takes no routes of namespace ${namespace}: ` +
    'set its spec.allowedRoutes.namespaces.from to All, or remove gatewayRef';
  return {path, reason: notAllowedByGateway, message};
};

const modelNameIsNotAllowed = (route: ModelRoute, gateway: ModelGateway): Refusal | undefined => {
  const allowed = gateway.spec.allowedRoutes?.modelNames;
  if (allowed === undefined) return undefined;
  const refused = claimsOf(route).find(({name}) => !allowed.some((pattern) => covers(pattern, name)));
  if (refused === undefined) return undefined;
  const message =
    `ModelGateway ${nameText(nameOf(gateway))} does not allow the model name "${refused.name}": ` +
    `use one under ${allowed.join(', ')}, or add it to its spec.allowedRoutes.modelNames`;
  return {path: refused.path, reason: notAllowedByGateway, message};
};

/** Why `route` may not attach to the gateway that it names, `undefined` if it may. `gateway` is unset if nobody wrote one. */
export const attachRefusal = (route: ModelRoute, gateway: ModelGateway | undefined): Refusal | undefined => {
  if (gateway === undefined) return gatewayIsMissing(route);
  return namespaceIsNotAllowed(route, gateway) ?? modelNameIsNotAllowed(route, gateway);
};
