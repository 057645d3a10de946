/** An API server as the measurements use it: as a person with kubectl, and as whoever holds the rights of a ServiceAccount. */
import {copyFileSync, mkdirSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {stringify} from 'yaml';
import {createKubeClient, type KubeClient} from '../../kube/client.ts';
import {KubeError} from '../../kube/errors.ts';
import type {KubeConfig} from '../../kube/credentials.ts';
import type {KubeObject, ObjectMeta} from '../../kube/objects.ts';
import {apiVersionOf, pathOf, watchedKinds} from '../../operator/cluster/kinds.ts';
import {systemClock} from '../../proxy/engine/clock.ts';
import {installCrds} from '../../test/api-server/crds.ts';
import {startApiServer} from '../../test/api-server/start.ts';
import {folder} from '../children.ts';

export type Resource = {kind: string; metadata: ObjectMeta; [member: string]: unknown};

export type Api = {
  client: KubeClient;
  /** Undefined: there is none. */
  get(kind: string, namespace: string, name: string): Promise<KubeObject | undefined>;
  /** Of all namespaces. */
  list(kind: string): Promise<KubeObject[]>;
  /** As `kubectl apply --server-side` does. */
  apply(object: Resource): Promise<KubeObject>;
  /** `subresource`: such as `status`. */
  merge(object: Resource, subresource?: string): Promise<void>;
  remove(kind: string, namespace: string, name: string): Promise<void>;
  close(): Promise<void>;
};

const pathTo = (kind: string, namespace?: string): string => {
  const watched = watchedKinds.find((each) => each.kind === kind);
  if (watched === undefined) throw new Error(`bug: nobody watches ${kind}`);
  return pathOf(watched, watched.scope === 'Namespaced' ? namespace : undefined);
};

const apiVersionFor = (kind: string): string => {
  const watched = watchedKinds.find((each) => each.kind === kind);
  return watched === undefined ? '' : apiVersionOf(watched);
};

export const withApiVersion = (object: Resource): Resource => ({apiVersion: apiVersionFor(object.kind), ...object});

export function connect(config: KubeConfig): Api {
  const client = createKubeClient({config, clock: systemClock, random: Math.random});
  const pathOfObject = ({kind, metadata}: Resource): string => `${pathTo(kind, metadata.namespace)}/${metadata.name}`;
  return {
    client,
    get: (kind, namespace, name) =>
      client.request({method: 'GET', path: `${pathTo(kind, namespace)}/${name}`}).then(
        (object) => object as KubeObject, // what it is called is the API server's to get right
        (error: unknown) => {
          if (error instanceof KubeError && error.status === 404) return undefined;
          throw error;
        },
      ),
    async list(kind) {
      const {items} = (await client.request({method: 'GET', path: pathTo(kind)})) as {items: KubeObject[]};
      return items;
    },
    apply: async (object) =>
      (await client.request({
        method: 'PATCH',
        path: pathOfObject(object),
        query: {fieldManager: 'kubectl', fieldValidation: 'Strict'},
        contentType: 'application/apply-patch+yaml',
        body: withApiVersion(object),
      })) as KubeObject,
    async merge(object, subresource) {
      const path = [pathOfObject(object), ...(subresource === undefined ? [] : [subresource])].join('/');
      const {kind: _kind, ...body} = object;
      await client.request({method: 'PATCH', path, contentType: 'application/merge-patch+json', body});
    },
    async remove(kind, namespace, name) {
      await client.request({method: 'DELETE', path: `${pathTo(kind, namespace)}/${name}`});
    },
    close: () => client.close(),
  };
}

/** Files by which a process is that ServiceAccount. */
export type Account = {
  /** As the kubelet mounts it: `token`, `ca.crt`. */
  folder: string;
  kubeconfig: string;
};

export type ApiServer = Api & {
  host: string;
  port: string;
  caFile: string;
  /** Of one who may do everything. */
  kubeconfig: string;
  /** Of a ServiceAccount that is there. */
  account(namespace: string, name: string): Promise<Account>;
  /** Makes a ServiceAccount that may do everything, but is served in its turn like any other. */
  adminAccount(namespace: string, name: string): Promise<Account>;
  stop(): Promise<void>;
};

const writeKubeconfig = (name: string, {server, caFile, token}: KubeConfig): string => {
  const file = join(folder, `${name}.kubeconfig`);
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{name: 'c', cluster: {server, 'certificate-authority': caFile}}],
    users: [{name: 'u', user: {token}}],
    contexts: [{name: 'x', context: {cluster: 'c', user: 'u'}}],
    'current-context': 'x',
  };
  writeFileSync(file, stringify(config), {mode: 0o600});
  return file;
};

const bindings = '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings';

/** Freshly started, with our CRDs. */
export async function startApi(assets: string): Promise<ApiServer> {
  const server = await startApiServer(assets);
  for (const {status, body} of await installCrds(server))
    if (status !== 201) throw new Error(`the API server refuses a CRD: ${JSON.stringify(body)}`);
  const {hostname, port} = new URL(server.url);
  const config: KubeConfig = {server: server.url, caFile: server.ca, token: server.token};
  const api = connect(config);

  const account: ApiServer['account'] = async (namespace, name) => {
    const asked = await api.client.request({
      method: 'POST',
      path: `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`,
      body: {apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {expirationSeconds: 7_200}},
    });
    const {token} = (asked as {status: {token: string}}).status;
    const mounted = join(folder, `${namespace}-${name}`);
    mkdirSync(mounted, {recursive: true});
    writeFileSync(join(mounted, 'token'), token, {mode: 0o600});
    copyFileSync(server.ca, join(mounted, 'ca.crt'));
    return {folder: mounted, kubeconfig: writeKubeconfig(`${namespace}-${name}`, {...config, token})};
  };
  return {
    ...api,
    host: hostname,
    port,
    caFile: server.ca,
    kubeconfig: writeKubeconfig('admin', config),
    account,
    async adminAccount(namespace, name) {
      await api.apply({kind: 'ServiceAccount', metadata: {namespace, name}});
      await api.client.request({
        method: 'POST',
        path: bindings,
        body: {
          metadata: {name: `${namespace}-${name}`},
          roleRef: {apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin'},
          subjects: [{kind: 'ServiceAccount', namespace, name}],
        },
      });
      return account(namespace, name);
    },
    async stop() {
      await api.close();
      await server.stop();
    },
  };
}
