/** The operator in this process, against a real API server that nothing else acts on. */
import {createKubeClient, type KubeClient} from '../../kube/client.ts';
import {KubeError} from '../../kube/errors.ts';
import type {KubeObject} from '../../kube/objects.ts';
import type {Condition} from '../../operator/api/generated.ts';
import {startOperator, type Operator, type OperatorSettings} from '../../operator/main.ts';
import {systemClock} from '../../proxy/engine/clock.ts';
import type {ApiServer} from '../api-server/start.ts';
import {until} from '../until.ts';

export type LogLine = {level: string; message: string; [field: string]: unknown};

export type Running = {operator: Operator; log: LogLine[]; stop(): Promise<void>};

/** Waits on a loaded machine. */
export const patienceMs = 60_000;

export const modelroutes = '/apis/modelroute.dev/v1alpha1';

const collections: Record<string, [api: string, plural: string]> = {
  ModelRoute: [modelroutes, 'modelroutes'],
  ModelGateway: [modelroutes, 'modelgateways'],
  Deployment: ['/apis/apps/v1', 'deployments'],
  Service: ['/api/v1', 'services'],
  ServiceAccount: ['/api/v1', 'serviceaccounts'],
  Secret: ['/api/v1', 'secrets'],
  ConfigMap: ['/api/v1', 'configmaps'],
  Namespace: ['/api/v1', 'namespaces'],
  Event: ['/apis/events.k8s.io/v1', 'events'],
  Role: ['/apis/rbac.authorization.k8s.io/v1', 'roles'],
  RoleBinding: ['/apis/rbac.authorization.k8s.io/v1', 'rolebindings'],
  NetworkPolicy: ['/apis/networking.k8s.io/v1', 'networkpolicies'],
  PodDisruptionBudget: ['/apis/policy/v1', 'poddisruptionbudgets'],
  HorizontalPodAutoscaler: ['/apis/autoscaling/v2', 'horizontalpodautoscalers'],
  EndpointSlice: ['/apis/discovery.k8s.io/v1', 'endpointslices'],
};

export const childKinds = [
  'Deployment',
  'Service',
  'ServiceAccount',
  'Secret',
  'ConfigMap',
  'Role',
  'RoleBinding',
  'NetworkPolicy',
  'PodDisruptionBudget',
];

export type Cluster = {
  client: KubeClient;
  get(kind: string, namespace: string, name: string): Promise<KubeObject | undefined>;
  list(kind: string, namespace: string): Promise<KubeObject[]>;
  /** As `kubectl apply --server-side` does. */
  apply(object: Record<string, unknown> & Pick<KubeObject, 'metadata'> & {kind: string}): Promise<KubeObject>;
  patch(kind: string, namespace: string, name: string, body: unknown): Promise<void>;
  remove(kind: string, namespace: string, name: string): Promise<void>;
  /** Of the condition of that type; '' if there is none. */
  condition(kind: string, namespace: string, name: string, type: Condition['type']): Promise<Partial<Condition>>;
  /** Waits for `status/reason`, such as `True/Accepted`; returns its message. */
  turns(
    object: [kind: string, namespace: string, name: string],
    type: Condition['type'],
    wanted: string,
  ): Promise<string>;
  close(): Promise<void>;
};

const pathOf = (kind: string, namespace: string | undefined, name?: string): string => {
  const [api, plural] = collections[kind] ?? ['', ''];
  const within = namespace === undefined ? '' : `/namespaces/${namespace}`;
  return `${api}${within}/${plural}${name === undefined ? '' : `/${name}`}`;
};

const apiVersionOf = (kind: string): string => (collections[kind]?.[0] ?? '').replace(/^\/apis?\//, '');

export const configOf = ({url, ca, token}: ApiServer): OperatorSettings['access']['config'] => ({
  server: url,
  caFile: ca,
  token,
});

export function connect(server: ApiServer): Cluster {
  const client = createKubeClient({config: configOf(server), clock: systemClock, random: Math.random});
  const cluster: Cluster = {
    client,
    get: (kind, namespace, name) =>
      client.request({method: 'GET', path: pathOf(kind, namespace, name)}).then(
        (object) => object as KubeObject,
        (error: unknown) => {
          if (error instanceof KubeError && error.status === 404) return undefined;
          throw error;
        },
      ),
    async list(kind, namespace) {
      const {items} = (await client.request({method: 'GET', path: pathOf(kind, namespace)})) as {items: KubeObject[]};
      return items;
    },
    async apply(object) {
      const {kind, metadata} = object;
      return (await client.request({
        method: 'PATCH',
        path: pathOf(kind, metadata.namespace, metadata.name),
        query: {fieldManager: 'kubectl', fieldValidation: 'Strict'},
        contentType: 'application/apply-patch+yaml',
        body: {apiVersion: apiVersionOf(kind), ...object},
      })) as KubeObject;
    },
    async patch(kind, namespace, name, body) {
      const path = pathOf(kind, namespace, name);
      await client.request({method: 'PATCH', path, contentType: 'application/merge-patch+json', body});
    },
    async remove(kind, namespace, name) {
      await client.request({method: 'DELETE', path: pathOf(kind, namespace, name)});
    },
    async condition(kind, namespace, name, type) {
      const object = await cluster.get(kind, namespace, name);
      const {conditions = []} = (object?.['status'] ?? {}) as {conditions?: Condition[]};
      return conditions.find((condition) => condition.type === type) ?? {};
    },
    async turns([kind, namespace, name], type, wanted) {
      let last: Partial<Condition> = {};
      await until(
        async () => {
          last = await cluster.condition(kind, namespace, name, type);
          return `${last.status}/${last.reason}` === wanted;
        },
        `${kind} ${namespace}/${name}: ${type} is ${wanted}`,
        patienceMs,
      ).catch((error: unknown) => {
        throw new Error(`${String(error)}; it is ${JSON.stringify(last)}`);
      });
      return last.message ?? '';
    },
    close: () => client.close(),
  };
  return cluster;
}

export async function run(server: ApiServer, settings: Partial<OperatorSettings> = {}): Promise<Running> {
  const log: LogLine[] = [];
  const write =
    (level: string) =>
    (message: string, fields: Record<string, unknown> = {}): void =>
      void log.push({level, message, ...fields});
  const operator = await startOperator({
    access: {config: configOf(server), from: 'a test'},
    admin: {host: '127.0.0.1', port: 0},
    clock: systemClock,
    wallClock: () => new Date(),
    random: Math.random,
    log: {error: write('error'), warn: write('warn'), info: write('info'), debug: write('debug')},
    proxyImage: 'modelroute:test',
    imagePullPolicy: 'IfNotPresent',
    defaultGateway: undefined,
    namespace: 'modelroute-system',
    identity: `test-${Math.random()}`,
    watchNamespaces: [],
    onLost: () => {},
    ...settings,
  });
  return {operator, log, stop: () => operator.stop()};
}

export const textOf = async (port: number, path: string): Promise<{status: number; text: string}> => {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`);
  return {status: answer.status, text: await answer.text()};
};

/** Waits for it. `text`: of the one line. */
export const probeSays = (
  {operator}: Running,
  path: '/livez' | '/readyz',
  wanted: {status: number; text: string},
): Promise<void> =>
  until(
    async () => {
      const {status, text} = await textOf(operator.adminPort, path);
      return status === wanted.status && text === `${wanted.text}\n`;
    },
    `${path} says ${wanted.status} "${wanted.text}"`,
    patienceMs,
  );
