/** The status of one route. */
import type {RouteConfig} from '../../proxy/config/schema.ts';
import {
  accepted,
  noReadyEndpoints,
  noReadyProxies,
  notAccepted,
  pending,
  ready,
  resolvedRefs,
} from '../api/conditions.ts';
import type {Backend, BackendStatus, ModelRoute, ModelRouteStatus} from '../api/generated.ts';
import {countAddresses, countEndpoints, type SlicesByService} from './endpoint-counts.ts';
import type {FleetState} from './fleet.ts';
import {nameOf, nameText} from './metadata.ts';
import {claimsOf} from './name-conflicts.ts';
import type {Proxies} from './programmed.ts';
import {faultFinding, type Finding, toConditions} from './status-conditions.ts';
import {listText, shortened} from './text.ts';
import type {ObjectName, Problem} from './world.ts';

export type RouteContext = {
  gateway: ObjectName;
  url: string;
  /** Of this route. */
  problems: readonly Problem[];
  /** Unset: it is left out. */
  wanted: RouteConfig | undefined;
  slices: SlicesByService;
  proxies: Proxies;
  fleet: FleetState;
  now: string;
};

const generationOf = ({metadata}: ModelRoute): number => metadata.generation ?? 0;

/** A backend that is not resolved takes no requests, however many endpoints there are. */
const backendStatus = (
  {name, serviceRef}: Backend,
  namespace: string,
  {wanted, slices}: RouteContext,
): Required<BackendStatus> => {
  const target = wanted?.backends.find((backend) => backend.name === name)?.target;
  if (target !== undefined) return {name, ...countEndpoints(target, slices), resolved: true};
  const known = serviceRef === undefined ? 1 : countAddresses(nameText({namespace, name: serviceRef.name}), slices);
  return {name, endpoints: known, readyEndpoints: 0, resolved: false};
};

const acceptance = ({problems, gateway, fleet: {blocked}}: RouteContext): Finding => {
  const fault = faultFinding(problems.filter(({excludes}) => excludes !== 'Backend'));
  if (fault !== undefined) return fault;
  if (blocked?.type === 'Accepted') return {status: 'False', reason: blocked.reason, message: blocked.message};
  return {status: 'True', reason: accepted, message: `ModelGateway ${nameText(gateway)} takes it`};
};

const resolution = ({problems}: RouteContext): Finding =>
  faultFinding(problems.filter(({excludes}) => excludes === 'Backend')) ?? {
    status: 'True',
    reason: resolvedRefs,
    message: 'everything that its backends refer to was found',
  };

const notServed = ({reason}: Finding): Finding => ({
  status: 'False',
  reason: notAccepted,
  message: `not served, because it is not accepted (${reason}): see the condition Accepted`,
});

/** Its proxies may not look where its Services are. */
const outOfReach = (route: ModelRoute, {fleet, wanted}: RouteContext): Finding | undefined => {
  const {namespace} = nameOf(route);
  const place = fleet.elsewhere?.find((each) => each.namespace === namespace);
  const looks = wanted?.backends.some(({target}) => target.type === 'Service') === true;
  return place === undefined || !looks ? undefined : {status: 'False', reason: place.reason, message: place.message};
};

const programming = (route: ModelRoute, context: RouteContext): Finding => {
  const {wanted, proxies} = context;
  if (wanted === undefined)
    return {status: 'Unknown', reason: pending, message: 'the config that holds it is not made yet'};
  return outOfReach(route, context) ?? proxies.ofRoute(wanted, generationOf(route));
};

const withoutEndpoint = ({name, serviceRef}: Backend, counts: Required<BackendStatus>, namespace: string): string => {
  if (!counts.resolved) return `backend ${name} lacks what it refers to (see the condition ResolvedRefs)`;
  const service = `Service ${nameText({namespace, name: serviceRef?.name ?? ''})}`;
  const hint = counts.endpoints === 0 ? ': does its selector match pods, and are they scheduled?' : '';
  return `backend ${name}: ${service} has 0 of ${counts.endpoints} endpoints ready${hint}`;
};

type Found = {accepted: Finding; programmed: Finding; backends: readonly Required<BackendStatus>[]};

const readiness = (route: ModelRoute, found: Found, {gateway, url, proxies, fleet}: RouteContext): Finding => {
  const {namespace} = nameOf(route);
  const {programmed, backends} = found;
  if (found.accepted.status !== 'True') return notServed(found.accepted);
  if (proxies.ready === 0) {
    const named = `ModelGateway ${nameText(gateway)}`;
    const message = `no proxy of ${named} is ready, of ${fleet.replicas} that exist: see the conditions of ${named}`;
    return {status: 'False', reason: noReadyProxies, message};
  }
  if (programmed.status !== 'True') return programmed;
  if (backends.every(({readyEndpoints}) => readyEndpoints === 0)) {
    const why = route.spec.backends.flatMap((spec, index) => {
      const counts = backends[index];
      return counts === undefined ? [] : [withoutEndpoint(spec, counts, namespace)];
    });
    return {status: 'False', reason: noReadyEndpoints, message: listText(why, 3, '; ')};
  }
  const names = listText(claimsOf(route).map(({name}) => name));
  return {status: 'True', reason: ready, message: `${url} answers for ${names}`};
};

/** `readyEndpoints/endpoints` over all backends. */
const endpointsText = (backends: readonly Required<BackendStatus>[]): string => {
  const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
  const [up, known] = [backends.map((each) => each.readyEndpoints), backends.map((each) => each.endpoints)];
  return `${sum(up)}/${sum(known)}`;
};

const shownModels = 5;

const modelsText = (route: ModelRoute): string =>
  shortened(
    listText(
      claimsOf(route).map(({name}) => name),
      shownModels,
      ',',
    ),
    longestModels,
  );

/** Of the schema. */
const longestModels = 1024;

export const routeStatus = (route: ModelRoute, context: RouteContext): ModelRouteStatus => {
  const {namespace} = nameOf(route);
  const backends = route.spec.backends.map((spec) => backendStatus(spec, namespace, context));
  const acceptedFinding = acceptance(context);
  const isAccepted = acceptedFinding.status === 'True';
  const programmed = isAccepted ? programming(route, context) : notServed(acceptedFinding);
  const findings = {
    Accepted: acceptedFinding,
    ResolvedRefs: resolution(context),
    Programmed: programmed,
    Ready: readiness(route, {accepted: acceptedFinding, programmed, backends}, context),
  };
  const generation = generationOf(route);
  return {
    observedGeneration: generation,
    ...(isAccepted ? {url: context.url} : {}),
    models: modelsText(route),
    endpoints: endpointsText(backends),
    backends,
    conditions: toConditions(findings, {generation, present: route.status?.conditions, now: context.now}),
  };
};
