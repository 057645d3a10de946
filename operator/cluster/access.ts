/**
 * Which API server, and who we are to it: from a kubeconfig, as kubectl reads it, or as a pod finds it. client-node reads the kubeconfig and
 * knows its ways to get credentials (certificates, tokens, commands, OIDC …); what goes over the wire is the thin client's.
 */
import {readFileSync, existsSync} from 'node:fs';
import {delimiter, dirname, join, resolve} from 'node:path';
import {KubeConfig as Kubeconfig, type Cluster, type User} from '@kubernetes/client-node';
import {parse} from 'yaml';
import {z} from 'zod';
import type {Clock} from '../../kube/clock.ts';
import {inClusterConfig, type KubeConfig} from '../../kube/credentials.ts';
import {messageOf} from '../message-of.ts';
import {createKubeconfigSource} from './kubeconfig-source.ts';

export type AccessOptions = {
  /** A file. Unset: those in KUBECONFIG, else the cluster that this pod runs in, else `~/.kube/config`. */
  kubeconfig?: string;
  /** Of the kubeconfig; unset: its current one. */
  context?: string;
  environment: Readonly<Record<string, string | undefined>>;
  clock: Pick<Clock, 'now'>;
};

export type Access = {
  config: KubeConfig;
  /** Where it comes from, for the log. */
  from: string;
};

const filesOf = ({kubeconfig, context, environment}: AccessOptions): string[] => {
  if (kubeconfig !== undefined) return [kubeconfig];
  const named = (environment['KUBECONFIG'] ?? '').split(delimiter).filter((file) => file !== '');
  if (named.length > 0) return named;
  const isInPod = (environment['KUBERNETES_SERVICE_HOST'] ?? '') !== '';
  const home = join(environment['HOME'] ?? '/', '.kube', 'config');
  return (isInPod && context === undefined) || !existsSync(home) ? [] : [home];
};

const kubeconfigSchema = z.object({users: z.array(z.unknown()).nullish()});
const withTokenFile = z.object({name: z.string(), user: z.object({tokenFile: z.string().min(1)})});

/** client-node does not know `tokenFile`, but has a way to follow a file. */
const followTokenFile = (user: User, entries: readonly unknown[], folder: string): User => {
  const found = entries.map((entry) => withTokenFile.safeParse(entry).data).find((entry) => entry?.name === user.name);
  if (found === undefined) return user;
  const {token: _token, ...rest} = user; // kubectl prefers the file
  return {...rest, authProvider: {name: 'tokenFile', config: {tokenFile: resolve(folder, found.user.tokenFile)}}};
};

function loadFile(file: string): Kubeconfig {
  const loaded = new Kubeconfig();
  try {
    const {success, data} = kubeconfigSchema.safeParse(parse(readFileSync(file, 'utf8')));
    if (!success) throw new Error('it is no kubeconfig');
    loaded.loadFromFile(file);
    loaded.users = loaded.users.map((user) => followTokenFile(user, data.users ?? [], dirname(file)));
    // Without TLS there is nothing to verify, but client-node wants it said.
    const isPlain = ({server}: Cluster): boolean => server.startsWith('http:');
    loaded.clusters = loaded.clusters.map((each) => (isPlain(each) ? {...each, skipTLSVerify: true} : each));
  } catch (cause) {
    throw new Error(`cannot read the kubeconfig ${file}: ${messageOf(cause)}`, {cause});
  }
  return loaded;
}

/** What stands in an earlier file holds, as with kubectl. */
function loadFiles(files: readonly string[]): Kubeconfig {
  const [first = new Kubeconfig(), ...others] = files.map(loadFile);
  const addTo = <T extends {name: string}>(all: T[], more: readonly T[]): T[] => [
    ...all,
    ...more.filter(({name}) => !all.some((known) => known.name === name)),
  ];
  for (const other of others) {
    first.clusters = addTo(first.clusters, other.clusters);
    first.users = addTo(first.users, other.users);
    first.contexts = addTo(first.contexts, other.contexts);
    first.currentContext ||= other.currentContext;
  }
  return first;
}

/** The field that it would not do to ignore. */
const notSupported = (cluster: Cluster, user: User): string | undefined => {
  if (cluster.proxyUrl !== undefined) return `proxy-url of the cluster ${cluster.name}`;
  if ((user.username ?? '') !== '') return `username of the user ${user.name}`;
  if ((user.impersonateUser ?? '') !== '') return `as of the user ${user.name}`;
  return undefined;
};

function select(loaded: Kubeconfig, wanted: string | undefined): {cluster: Cluster; user: User; context: string} {
  const names = loaded.contexts.map(({name}) => name).join(', ') || 'none';
  const name = wanted ?? loaded.currentContext ?? '';
  if (name === '') throw new Error(`it has no current-context: name one of its contexts (${names})`);
  const context = loaded.contexts.find((each) => each.name === name);
  if (context === undefined) throw new Error(`it has no context ${name}; it has: ${names}`);
  const cluster = loaded.clusters.find((each) => each.name === context.cluster);
  if (cluster === undefined) throw new Error(`the cluster ${context.cluster} of its context ${name} is not in it`);
  const user = loaded.users.find((each) => each.name === context.user);
  if (user === undefined) throw new Error(`the user ${context.user} of its context ${name} is not in it`);
  const field = notSupported(cluster, user);
  if (field !== undefined) throw new Error(`${field} is not supported`);
  return {cluster, user, context: name};
}

function fromFiles(files: readonly string[], {context, clock}: AccessOptions): Access {
  const load = (): Kubeconfig => {
    const loaded = loadFiles(files);
    loaded.setCurrentContext(context ?? loaded.currentContext);
    return loaded;
  };
  const loaded = load();
  const kubeconfig = files.join(delimiter);
  try {
    const {cluster, context: name} = select(loaded, context);
    return {
      config: {
        server: cluster.server,
        ...(cluster.tlsServerName !== undefined && {tlsServerName: cluster.tlsServerName}),
        insecureSkipTlsVerify: cluster.skipTLSVerify,
        source: createKubeconfigSource({loaded, load, clock}),
      },
      from: `context ${name} of ${kubeconfig}`,
    };
  } catch (cause) {
    throw new Error(`cannot use the kubeconfig ${kubeconfig}: ${messageOf(cause)}`, {cause});
  }
}

/** Throws an Error that says what is missing, wrong or not supported. */
export function loadAccess(options: AccessOptions): Access {
  const files = filesOf(options);
  if (files.length > 0) return fromFiles(files, options);
  try {
    return {config: inClusterConfig(options.environment), from: 'the pod that this is'};
  } catch (cause) {
    const why = messageOf(cause);
    throw new Error(`there is no kubeconfig (--kubeconfig, KUBECONFIG, ~/.kube/config), and ${why}`, {cause});
  }
}
