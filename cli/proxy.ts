/** `modelroute proxy`: the data plane of one gateway in a cluster. */
import {Command, InvalidArgumentError} from 'commander';
import {inClusterConfig, type KubeConfig} from '../kube/credentials.ts';
import {startClusterProxy} from '../proxy/cluster-proxy.ts';
import {createLog} from '../proxy/telemetry/log.ts';
import {option, parseDurationMs, parseHostPort, type HostPort} from './options.ts';
import {explainListenError, shownAddress, stopOnSignals} from './running.ts';

type Flags = {
  gateway: {namespace: string; name: string};
  listen: HostPort;
  admin: HostPort;
  config: string;
  credentials: string;
  state: string;
  podIp?: string;
  drainGrace: number;
  serviceAccount?: string;
};

const help = `
Meant for the pods that the operator makes. It serves what is mounted until the API server answers, follows ConfigMap <name>-config,
Secret <name>-credentials and the EndpointSlices of the routes' Services, and goes on with what it knows while the API server is away.
On the admin port /livez /readyz /loaded /metrics answer everybody, /config and /backends on the loopback address only.
SIGTERM or SIGINT: not ready first, then, after --drain-grace, running answers are finished, for as long as the gateway's
limits.drainPeriod; a second one ends at once.
`;

const parseGateway = (text: string): Flags['gateway'] => {
  const [namespace, name, ...rest] = text.split('/');
  if (!namespace || !name || rest.length > 0)
    throw new InvalidArgumentError(`Expected NAMESPACE/NAME, such as team-a/models, got "${text}".`);
  return {namespace, name};
};

const apiServerOf = (folder: string | undefined, command: Command): KubeConfig => {
  try {
    return inClusterConfig(process.env, folder);
  } catch (error) {
    return command.error(
      `error: ${(error as Error).message}\nThis command runs in a pod. Without a cluster there is: modelroute serve -f FILE`,
    );
  }
};

async function run(flags: Flags, command: Command): Promise<void> {
  const {gateway, listen, admin, config, credentials, state, podIp, drainGrace} = flags;
  const apiServer = apiServerOf(flags.serviceAccount, command);
  const log = createLog(process.stdout, process.stdout.isTTY);
  process.on('exit', () => log.flush());
  const proxy = await startClusterProxy({
    gateway,
    podIp,
    folders: {config, credentials, state},
    apiServer,
    listen,
    admin,
    log,
    random: Math.random,
    drainGraceMs: drainGrace,
  }).catch((error: unknown) => explainListenError(command, error));
  stopOnSignals(() => proxy.drain());
  log.info('serving', {
    gateway: `${gateway.namespace}/${gateway.name}`,
    url: `${shownAddress(listen, proxy.port)}/v1`,
    admin: shownAddress(admin, proxy.adminPort),
  });
}

export const proxyCommand = (): Command =>
  new Command('proxy')
    .description('Serve one gateway in a cluster, as the operator wants it')
    .addOption(
      option('--gateway <namespace/name>', 'the ModelGateway that it belongs to')
        .argParser(parseGateway)
        .makeOptionMandatory(),
    )
    .addOption(
      option('--listen <host:port>', 'where callers reach it')
        .argParser(parseHostPort)
        .default({host: '::', port: 8080}, ':8080'),
    )
    .addOption(
      option('--admin <host:port>', 'health, metrics and the live state')
        .argParser(parseHostPort)
        .default({host: '::', port: 9090}, ':9090'),
    )
    .addOption(
      option('--config <folder>', 'where the ConfigMap with the config is mounted').default('/etc/modelroute/config'),
    )
    .addOption(
      option('--credentials <folder>', 'where the Secret with the credentials is mounted').default(
        '/etc/modelroute/credentials',
      ),
    )
    .addOption(option('--state <folder>', 'where the last known endpoints are kept').default('/var/lib/modelroute'))
    .addOption(option('--pod-ip <address>', 'its own, by which it finds its zone'))
    .addOption(
      option('--drain-grace <duration>', 'from not ready to not accepting')
        .argParser(parseDurationMs)
        .default(5_000, '5s'),
    )
    .addOption(
      option('--service-account <folder>', "token and CA for the API server (default: where a pod's are mounted)"),
    )
    .addHelpText('after', help)
    .action((flags: Flags, command: Command) => run(flags, command));
