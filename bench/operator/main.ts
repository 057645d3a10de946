/** `make bench-operator`: how fast the operator and its proxies are, on a real API server and a real cluster. See --help. */
import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {cpus, tmpdir} from 'node:os';
import {dirname, join, resolve} from 'node:path';
import {Command, InvalidArgumentError} from 'commander';
import {findAssets} from '../../test/api-server/assets.ts';
import {canRunCluster} from '../../test/cluster/machine.ts';
import {startAccount} from '../cpu.ts';
import {reasonsAgainst} from '../machine.ts';
import {full, small, type Outcome, type Settings} from './measurement.ts';
import {measurements, type Measurement} from './measurements.ts';
import {ownNetwork, whyNoNetwork} from './network.ts';
import {asText, writeMarkdown, type Facts} from './report.ts';
import {resultsOf} from './rows.ts';

type Flags = {
  only?: string[];
  rounds: number;
  small?: true;
  program: string;
  json: string;
  results?: string;
  anyway?: true;
};

const root = join(import.meta.dirname, '../..');
const names = measurements.map(({name}) => name);

const whole = (text: string): number => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 100)
    throw new InvalidArgumentError('Expected a whole number from 1 to 100.');
  return value;
};
const list = (text: string): string[] => {
  const chosen = text.split(',').filter((name) => name !== '');
  const unknown = chosen.find((name) => !names.includes(name));
  if (unknown !== undefined) throw new InvalidArgumentError(`There is no "${unknown}", only ${names.join(', ')}.`);
  return chosen;
};

const command = new Command('bench-operator')
  .description('Measures the operator and its proxies on a real API server, and on the cluster of the tests')
  .option('--only <measurements>', `of ${names.join(',')}`, list)
  .option('--rounds <count>', 'of each', whole, 3)
  .option('--small', 'a few of everything, to see that it works: the numbers say nothing')
  .option('--program <file>', 'the modelroute that is measured', join(root, 'dist/cli/main.js'))
  .option('--json <file>', 'every number', join(root, '.run/bench-operator.json'))
  .option(
    '--results <file>',
    'write the table into it; a whole run on a quiet machine, 3 rounds or more, writes bench/RESULTS.md',
  )
  .option('--anyway', 'measure on a busy machine too, and say so')
  .parse();

const running = new Set<ChildProcess>();

/** For what the measurements leave, also when they break off. */
const folder = mkdtempSync(join(tmpdir(), 'modelroute-bench-operator-'));

/** In a process, and a network, of its own. A measurement that breaks off has no numbers; the others have theirs. */
async function measure({name, where}: Measurement, settings: Settings): Promise<Outcome> {
  const before = where === 'OwnNetwork' ? ownNetwork : [];
  const [file, ...args] = [...before, process.execPath, join(import.meta.dirname, 'run.ts')];
  const child = spawn(file, [...args, name, JSON.stringify(settings)], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    env: {...process.env, ...(where === 'OwnNetwork' && {TMPDIR: folder})}, // that of the cluster is where its users look for its lock
  });
  running.add(child);
  let outcome: Outcome | undefined;
  child.on('message', (message) => (outcome = message as Outcome)); // both ends are ours
  await once(child, 'exit');
  running.delete(child);
  return outcome ?? {metrics: {}, faults: [`${name} has broken off`]};
}

const fail = (text: string): never => command.error(`error: ${text}`);

/** What this machine cannot measure. */
function whatIsMissing({where}: Measurement): string | undefined {
  if (where === 'OwnNetwork') return whyNoNetwork();
  let why: string | undefined;
  canRunCluster((line) => (why = line.trim()));
  return why;
}

async function reasonsNow(anyway: boolean): Promise<string[]> {
  const reasons = await reasonsAgainst();
  const text = reasons.map((reason) => `  ${reason}`).join('\n');
  if (reasons.length > 0 && !anyway) fail(`this would measure something else:\n${text}\nWait, or say --anyway.`);
  return reasons;
}

type Measured = {outcomes: Record<string, Outcome>; othersPercent: number; stolenPercent: number};

async function measureAll(chosen: readonly Measurement[], settings: Settings): Promise<Measured> {
  const all: Measured = {outcomes: {}, othersPercent: 0, stolenPercent: 0};
  for (const measurement of chosen) {
    process.stderr.write(`${measurement.name} …\n`);
    const account = startAccount();
    all.outcomes[measurement.name] = await measure(measurement, settings);
    const {othersPercent, stolenPercent} = account();
    all.stolenPercent = Math.max(all.stolenPercent, stolenPercent);
    if (measurement.where === 'Cluster') continue; // the cluster is no process of ours
    all.othersPercent = Math.max(all.othersPercent, othersPercent);
  }
  return all;
}

/** What the table that everybody reads may be written from. */
const isWhole = ({only, small: isSmall, anyway, rounds}: Flags, skipped: readonly string[]): boolean =>
  [only, isSmall, anyway].every((flag) => flag === undefined) && rounds >= 3 && skipped.length === 0;

const commandOf = (given: readonly string[]): string =>
  given.length === 0 ? 'make bench-operator' : `make bench-operator BENCH='${given.join(' ')}'`;

async function bench(flags: Flags): Promise<void> {
  const program = resolve(flags.program);
  if (!existsSync(program)) fail(`no ${program}: run make build`);
  const assets = findAssets((line) => process.stderr.write(line)) ?? fail('no API server to measure on');
  const wanted = measurements.filter(({name}) => flags.only?.includes(name) !== false);
  const missing = wanted.map((measurement) => ({measurement, why: whatIsMissing(measurement)}));
  const skipped = missing.flatMap(({measurement, why}) => (why === undefined ? [] : [`${measurement.name}: ${why}`]));
  for (const line of skipped) console.error(`skipped: ${line}`);
  const chosen = missing.filter(({why}) => why === undefined).map(({measurement}) => measurement);
  const busy = await reasonsNow(flags.anyway === true);

  const sizes = flags.small === true ? small : full;
  const {outcomes, ...shares} = await measureAll(chosen, {assets, program, rounds: flags.rounds, sizes});
  const facts: Facts = {
    date: new Date().toISOString().slice(0, 10),
    command: commandOf(process.argv.slice(2)),
    node: process.version,
    cores: cpus().length,
    rounds: flags.rounds,
    ...shares,
    busy,
  };
  const faults = [...Object.values(outcomes).flatMap((outcome) => outcome.faults), ...skipped];
  const report = {facts, results: resultsOf(outcomes, sizes), faults};
  console.log(asText(report));
  mkdirSync(dirname(flags.json), {recursive: true});
  writeFileSync(flags.json, `${JSON.stringify({...report, outcomes}, null, 2)}\n`);
  const results = flags.results ?? (isWhole(flags, skipped) ? join(root, 'bench/RESULTS.md') : undefined);
  if (results !== undefined) await writeMarkdown(results, report);
  if (Object.values(outcomes).some((outcome) => outcome.faults.length > 0)) process.exitCode = 1;
}

process.on('exit', () => {
  for (const child of running) child.kill('SIGTERM');
  rmSync(folder, {recursive: true, force: true, maxRetries: 5});
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(130));
await bench(command.opts<Flags>());
process.exit();
