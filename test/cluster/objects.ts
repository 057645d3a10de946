/** Objects that the tests on a cluster apply. */

export type KubernetesObject = {
  apiVersion: string;
  kind: string;
  metadata: {name: string; [member: string]: unknown};
  [member: string]: unknown;
};

export const productImage = 'localhost/modelroute:test';
const modelServerImage = 'localhost/model-server:test';

export const backendPort = 8000;

const restricted = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: {drop: ['ALL']},
};

type ServerPods = {name: string; replicas: number; image: string; args?: string[]};

/**
 * A pod that is to go serves what it has for some seconds more, as every model server should be set up: it ends on SIGTERM at once,
 * and by then nobody must be with it.
 */
const serverDeployment = ({name, replicas, image, args}: ServerPods): KubernetesObject => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: {name},
  spec: {
    replicas,
    selector: {matchLabels: {app: name}},
    strategy: {type: 'RollingUpdate', rollingUpdate: {maxUnavailable: 0, maxSurge: 1}},
    template: {
      metadata: {labels: {app: name}},
      spec: {
        terminationGracePeriodSeconds: 30,
        automountServiceAccountToken: false,
        securityContext: {runAsNonRoot: true, runAsUser: 65_532, seccompProfile: {type: 'RuntimeDefault'}},
        containers: [
          {
            name: 'server',
            image,
            imagePullPolicy: 'IfNotPresent',
            ...(args === undefined ? {} : {args}),
            env: [{name: 'POD', valueFrom: {fieldRef: {fieldPath: 'metadata.name'}}}],
            ports: [{name: 'http', containerPort: backendPort}],
            readinessProbe: {httpGet: {path: '/health', port: backendPort}, periodSeconds: 1, timeoutSeconds: 5},
            lifecycle: {preStop: {sleep: {seconds: 8}}},
            securityContext: restricted,
            resources: {requests: {cpu: '20m', memory: '48Mi'}},
          },
        ],
      },
    },
  },
});

export const service = (name: string, app = name, port = backendPort): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: {name},
  spec: {selector: {app}, ports: [{name: 'http', port, targetPort: 'http'}]},
});

/** Simulators of the model `chat`, each with the name of its pod. */
export const simulators = (name: string, replicas: number): KubernetesObject[] => [
  serverDeployment({
    name,
    replicas,
    image: productImage,
    args: ['simulate', '--listen', `:${backendPort}`, '--model', 'chat', '--name', '$(POD)'],
  }),
  service(name),
];

/** llama.cpp's server with the model `tiny`, two slots each. */
export const modelServers = (name: string, replicas: number): KubernetesObject[] => [
  serverDeployment({name, replicas, image: modelServerImage}),
  service(name),
];

export const namespace = (name: string, labels: Record<string, string> = {}): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: {name, labels},
});

/** Proxies that fit beside a cluster on two cores. */
const smallPods = {resources: {requests: {cpu: '50m', memory: '64Mi'}}};

export const gateway = (
  name: string,
  {pod, ...spec}: {pod?: object; [field: string]: unknown} = {},
): KubernetesObject => ({
  apiVersion: 'modelroute.dev/v1alpha1',
  kind: 'ModelGateway',
  metadata: {name},
  spec: {replicas: 2, limits: {drainPeriod: '30s'}, pod: {...smallPods, ...pod}, ...spec},
});

export type BackendSpec = {name: string; [field: string]: unknown};

/** A backend on the Service of this name, whose model is called `chat` whatever the caller asks for. */
export const backend = (serviceName: string, more: object = {}): BackendSpec => ({
  name: serviceName,
  serviceRef: {name: serviceName, port: backendPort},
  model: 'chat',
  ...more,
});

export const route = (name: string, backends: BackendSpec[], more: object = {}): KubernetesObject => ({
  apiVersion: 'modelroute.dev/v1alpha1',
  kind: 'ModelRoute',
  metadata: {name},
  spec: {backends, ...more},
});

export const secret = (name: string, stringData: Record<string, string>): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: {name},
  stringData,
});

/** As `kubectl apply -f -` takes them: one after the other, because of a List kubectl itself says what is wrong, not the API server. */
export const documentsOf = (objects: readonly KubernetesObject[]): string =>
  objects.map((object) => JSON.stringify(object)).join('\n---\n');
