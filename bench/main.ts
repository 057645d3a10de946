/** `make bench`: peers in turn on one core, load and upstream on the other. See --help. */
import {spawnSync} from 'node:child_process';
import {mkdirSync, writeFileSync} from 'node:fs';
import {cpus} from 'node:os';
import {dirname, join} from 'node:path';
import {pathToFileURL} from 'node:url';
import {Command, InvalidArgumentError} from 'commander';
import {type Child, cores, folder, freePort, killAll, start, untilListens} from './children.ts';
import {startAccount} from './cpu.ts';
import {reasonsAgainst} from './machine.ts';
import {peersWith} from './peers/index.ts';
import type {PeerKind, Place} from './peers/peer.ts';
import {asText, type Report, writeMarkdown} from './report.ts';
import {judgeAll, type Measured, trusted, valuesOf} from './results.ts';
import {type Outcome, type Run, type Scenario, scenarios} from './scenarios.ts';
import type {UpstreamState} from './upstream.ts';

type Flags = {
  only?: string[];
  peers?: string[];
  rounds: number;
  seconds: number;
  before?: string;
  json: string;
  results?: string;
  anyway?: true;
};

const number = (text: string): number => {
  const value = Number(text);
  if (!(value > 0 && value <= 1_000)) throw new InvalidArgumentError('Expected a number above 0, up to 1000.');
  return value;
};
const whole = (text: string): number => {
  if (!Number.isInteger(number(text))) throw new InvalidArgumentError('Expected a whole number.');
  return number(text);
};
const list = (text: string): string[] => text.split(',').filter((name) => name !== '');
const root = join(import.meta.dirname, '..');

const command = new Command('bench')
  .description('Measures ModelRoute beside its peers: CPU, latency, memory, and whether the floors are met')
  .option('--only <scenarios>', `of ${scenarios.map(({name}) => name).join(',')}`, list)
  .option('--peers <peers>', 'of direct,nginx,envoy,portkey,relay,before,ours', list)
  .option('--rounds <count>', 'interleaved rounds', whole, 3)
  .option('--seconds <seconds>', 'measured per scenario, peer and round', number, 2)
  .option('--before <checkout>', 'another checkout of ModelRoute, as one more peer')
  .option('--json <file>', 'every number', join(root, '.run/bench.json'))
  .option(
    '--results <file>',
    'write the table into it; a run of all peers and scenarios, 3 rounds or more, writes bench/RESULTS.md',
  )
  .option('--anyway', 'measure on a busy machine too')
  .parse();

/** Those of `all` that are named, in the order of `all`. */
function pick<T extends {name: string}>(all: readonly T[], names: readonly string[] | undefined, flag: string): T[] {
  const unknown = names?.find((name) => !all.some((each) => each.name === name));
  if (unknown !== undefined)
    command.error(`error: ${flag}: there is no "${unknown}", only ${all.map(({name}) => name).join(', ')}`);
  return all.filter(({name}) => names === undefined || names.includes(name));
}

type Upstream = {port: number; state: () => Promise<UpstreamState>};

async function startUpstream(): Promise<Upstream> {
  const child = start({file: process.execPath, args: [join(import.meta.dirname, 'upstream.ts')]}, cores.load, true);
  const next = <T>(): Promise<T> =>
    new Promise((resolve, reject) => {
      child.process.once('message', (message) => resolve(message as T)); // both ends are ours
      child.process.once('exit', () => reject(new Error(`the upstream has ended: ${child.lastWords()}`)));
    });
  const {port} = await next<{port: number}>();
  child.process.setMaxListeners(0);
  return {
    port,
    state() {
      child.process.send('state');
      return next();
    },
  };
}

type Task = {round: number; scenario: Scenario; kind: PeerKind; upstream: Upstream; seconds: number};

const watched = (file: string): Record<string, string> => ({
  NODE_OPTIONS: `--import ${pathToFileURL(join(import.meta.dirname, 'event-loop.ts')).href}`,
  BENCH_TURNS: file,
});

/** The peer in a process of its own; nothing for `direct`. */
async function startPeer(kind: PeerKind, place: Place, turnsFile: string | undefined): Promise<Child | undefined> {
  const started = kind.command(place);
  if (started === undefined) return undefined;
  const child = start({...started, env: turnsFile === undefined ? {} : watched(turnsFile)}, cores.peer);
  await untilListens(child, place.port, kind.name);
  return child;
}

