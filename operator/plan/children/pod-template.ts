/**
 * The pods of a fleet. Nothing of routes, config or credentials is in here: these reach a running proxy, and a pod is replaced only when the
 * template changes.
 */
import type {GatewayPod, ModelGateway} from '../../api/generated.ts';
import {gatewaySettings} from '../gateway-settings.ts';
import {childLabels} from '../labels.ts';
import {nameOf, nameText} from '../metadata.ts';
import {computeResources} from './compute-resources.ts';
import type {ChildrenInput} from './input.ts';
import {configName, credentialsName} from './names.ts';
import {adminPort, adminPortName, callerPort, callerPortName} from './ports.ts';
import {topologyOf} from './topology.ts';

/** Nobody in particular, with no entry in a passwd file. */
const user = 65_532;

/** A proxy that stops is taken off the lists of endpoints first, which takes this long to get around. */
const leaveSeconds = 5;
/** For closing connections and writing the last logs. */
const spareSeconds = 10;

const ownerAndGroupRead = 0o440;

const volumes = (gateway: string): object[] => [
  {name: 'config', configMap: {name: configName(gateway)}},
  {name: 'credentials', secret: {secretName: credentialsName(gateway), defaultMode: ownerAndGroupRead}},
  {name: 'state', emptyDir: {sizeLimit: '64Mi'}},
];

const volumeMounts = [
  {name: 'config', mountPath: '/etc/modelroute/config', readOnly: true},
  {name: 'credentials', mountPath: '/etc/modelroute/credentials', readOnly: true},
  {name: 'state', mountPath: '/var/lib/modelroute'},
];

const podSecurity = {
  runAsNonRoot: true,
  runAsUser: user,
  runAsGroup: user,
  fsGroup: user,
  seccompProfile: {type: 'RuntimeDefault'},
};

const containerSecurity = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: {drop: ['ALL']},
};

const readinessProbe = {
  httpGet: {path: '/readyz', port: adminPortName},
  periodSeconds: 1,
  timeoutSeconds: 3,
  failureThreshold: 3,
};

/** A proxy that is merely busy must not be killed: it takes a minute without any answer, and then it will not drain either. */
const livenessProbe = {
  httpGet: {path: '/livez', port: adminPortName},
  periodSeconds: 10,
  timeoutSeconds: 10,
  failureThreshold: 6,
  terminationGracePeriodSeconds: 30,
};

const environment = (gateway: ModelGateway): object[] => [
  {name: 'MODELROUTE_GATEWAY', value: nameText(nameOf(gateway))},
  {name: 'MODELROUTE_POD_IP', valueFrom: {fieldRef: {fieldPath: 'status.podIP'}}},
];

const containerOf = ({gateway, proxyImage, imagePullPolicy}: ChildrenInput, pod: GatewayPod): object => ({
  name: 'proxy',
  image: pod.image ?? proxyImage,
  imagePullPolicy,
  args: ['proxy'],
  env: environment(gateway),
  ports: [
    {name: callerPortName, containerPort: callerPort, protocol: 'TCP'},
    {name: adminPortName, containerPort: adminPort, protocol: 'TCP'},
  ],
  resources: computeResources(pod.resources),
  securityContext: containerSecurity,
  readinessProbe,
  livenessProbe,
  volumeMounts,
});

const terminationGraceSeconds = ({spec}: ModelGateway): number =>
  leaveSeconds + Math.ceil(gatewaySettings(spec).limits.drainPeriodMs / 1000) + spareSeconds;

const placement = ({nodeSelector, tolerations, priorityClassName, imagePullSecrets}: GatewayPod): object => ({
  ...(nodeSelector !== undefined && {nodeSelector}),
  ...(tolerations !== undefined && {tolerations}),
  ...(priorityClassName !== undefined && {priorityClassName}),
  ...(imagePullSecrets !== undefined && {imagePullSecrets}),
});

/** A PodTemplateSpec that Pod Security's `restricted` admits. */
export const podTemplate = (input: ChildrenInput): {metadata: object; spec: object} => {
  const {gateway} = input;
  const {pod = {}} = gateway.spec;
  const {annotations} = pod;
  return {
    metadata: {
      labels: {...pod.labels, ...childLabels(nameOf(gateway))},
      ...(annotations !== undefined && {annotations}),
    },
    spec: {
      serviceAccountName: gateway.metadata.name,
      automountServiceAccountToken: true,
      enableServiceLinks: false, // a Service named modelroute would write into our environment
      securityContext: podSecurity,
      terminationGracePeriodSeconds: terminationGraceSeconds(gateway),
      containers: [containerOf(input, pod)],
      volumes: volumes(gateway.metadata.name),
      ...topologyOf(pod.topologySpread, nameOf(gateway)),
      ...placement(pod),
    },
  };
};
