/** The independent load client (caller/, in Go), built and run: a steady load, its report, and single calls. */
import {spawn, spawnSync, type ChildProcess} from 'node:child_process';
import {once} from 'node:events';
import {mkdirSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {until} from '../until.ts';

type Spread = {p50: number; p99: number; max: number};

/** What came of one call; of an answer that says what failed `status 503 no_endpoint` or `event upstream_cut`. */
export type Failure = {
  kind: 'plain' | 'stream';
  outcome: string;
  detail?: string;
  /** RFC 3339. */
  at: string;
  backend?: string;
  server?: string;
  attempts?: string;
  requestId?: string;
  remote?: string;
};

export type LoadReport = {
  ok: number;
  failed: number;
  seconds: number;
  /** Calls by outcome: `ok`, `cut`, `connect`, `timeout`, `malformed`, and what answers said themselves. */
  plain: Record<string, number>;
  streams: Record<string, number>;
  /** Answers by `x-modelroute-backend`, and by what a server calls itself. */
  backends: Record<string, number>;
  servers: Record<string, number>;
  connections: {opened: number; reused: number; redialed: number};
  plainLatencyMs: Spread;
  firstTokenMs: Spread;
  tokenGapMs: Spread;
  firstFailureAt?: string;
  lastFailureAt?: string;
  /** The first 20. */
  failures: Failure[];
};

export type LoadOptions = {
  /** With `/v1`. */
  url: string;
  model?: string;
  /** The default is what two cores carry beside a cluster. */
  plainPerSecond?: number;
  streams?: number;
  plainTokens?: number;
  streamTokens?: number;
  /** Tokens per second of a stream. */
  pace?: number;
  /** Until stopped unless set. */
  seconds?: number;
  /** How long a plain call may take. */
  timeoutSeconds?: number;
  /** What a simulator is told to do with each request. */
  simulate?: object;
  /** `any`: of a model that says what it likes. */
  expect?: 'exact' | 'any';
  /** HOST:PORT of a name server. */
  dns?: string;
};

/** How a command is started: nothing for here, a script and its arguments for elsewhere. */
export type Place = readonly string[];

const source = fileURLToPath(new URL('caller', import.meta.url));
const binary = fileURLToPath(new URL('../../.run/caller', import.meta.url));

export const goIsThere = (): boolean => spawnSync('go', ['version']).status === 0;

/** Builds it, in a moment if nothing has changed; its path. */
export function buildCaller(): string {
  mkdirSync(join(binary, '..'), {recursive: true});
  const built = spawnSync('go', ['build', '-trimpath', '-ldflags', '-s -w', '-o', binary, '.'], {
    cwd: source,
    env: {...process.env, CGO_ENABLED: '0', GOFLAGS: ''},
    encoding: 'utf8',
  });
  if (built.status !== 0) throw new Error(`the load client does not build:\n${built.stderr}`);
  return binary;
}

const flag = (name: string, value: string | number | undefined): string[] =>
  value === undefined ? [] : [`--${name}`, String(value)];

const seconds = (value: number | undefined): string | undefined => (value === undefined ? undefined : `${value}s`);

const commonFlags = ({url, model, simulate, expect, dns, timeoutSeconds}: Omit<LoadOptions, 'seconds'>): string[] => [
  ...flag('url', url),
  ...flag('model', model),
  ...flag('simulate', simulate === undefined ? undefined : JSON.stringify(simulate)),
  ...flag('expect', expect),
  ...flag('dns', dns),
  ...flag('timeout', seconds(timeoutSeconds)),
];

const loadFlags = (options: LoadOptions): string[] => [
  ...commonFlags(options),
  ...flag('plain', options.plainPerSecond),
  ...flag('plain-tokens', options.plainTokens),
  ...flag('streams', options.streams),
  ...flag('stream-tokens', options.streamTokens),
  ...flag('pace', options.pace),
  ...flag('duration', seconds(options.seconds)),
  '--until-eof',
];

type Running = {child: ChildProcess; out: () => string; err: () => string; ended: Promise<unknown>};

let built: string | undefined;

/** In a process group of its own, so that a signal reaches it through whatever stands before it; its standard input ends with this process. */
function run(place: Place, args: string[]): Running {
  const [command, ...rest] = [...place, (built ??= buildCaller()), ...args];
  if (command === undefined) throw new Error('bug: no command');
  const child = spawn(command, rest, {stdio: ['pipe', 'pipe', 'pipe'], detached: true});
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err = (err + text).slice(-4_000)));
  return {child, out: () => out, err: () => err, ended: once(child, 'close')};
}

