/** Which gateway a route belongs to. */
import type {ModelGateway, ModelRoute} from '../api/generated.ts';
import {nameOf, nameText} from './metadata.ts';
import type {ObjectName} from './world.ts';

/** The gateway that is there without being written down: one per namespace that has routes. */
export const defaultGatewayName = 'models';

export const gatewayOf = (route: ModelRoute): ObjectName => ({
  namespace: route.spec.gatewayRef?.namespace ?? nameOf(route).namespace,
  name: route.spec.gatewayRef?.name ?? defaultGatewayName,
});

/**
 * The gateways that `routes` belong to, in order of appearance. Without any route it is the one gateway that is written down,
 * else the one that a namespace has by itself.
 */
export const gatewayNames = (routes: readonly ModelRoute[], gateways: readonly ModelGateway[]): ObjectName[] => {
  const named = new Map(routes.map(gatewayOf).map((name) => [nameText(name), name]));
  if (named.size > 0) return [...named.values()];
  const [only, ...others] = gateways;
  return [only !== undefined && others.length === 0 ? nameOf(only) : {namespace: 'default', name: defaultGatewayName}];
};
