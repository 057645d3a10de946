/** The plan: from what is wanted to what a proxy serves. Pure; the same world always comes to the same config. */
import {type BackendConfig, formatVersion, type GatewayConfig, type RouteConfig} from '../../proxy/config/schema.ts';
import {modelNameConflict} from '../api/conditions.ts';
import type {ModelGateway, ModelRoute, Resource} from '../api/generated.ts';
import {attachRefusal} from './attach.ts';
import {planBackend} from './backend.ts';
import {gatewayOf} from './gateway-of.ts';
import {gatewaySettings} from './gateway-settings.ts';
import {isSameObject, nameOf, nameText} from './metadata.ts';
import {claimsOf, nameConflicts} from './name-conflicts.ts';
import {routePolicy} from './policy.ts';
import {unsupportedIn} from './unsupported.ts';
import type {Plan, Problem, World} from './world.ts';

type PlannedRoute = {config: RouteConfig; credentials: [string, string][]; problems: Problem[]};

const objectOf = (object: Resource): Problem['object'] => ({kind: object.kind, ...nameOf(object)});

const planRoute = (route: ModelRoute, world: World, gateway: ModelGateway | undefined): PlannedRoute => {
  const {namespace, name} = nameOf(route);
  const {timeouts, ...policy} = routePolicy(route.spec, gateway?.spec.defaults);
  const problems = unsupportedIn(route);
  const isExcluded = (index: number): boolean =>
    problems.some(({path, excludes}) => excludes === 'Backend' && path[2] === index);
  const backends: BackendConfig[] = [];
  const credentials: [string, string][] = [];
  for (const [index, spec] of route.spec.backends.entries()) {
    const {planned, faults} = planBackend(spec, {namespace, timeouts, world});
    if (planned !== undefined && !isExcluded(index)) {
      backends.push(planned.backend);
      credentials.push(...planned.credentials);
    }
    for (const {path, reason, message} of faults) {
      const place = ['spec', 'backends', index, ...path];
      problems.push({object: objectOf(route), path: place, reason, message, excludes: 'Backend'});
    }
  }
  const modelNames = claimsOf(route).map((claim) => claim.name);
  const config = {name, namespace, generation: route.metadata.generation ?? 0, modelNames, backends, ...policy};
  return {config, credentials, problems};
};

/** What keeps a route out whatever its backends are: the gateway does not take it, or an older route has its name. */
const admissionProblems = (
  routes: readonly ModelRoute[],
  gateway: ModelGateway | undefined,
  world: World,
): Map<ModelRoute, Problem> => {
  const problems = new Map<ModelRoute, Problem>();
  for (const route of routes) {
    const refusal = attachRefusal(route, gateway, world);
    if (refusal !== undefined) problems.set(route, {object: objectOf(route), ...refusal, excludes: 'Route'});
  }
  const attached = routes.filter((route) => !problems.has(route));
  for (const {loser, path, message} of nameConflicts(attached)) {
    problems.set(loser, {object: objectOf(loser), path, reason: modelNameConflict, message, excludes: 'Route'});
  }
  return problems;
};

const byName = (a: RouteConfig, b: RouteConfig): number => {
  const [left, right] = [nameText(a), nameText(b)];
  if (left === right) return 0;
  return left < right ? -1 : 1;
};

/**
 * One gateway's config and credentials, and what is wrong with what was asked for. What cannot be resolved leaves out that
 * backend or that route alone; a route all of whose backends are left out stays, so that callers hear that none is available
 * and not that the model does not exist.
 */
export const plan = (world: World): Plan => {
  const gateway = world.gateways.find((candidate) => isSameObject(nameOf(candidate), world.gateway));
  const routes = world.routes.filter((route) => isSameObject(gatewayOf(route, world.defaultGateway), world.gateway));
  const admission = admissionProblems(routes, gateway, world);
  const problems = gateway === undefined ? [] : unsupportedIn(gateway);
  const served: PlannedRoute[] = [];
  for (const route of routes) {
    const planned = planRoute(route, world, gateway);
    const refusal = admission.get(route);
    const all = [...(refusal === undefined ? [] : [refusal]), ...planned.problems];
    problems.push(...all);
    if (all.every(({excludes}) => excludes !== 'Route')) served.push(planned);
  }
  const config: GatewayConfig = {
    formatVersion,
    gateway: {...world.gateway, generation: gateway?.metadata.generation ?? 0},
    ...gatewaySettings(gateway?.spec),
    routes: served.map((planned) => planned.config).sort(byName),
  };
  return {config, credentials: new Map(served.flatMap(({credentials}) => credentials)), problems};
};
