/** `modelroute serve`: one process, no cluster: files in, proxy out. */
import {Command} from 'commander';
import {loadFiles, type Loaded} from '../operator/files/load.ts';
import {watchFiles} from '../operator/files/watch.ts';
import type {LiveInput} from '../proxy/engine/live.ts';
import {faultsInTls} from '../proxy/engine/tls-settings.ts';
import {startProxy, type Proxy} from '../proxy/main.ts';
import {joinSlices} from '../proxy/routing/endpoint-slices.ts';
import {createLog, type Log} from '../proxy/telemetry/log.ts';
import {problemLine} from './check.ts';
import {fileOption} from './file-option.ts';
import {option, parseHostPort, type HostPort} from './options.ts';
import {explainListenError, shownAddress, stopOnSignals} from './running.ts';

type Flags = {file: string[]; listen: HostPort; admin: HostPort};

const help = `
Example:
  $ modelroute serve -f examples/quickstart/route.yaml
  $ curl 127.0.0.1:8080/v1/chat/completions -H 'content-type: application/json' \\
      -d '{"model": "chat", "messages": [{"role": "user", "content": "Hi"}]}'

A changed file is served within a second; one with an error in it is not, and the log says why.
The admin port has /readyz /livez /loaded /config /backends /metrics.
SIGTERM or SIGINT: running answers are finished first, for as long as the gateway's limits.drainPeriod; a second one ends at once.
`;

const toInput = ({config, credentials, slices}: Loaded): LiveInput | undefined =>
  config && credentials && {config, credentials, endpoints: joinSlices(slices)};

function reportProblems(log: Log, {problems}: Loaded): void {
  for (const problem of problems) {
    if (problem.effect === 'Warns') log.warn(problemLine(problem));
    else log.error(problemLine(problem), {effect: problem.effect});
  }
}

const whyRejected = ({problems}: Loaded): string =>
  problems
    .filter(({effect}) => effect === 'RejectsAll')
    .map(problemLine)
    .join('\n');

function reload(paths: readonly string[], proxy: Proxy, log: Log): void {
  const loaded = loadFiles(paths, {faultsInTls});
  reportProblems(log, loaded);
  const input = toInput(loaded);
  if (input === undefined) {
    proxy.rejected({hash: '', reason: whyRejected(loaded)});
    log.error('config rejected, the one before stays in use');
    return;
  }
  try {
    proxy.update(input);
    log.info('config loaded', {routes: input.config.routes.length});
  } catch (error) {
    proxy.rejected({hash: '', reason: String(error)});
    log.error('config rejected by a fault in ModelRoute, the one before stays in use', {error: String(error)});
  }
}

async function serve({file, listen, admin}: Flags, command: Command): Promise<void> {
  const log = createLog(process.stdout, process.stdout.isTTY);
  process.on('exit', () => log.flush());
  let changedMeanwhile = false;
  const changed = {
    handle(): void {
      changedMeanwhile = true;
    },
  };
  const watch = watchFiles(file, () => changed.handle()); // before the first load, so that no change falls between
  const loaded = loadFiles(file, {faultsInTls});
  const input = toInput(loaded);
  if (input === undefined) return command.error(loaded.problems.map(problemLine).join('\n'));
  reportProblems(log, loaded);
  for (const field of loaded.clusterOnly) log.info('only a cluster acts on this field', {field});

  const proxy = await startProxy({listen, admin, log, random: Math.random, drainGraceMs: 0}, input).catch(
    (error: unknown) => explainListenError(command, error),
  );
  changed.handle = () => reload(file, proxy, log);
  if (changedMeanwhile) changed.handle();
  stopOnSignals(() => {
    watch.close();
    return proxy.drain();
  });
  log.info('serving', {
    url: `${shownAddress(listen, proxy.port)}/v1`,
    admin: shownAddress(admin, proxy.adminPort),
    models: input.config.routes.flatMap(({modelNames}) => modelNames),
  });
}

export const serveCommand = (): Command =>
  new Command('serve')
    .description('Serve the ModelRoutes in files, without a cluster')
    .addOption(fileOption())
    .addOption(
      option('--listen <host:port>', 'where callers reach it')
        .argParser(parseHostPort)
        .default({host: '127.0.0.1', port: 8080}, '127.0.0.1:8080'),
    )
    .addOption(
      option('--admin <host:port>', 'health, metrics and the live state')
        .argParser(parseHostPort)
        .default({host: '127.0.0.1', port: 9090}, '127.0.0.1:9090'),
    )
    .addHelpText('after', help)
    .action((flags: Flags, command: Command) => serve(flags, command));
