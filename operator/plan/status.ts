/** What people are told: the statuses of a gateway and of its routes. Pure: the same input, with the statuses it led to, leads to them again. */
import {routeName} from '../../proxy/config/schema.ts';
import type {ModelRouteStatus} from '../api/generated.ts';
import {slicesByService} from './endpoint-counts.ts';
import type {StatusInput, StatusPlan} from './fleet.ts';
import {gatewayStatus, gatewayUrl} from './gateway-status.ts';
import {nameOf, nameText} from './metadata.ts';
import {proxiesOf} from './programmed.ts';
import {routeStatus} from './route-status.ts';
import type {Problem} from './world.ts';

const problemKey = ({kind, namespace, name}: Problem['object']): string => `${kind} ${nameText({namespace, name})}`;

const isAccepted = ({conditions = []}: ModelRouteStatus): boolean =>
  conditions.some(({type, status}) => type === 'Accepted' && status === 'True');

export const planStatus = ({gateway, routes, problems, config, slices, fleet, now}: StatusInput): StatusPlan => {
  const owner = config.gateway;
  const url = gatewayUrl(owner, gateway);
  const proxies = proxiesOf(fleet, config);
  const problemsOf = Map.groupBy(problems, ({object}) => problemKey(object));
  const wanted = new Map(config.routes.map((route) => [routeName(route), route]));
  const shared = {gateway: owner, url, proxies, fleet, now, slices: slicesByService(slices)};
  const statuses = new Map(
    routes.map((route) => {
      const name = nameOf(route);
      const context = {
        ...shared,
        problems: problemsOf.get(problemKey({kind: route.kind, ...name})) ?? [],
        wanted: wanted.get(nameText(name)),
      };
      return [nameText(name), routeStatus(route, context)];
    }),
  );
  const attached = [...statuses.values()].filter(isAccepted).length;
  return {
    gateway:
      gateway &&
      gatewayStatus(gateway, {
        url,
        proxies,
        fleet,
        now,
        problems: problemsOf.get(problemKey({kind: gateway.kind, ...nameOf(gateway)})) ?? [],
        routes: attached,
      }),
    routes: statuses,
  };
};
