/** `modelroute operator`: the control plane. */
import {hostname} from 'node:os';
import {Command, InvalidArgumentError} from 'commander';
import {loadAccess, type Access} from '../operator/cluster/access.ts';
import {startOperator} from '../operator/main.ts';
import {systemClock} from '../proxy/engine/clock.ts';
import {faultsInTls} from '../proxy/engine/tls-settings.ts';
import {createLog, type LogLevel} from '../proxy/telemetry/log.ts';
import {option, parseHostPort, type HostPort} from './options.ts';
import {stopOnSignals} from './running.ts';

type Name = {namespace: string; name: string};

type Flags = {
  proxyImage: string;
  proxyImagePullPolicy: 'Always' | 'IfNotPresent' | 'Never';
  watchNamespaces: string[];
  defaultGateway?: Name;
  namespace: string;
  identity: string;
  admin: HostPort;
  kubeconfig?: string;
  context?: string;
  logLevel: LogLevel;
};

const help = `
It makes a fleet of proxies of each ModelGateway, and of the first ModelRoute in a namespace that has none. Several may run: one leads.
The admin port has /livez /readyz /metrics.
`;

const label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;

const namespaces = (text: string): string[] => {
  const names = text.split(',').filter((name) => name !== '');
  const wrong = names.find((name) => !label.test(name));
  if (wrong !== undefined) throw new InvalidArgumentError(`Expected namespaces, separated by commas, got "${wrong}".`);
  return [...new Set(names)];
};

/** `namespace/name`. */
export const parseName = (text: string): Name => {
  const [namespace = '', name = '', ...rest] = text.split('/');
  if (!label.test(namespace) || !label.test(name) || rest.length > 0)
    throw new InvalidArgumentError(`Expected NAMESPACE/NAME, such as team-a/models, got "${text}".`);
  return {namespace, name};
};

function accessOf({kubeconfig, context}: Flags, command: Command): Access {
  const wanted = {...(kubeconfig !== undefined && {kubeconfig}), ...(context !== undefined && {context})};
  try {
    return loadAccess({...wanted, environment: process.env, clock: systemClock});
  } catch (error) {
    return command.error(`error: ${(error as Error).message}`);
  }
}

async function run(flags: Flags, command: Command): Promise<void> {
  const log = createLog(process.stdout, process.stdout.isTTY);
  log.setLevel(flags.logLevel);
  process.on('exit', () => log.flush());
  const access = accessOf(flags, command);
  const {defaultGateway} = flags;
  const operator = await startOperator({
    access,
    admin: flags.admin,
    clock: systemClock,
    wallClock: () => new Date(),
    random: Math.random,
    log,
    proxyImage: flags.proxyImage,
    imagePullPolicy: flags.proxyImagePullPolicy,
    watchNamespaces: flags.watchNamespaces,
    defaultGateway,
    namespace: flags.namespace,
    identity: flags.identity,
    faultsInTls,
    onLost(reason) {
      // Whatever still runs must not write any more; the kubelet starts us anew.
      log.error('no longer leads', {reason});
      process.exit(1);
    },
  }).catch((error: unknown) => command.error(`error: cannot start: ${(error as Error).message}`));
  stopOnSignals(async () => {
    log.info('stopping');
    await operator.stop();
    log.info('stopped');
  });
  log.info('operator started', {admin: operator.adminPort, cluster: access.from, identity: flags.identity});
}

export const operatorCommand = (): Command =>
  new Command('operator')
    .description('Turn the ModelRoutes and ModelGateways of a cluster into fleets of proxies')
    .addOption(
      option('--proxy-image <image>', 'image of the proxies, which has this same command').makeOptionMandatory(),
    )
    .addOption(
      option('--proxy-image-pull-policy <policy>', 'when nodes fetch it')
        .choices(['Always', 'IfNotPresent', 'Never'])
        .default('IfNotPresent'),
    )
    .addOption(
      option('--watch-namespaces <names>', 'only these, separated by commas').argParser(namespaces).default([], 'all'),
    )
    .addOption(
      option(
        '--default-gateway <namespace/name>',
        "of routes that name none; their own namespace's unless set",
      ).argParser(parseName),
    )
    .addOption(option('--namespace <name>', 'where its Lease is').default('default'))
    .addOption(option('--identity <name>', 'its name in the Lease').default(hostname(), 'the host name'))
    .addOption(
      option('--admin <host:port>', 'health and metrics')
        .argParser(parseHostPort)
        .default({host: '::', port: 9090}, ':9090'),
    )
    .addOption(option('--kubeconfig <file>', 'as kubectl has it; unset: as kubectl finds it, or that of the pod'))
    .addOption(option('--context <name>', 'of the kubeconfig'))
    .addOption(
      option('--log-level <level>', 'what is logged').choices(['error', 'warn', 'info', 'debug']).default('info'),
    )
    .addHelpText('after', help)
    .action((flags: Flags, command: Command) => run(flags, command));
