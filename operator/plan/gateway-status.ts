/** The status of a gateway. */
import {accepted, noReadyProxies, notAccepted, ready, resolvedRefs} from '../api/conditions.ts';
import type {ModelGateway, ModelGatewayStatus} from '../api/generated.ts';
import type {FleetState} from './fleet.ts';
import {podSelector} from './labels.ts';
import {nameOf} from './metadata.ts';
import type {Proxies} from './programmed.ts';
import {faultFinding, type Finding, toConditions} from './status-conditions.ts';
import type {ObjectName, Problem} from './world.ts';

export type GatewayContext = {
  url: string;
  /** Of this gateway. */
  problems: readonly Problem[];
  /** Routes that are accepted. */
  routes: number;
  proxies: Proxies;
  fleet: FleetState;
  now: string;
};

const callersPort = 80;

/** What callers in the cluster use: the gateway's Service has its name. */
export const gatewayUrl = ({namespace, name}: ObjectName, gateway: ModelGateway | undefined): string => {
  const port = gateway?.spec.service?.port ?? callersPort;
  return `http://${name}.${namespace}${port === callersPort ? '' : `:${port}`}/v1`;
};

/** As the scale subresource has it, for autoscalers. */
const selectorText = (gateway: ObjectName): string =>
  Object.entries(podSelector(gateway))
    .map(([key, value]) => `${key}=${value}`)
    .join(',');

/** What a gateway asks for in vain leaves nothing else out. */
const acceptance = ({problems, fleet: {blocked}}: GatewayContext): Finding => {
  if (blocked?.type === 'Accepted') return {status: 'False', reason: blocked.reason, message: blocked.message};
  const fault = faultFinding(problems);
  if (fault !== undefined) return {...fault, message: `${fault.message}. Everything else is in effect`};
  return {status: 'True', reason: accepted, message: 'everything that it says is in effect'};
};

const readiness = (gateway: ModelGateway, {proxies, fleet}: GatewayContext): Finding => {
  if (proxies.ready > 0) {
    const message = `${proxies.ready} ${proxies.ready === 1 ? 'proxy is' : 'proxies are'} ready`;
    return {status: 'True', reason: ready, message};
  }
  const isScaledDown = gateway.spec.replicas === 0 && gateway.spec.autoscaling === undefined;
  const name = nameOf(gateway);
  const hint = isScaledDown
    ? 'spec.replicas is 0'
    : `look at its pods with kubectl -n ${name.namespace} describe pods -l ${selectorText(name)}`;
  const message = `no proxy is ready, of ${fleet.replicas} that exist: ${hint}`;
  return {status: 'False', reason: noReadyProxies, message};
};

const notServed = (reason: string): Finding => ({
  status: 'False',
  reason: notAccepted,
  message: `it is not made as it says, because it is not accepted (${reason}): see the condition Accepted`,
});

export const gatewayStatus = (gateway: ModelGateway, context: GatewayContext): ModelGatewayStatus => {
  const {url, routes, proxies, fleet, now} = context;
  const generation = gateway.metadata.generation ?? 0;
  const isBlocked = fleet.blocked?.type === 'Accepted';
  const acceptedFinding = acceptance(context);
  const findings = {
    Accepted: acceptedFinding,
    ResolvedRefs: {status: 'True', reason: resolvedRefs, message: 'a gateway refers to nothing that could be missing'},
    Programmed: isBlocked ? notServed(acceptedFinding.reason) : proxies.ofGateway(generation),
    Ready: isBlocked ? notServed(acceptedFinding.reason) : readiness(gateway, context),
  } as const;
  return {
    observedGeneration: generation,
    ...(isBlocked ? {} : {url}),
    replicas: fleet.replicas,
    readyReplicas: fleet.readyReplicas,
    selector: selectorText(nameOf(gateway)),
    configHash: fleet.wantedHash,
    loadedReplicas: proxies.loaded,
    routes,
    conditions: toConditions(findings, {generation, present: gateway.status?.conditions, now}),
  };
};