async function runOn({round, scenario, kind, upstream, seconds}: Task): Promise<Outcome> {
  const place = {port: await freePort(), upstreamPort: upstream.port, folder};
  const turnsFile = scenario.watchesEventLoop && kind.isNode ? join(folder, `turns-${round}-${kind.name}`) : undefined;
  const child = await startPeer(kind, place, turnsFile);
  const peer = {port: child === undefined ? upstream.port : place.port, headers: kind.headers(place)};
  const run: Run = {peer, pid: child?.pid, upstream: upstream.state, seconds, turnsFile};
  const outcome = await scenario.run(run);
  if (child?.isGone()) throw new Error(`it has ended: ${child.lastWords()}`);
  await child?.stop();
  return outcome;
}

/** A peer that does not start, or dies, has no numbers; the others have theirs. */
async function measure(task: Task): Promise<Measured> {
  const failed = (error: unknown): Outcome => ({metrics: {}, wrong: 1, rewritten: 0, firstWrong: String(error)});
  const outcome = await runOn(task).catch(failed);
  return {...outcome, round: task.round, peer: task.kind.name, scenario: task.scenario.name};
}

/** Peers take turns within a scenario, so that what disturbs the machine disturbs neighbours of the table alike. */
async function measureAll(flags: Flags, kinds: PeerKind[]): Promise<Measured[]> {
  const upstream = await startUpstream();
  const chosen = pick(scenarios, flags.only, '--only');
  const all: Measured[] = [];
  for (let round = 0; round < flags.rounds; round += 1)
    for (const scenario of chosen) {
      process.stderr.write(`round ${round + 1} of ${flags.rounds}, ${scenario.name}:`);
      for (const kind of kinds) {
        process.stderr.write(` ${kind.name}`);
        all.push(await measure({round, scenario, kind, upstream, seconds: flags.seconds}));
      }
      process.stderr.write('\n');
    }
  return all;
}

async function refuseIfBusy(anyway: boolean): Promise<void> {
  const reasons = await reasonsAgainst();
  if (reasons.length === 0) return;
  const text = reasons.map((reason) => `  ${reason}`).join('\n');
  if (!anyway) command.error(`error: this would measure something else:\n${text}\nWait, or say --anyway.`);
  console.error(`measured anyway, so the numbers are not to be believed:\n${text}`);
}

const commandOf = (given: readonly string[]): string =>
  given.length === 0 ? 'make bench' : `make bench BENCH='${given.join(' ')}'`;

async function bench(flags: Flags): Promise<void> {
  const wanted = pick(peersWith(flags.before), flags.peers, '--peers');
  pick(scenarios, flags.only, '--only');
  const skipped = wanted.flatMap((kind) => kind.missing() ?? []);
  const kinds = wanted.filter((kind) => kind.missing() === undefined);
  for (const line of skipped) console.error(`skipped: ${line}`);
  await refuseIfBusy(flags.anyway === true);
  spawnSync('taskset', ['-acp', String(cores.load), String(process.pid)]);
  const account = startAccount();
  const measured = await measureAll(flags, kinds);
  const values = valuesOf(measured, flags.rounds);
  const facts = {
    date: new Date().toISOString().slice(0, 10),
    command: commandOf(process.argv.slice(2)),
    node: process.version,
    cores: cpus().length,
    rounds: flags.rounds,
    seconds: flags.seconds,
    ...account(),
  };
  const report: Report = {
    facts,
    peers: kinds.map(({name}) => name),
    skipped,
    values,
    floors: judgeAll(valuesOf(trusted(measured), flags.rounds)),
    measured,
  };
  await publish(flags, report);
}

/** What the table that everybody reads may be written from: all of it, beside all peers, often enough, with nothing in the way. */
const isWhole = ({only, peers, before, anyway, rounds}: Flags, {skipped}: Report): boolean =>
  [only, peers, before, anyway].every((flag) => flag === undefined) && rounds >= 3 && skipped.length === 0;

async function publish(flags: Flags, report: Report): Promise<void> {
  console.log(asText(report));
  mkdirSync(dirname(flags.json), {recursive: true});
  writeFileSync(flags.json, `${JSON.stringify(report, null, 2)}\n`);
  const results = flags.results ?? (isWhole(flags, report) ? join(root, 'bench/RESULTS.md') : undefined);
  if (results !== undefined) await writeMarkdown(results, report);
  if (report.measured.some(({peer, wrong}) => peer === 'ours' && wrong > 0)) process.exitCode = 1;
}

process.on('exit', killAll);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(130));
await bench(command.opts<Flags>());
process.exit();
