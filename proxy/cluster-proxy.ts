/** The proxy in a cluster: starts with what is mounted and saved, and then follows the API server. */
import {createKubeClient} from '../kube/client.ts';
import type {KubeConfig} from '../kube/credentials.ts';
import {createApiTrouble} from './cluster/api-trouble.ts';
import {boot, firstInput, type Folders} from './cluster/boot.ts';
import {follow, type Following} from './cluster/follow.ts';
import type {ObjectName} from './cluster/stored.ts';
import {systemClock} from './engine/clock.ts';
import {startProxy, type Proxy, type ProxyOptions} from './main.ts';

export type ClusterProxyOptions = Omit<ProxyOptions, 'notReady'> & {
  /** Whose config, credentials and Service are its own. */
  gateway: ObjectName;
  /** Unset: the own zone is not known. */
  podIp?: string | undefined;
  folders: Folders;
  apiServer: KubeConfig;
};

/** `drain` and `stopNow` end the watches, too: the last of all. */
export type ClusterProxy = Pick<Proxy, 'port' | 'adminPort' | 'drain' | 'stopNow'>;

/** Throws an Error if `apiServer` cannot be used, and what {@link startProxy} throws. That it does not answer is no error. */
export async function startClusterProxy(options: ClusterProxyOptions): Promise<ClusterProxy> {
  const {gateway, podIp, folders, apiServer, log, random, clock = systemClock} = options;
  const client = createKubeClient({config: apiServer, clock, random});
  const booted = boot(folders, gateway, log);
  let following: Following | undefined;
  const proxy = await startProxy(
    {...options, notReady: () => (following === undefined ? 'starting' : following.notReady())},
    firstInput(booted),
  ).catch(async (error: unknown) => {
    await client.close();
    throw error;
  });
  const watching = {client, clock, random, trouble: createApiTrouble(log)};
  const started = follow({watching, log, gateway, podIp, stateFolder: folders.state, boot: booted, proxy});
  following = started;
  const stopFollowing = async (): Promise<void> => {
    await started.stop();
    await client.close();
  };
  return {
    port: proxy.port,
    adminPort: proxy.adminPort,
    async drain() {
      await proxy.drain();
      await stopFollowing();
    },
    async stopNow() {
      await proxy.stopNow();
      await stopFollowing();
    },
  };
}
