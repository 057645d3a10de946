/** What a config would take away while it is not known yet where its Services are. */
import {serviceKey, type EndpointTable} from '../config/endpoint.ts';
import {routeName, type BackendTarget, type GatewayConfig, type RouteConfig} from '../config/schema.ts';

export type Knowledge = {
  endpoints: EndpointTable;
  /** What endpoints it has, or that it has none. */
  isKnown: (service: Extract<BackendTarget, {type: 'Service'}>) => boolean;
};

const hasSome = (route: RouteConfig, test: (target: BackendTarget) => boolean): boolean =>
  route.backends.some(({target}) => test(target));

/** Names of routes of both configs that have somewhere to go by `now`, and by `next` nothing but Services of which nothing is known. */
export function strandedRoutes(now: GatewayConfig, next: GatewayConfig, {endpoints, isKnown}: Knowledge): string[] {
  const isServed = (target: BackendTarget): boolean =>
    target.type === 'Url' || (endpoints.get(serviceKey(target))?.length ?? 0) > 0;
  const canBeServed = (target: BackendTarget): boolean =>
    target.type === 'Url' || endpoints.has(serviceKey(target)) || isKnown(target);
  const served = new Set(now.routes.filter((route) => hasSome(route, isServed)).map(routeName));
  return next.routes.filter((route) => served.has(routeName(route)) && !hasSome(route, canBeServed)).map(routeName);
}
