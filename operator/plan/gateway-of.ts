/** Which gateway a route belongs to. */
import type {ModelGateway, ModelRoute} from '../api/generated.ts';
import {isSameObject, nameOf, nameText} from './metadata.ts';
import type {ObjectName} from './world.ts';

/** The gateway that is there without being written down: one per namespace that has routes. */
export const defaultGatewayName = 'models';

/** `defaultGateway` is that of routes without gatewayRef; unset: `models` in their own namespace. */
export const gatewayOf = (route: ModelRoute, defaultGateway?: ObjectName): ObjectName => {
  const {namespace} = nameOf(route);
  const {gatewayRef} = route.spec;
  if (gatewayRef !== undefined) return {namespace: gatewayRef.namespace ?? namespace, name: gatewayRef.name};
  return defaultGateway ?? {namespace, name: defaultGatewayName};
};

/** Whether the gateway of `route` is there by itself, without anybody writing it down. */
export const isMadeOnDemand = (route: ModelRoute, defaultGateway?: ObjectName): boolean => {
  const gateway = gatewayOf(route, defaultGateway);
  if (defaultGateway !== undefined && isSameObject(gateway, defaultGateway)) return false;
  return isSameObject(gateway, {namespace: nameOf(route).namespace, name: defaultGatewayName});
};

/**
 * The gateways that `routes` belong to, in order of appearance. Without any route it is the one gateway that is written down,
 * else the one that a namespace has by itself.
 */
export const gatewayNames = (routes: readonly ModelRoute[], gateways: readonly ModelGateway[]): ObjectName[] => {
  const names = routes.map((route) => gatewayOf(route));
  const named = new Map(names.map((name) => [nameText(name), name]));
  if (named.size > 0) return [...named.values()];
  const [only, ...others] = gateways;
  return [only !== undefined && others.length === 0 ? nameOf(only) : {namespace: 'default', name: defaultGatewayName}];
};
