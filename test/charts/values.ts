/** Values as people have them: every test that goes through several takes these. */
import type {Values} from './helm.ts';

export const everything: Values = {
  image: {registry: 'registry.example:5000', repository: 'platform/modelroute', tag: 'v0.1.0', pullPolicy: 'Always'},
  imagePullSecrets: [{name: 'registry'}],
  proxy: {image: 'registry.example:5000/platform/proxy:v1'},
  replicas: 3,
  defaultGateway: 'platform/shared',
  logLevel: 'debug',
  serviceAccount: {name: 'routes', annotations: {'example.com/role': 'operator'}},
  metrics: {
    serviceMonitor: {enabled: true, interval: '30s', labels: {release: 'prometheus'}},
    podMonitor: {enabled: true, interval: '1m30s', labels: {release: 'prometheus'}},
  },
  resources: {requests: {cpu: 1, memory: '1Gi'}, limits: {cpu: '2', memory: '1Gi'}},
  podDisruptionBudget: {maxUnavailable: '50%'},
  topologySpreadConstraints: [
    {maxSkew: 1, topologyKey: 'topology.kubernetes.io/zone', whenUnsatisfiable: 'DoNotSchedule'},
    {
      maxSkew: 2,
      topologyKey: 'kubernetes.io/hostname',
      whenUnsatisfiable: 'ScheduleAnyway',
      labelSelector: {matchLabels: {tier: 'control'}},
    },
  ],
  affinity: {
    podAntiAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: [
        {topologyKey: 'kubernetes.io/hostname', labelSelector: {matchLabels: {'app.kubernetes.io/name': 'modelroute'}}},
      ],
    },
  },
  nodeSelector: {'kubernetes.io/os': 'linux'},
  tolerations: [{key: 'control', operator: 'Exists', effect: 'NoSchedule'}],
  priorityClassName: 'system-cluster-critical',
  podAnnotations: {'example.com/scrape': 'true'},
  podLabels: {tier: 'control'},
  extraLabels: {team: 'platform'},
  extraEnv: [
    {name: 'HTTPS_PROXY', value: 'http://proxy.example:3128'},
    {name: 'NODE_IP', valueFrom: {fieldRef: {fieldPath: 'status.hostIP'}}},
  ],
  extraVolumes: [{name: 'cache', emptyDir: {}}],
  extraVolumeMounts: [{name: 'cache', mountPath: '/cache'}],
  extraObjects: [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: {name: 'extra-map', namespace: '{{ .Release.Namespace }}'},
      data: {release: '{{ .Release.Name }}'},
    },
    'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: extra-text\n  namespace: {{ .Release.Namespace }}\n',
  ],
  nameOverride: 'routes',
};

export const someNamespaces: Values = {
  watchNamespaces: ['team-a', 'team-b'],
  defaultGateway: 'team-b/shared',
  metrics: {podMonitor: {enabled: true}},
};

/** The release's own namespace is one of those watched. */
export const ownNamespace: Values = {watchNamespaces: ['modelroute-system', 'team-a']};

export const least: Values = {
  image: {registry: '', digest: `sha256:${'0123456789abcdef'.repeat(4)}`},
  replicas: 1,
  rbac: {aggregate: false},
  serviceAccount: {create: false},
  resources: {},
  podDisruptionBudget: {enabled: false},
  topologySpreadConstraints: [],
  fullnameOverride: 'operator',
};

export const combinations: [string, Values][] = [
  ['as they are', {}],
  ['with everything', everything],
  ['with some namespaces', someNamespaces],
  ['with some namespaces, its own among them', ownNamespace],
  ['with the least', least],
  ['as a part of another chart', {global: {team: 'platform'}}],
];