function signal({child}: Running, name: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, name);
  } catch {
    // It has ended.
  }
}

/** As caller/ writes it. */
const answerOf = ({out, err}: Running): unknown => {
  try {
    return JSON.parse(out()) as unknown;
  } catch {
    throw new Error(`the load client said nothing:\n${err()}`);
  }
};

export type Load = {
  /** The newest line of what it counts. */
  status: () => string;
  counts: () => {ok: number; failed: number; running: number};
  /** Lets what runs come to its end. */
  stop: () => Promise<LoadReport>;
  /** The report, when `seconds` are over. */
  ended: () => Promise<LoadReport>;
  /** At once, for whoever cleans up. */
  kill: () => void;
};

export function startLoad(options: LoadOptions, place: Place = []): Load {
  const running = run(place, ['load', ...loadFlags(options)]);
  const status = (): string => running.err().trimEnd().split('\n').at(-1) ?? '';
  const ended = async (): Promise<LoadReport> => {
    await running.ended;
    return answerOf(running) as LoadReport;
  };
  return {
    status,
    counts() {
      const counted = /: (\d+) ok, (\d+) failed, (\d+) running/.exec(status()) ?? [];
      const [ok = 0, failed = 0, running = 0] = counted.slice(1).map(Number);
      return {ok, failed, running};
    },
    stop() {
      signal(running, 'SIGTERM');
      return ended();
    },
    ended,
    kill: () => signal(running, 'SIGKILL'),
  };
}

/** Until so many more answers were whole, or any has failed. */
export async function flow(load: Load, answers: number): Promise<void> {
  const start = load.counts();
  await until(
    () => load.counts().ok >= start.ok + answers || load.counts().failed > start.failed,
    `${answers} more answers; the load client says "${load.status()}"`,
    120_000,
  );
}

export type WholeAnswer = {
  /** Milliseconds since 1970. */
  atMs: number;
  attempts: number;
  backend: string;
};

/** Asks every 50 ms until an answer is whole. @throws what the last one was, if none is within `withinSeconds` */
export async function firstAnswer(
  options: LoadOptions & {withinSeconds: number},
  place: Place = [],
): Promise<WholeAnswer> {
  const running = run(place, ['until', ...commonFlags(options), ...flag('within', seconds(options.withinSeconds))]);
  await running.ended;
  return answerOf(running) as WholeAnswer;
}

export type Fetched = {status: number; headers: Record<string, string[]>; body: string};

/** One exchange. @throws if there is no answer */
export async function fetchFrom(
  {url, body, method, dns}: {url: string; body?: object; method?: string; dns?: string},
  place: Place = [],
): Promise<Fetched> {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const flags = [...flag('url', url), ...flag('method', method), ...flag('body', text), ...flag('dns', dns)];
  const running = run(place, ['fetch', ...flags]);
  await running.ended;
  return answerOf(running) as Fetched;
}

const shown = ({at, kind, outcome, detail, backend, server, attempts, requestId, remote}: Failure): string =>
  `  ${at} ${kind} ${outcome} backend=${backend ?? '-'} server=${server ?? '-'} attempts=${attempts ?? '-'} ` +
  `request=${requestId ?? '-'} connection=${remote ?? '-'}\n    ${detail ?? ''}`;

/** @throws with what failed and when, unless all of at least `atLeast` answers were whole */
export function mustHaveNoFailures(report: LoadReport, what: string, atLeast = 100): void {
  if (report.failed === 0 && report.ok >= atLeast) return;
  const {failures, ...counts} = report;
  throw new Error(
    `${what}: ${report.failed} of ${report.ok + report.failed} calls failed (at least ${atLeast} were expected to succeed)\n` +
      `${JSON.stringify(counts, null, 2)}\n${failures.map(shown).join('\n')}`,
  );
}
