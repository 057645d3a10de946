/** What each peer has to do. Each scenario has a fresh process of the peer and warms it up itself. */
import {readFileSync} from 'node:fs';
import {nowUs, pass} from './clock.ts';
import {cpuOf, memoryOf, peakMemoryOf} from './cpu.ts';
import {countWrong, type Load, type Peer, startLoad, type Tally} from './load.ts';
import {percentile} from './statistics.ts';
import {openStreams, type Streams} from './streams.ts';
import type {UpstreamState} from './upstream.ts';

export type Run = {
  peer: Peer;
  /** Undefined where nothing is between load and upstream. */
  pid: number | undefined;
  upstream: () => Promise<UpstreamState>;
  /** How long is measured. */
  seconds: number;
  /** Where a watched peer writes the turns of its event loop. */
  turnsFile: string | undefined;
};

/** Missing: not to be had of this peer. */
export type Metrics = Record<string, number>;
export type Outcome = {metrics: Metrics; wrong: number; rewritten: number; firstWrong: string | undefined};
export type Scenario = {name: string; watchesEventLoop?: true; run(run: Run): Promise<Outcome>};

const megabyte = 1_000_000;

/** Waits for a condition, but not for ever: what did not come is for the caller to count. */
async function waitFor(condition: () => boolean | Promise<boolean>, atMostMs: number): Promise<void> {
  for (const end = performance.now() + atMostMs; performance.now() < end && !(await condition());) await pass(20);
}

const outcomeOf = (metrics: Metrics, ...tallies: Tally[]): Outcome => ({
  metrics,
  wrong: tallies.reduce((sum, {wrong}) => sum + wrong, 0),
  rewritten: tallies.reduce((sum, {rewritten}) => sum + rewritten, 0),
  firstWrong: tallies.find(({firstWrong}) => firstWrong !== undefined)?.firstWrong,
});

/** CPU per piece of work over `seconds`, and the most memory since the peer's start. */
async function watch(
  {pid, seconds}: Run,
  count: () => number,
): Promise<{perSecond: number; cpuUs?: number; memoryMb?: number}> {
  const [startedUs, counted, cpu] = [nowUs(), count(), pid === undefined ? 0 : cpuOf(pid)];
  await pass(seconds * 1_000);
  const [spanUs, done, used] = [nowUs() - startedUs, count() - counted, pid === undefined ? 0 : cpuOf(pid) - cpu];
  const perSecond = (done / spanUs) * 1e6;
  if (pid === undefined || done === 0) return {perSecond};
  return {perSecond, cpuUs: used / done, memoryMb: peakMemoryOf(pid) / 1_024};
}

const leastSlices = 10;

/**
 * Until V8 has compiled what is hot: CPU per answer has stopped falling, which takes tens of thousands of requests where there is much
 * code. One slice where there is no peer.
 */
async function warmUp({pid, seconds}: Run, {tally}: Load, atMost = 16): Promise<void> {
  const slices = pid === undefined ? 1 : atMost;
  let best = Infinity;
  for (let slice = 0, settled = 0; slice < slices && (slice < leastSlices || settled < 2); slice += 1) {
    const [answers, cpu] = [tally.answers, pid === undefined ? 0 : cpuOf(pid)];
    await pass(seconds * 250);
    const perAnswer = ((pid === undefined ? 0 : cpuOf(pid)) - cpu) / (tally.answers - answers);
    settled = perAnswer > best * 0.95 ? settled + 1 : 0;
    best = Math.min(best, perAnswer);
  }
}

type Asking = {connections: number; promptBytes: number};

async function measure(run: Run, asking: Asking, warmSlices?: number): Promise<{metrics: Metrics; tally: Tally}> {
  const load = startLoad(run.peer, asking);
  await warmUp(run, load, warmSlices);
  load.takeTimes();
  const {perSecond, cpuUs, memoryMb} = await watch(run, () => load.tally.answers);
  const took = load.takeTimes().map(({tookUs}) => tookUs);
  await load.stop();
  if (perSecond === 0) countWrong(load.tally, `no answer for ${run.seconds} s`);
  const metrics = {
    perSecond,
    ...(cpuUs !== undefined && {cpuUs}),
    ...(memoryMb !== undefined && {memoryMb}),
    p50Us: percentile(took, 50),
    p99Us: percentile(took, 99),
  };
  return {metrics, tally: load.tally};
}

const plain: Asking = {connections: 32, promptBytes: 1_750};

const asking = (name: string, what: Asking): Scenario => ({
  name,
  async run(run) {
    const {metrics, tally} = await measure(run, what);
    return outcomeOf(metrics, tally);
  },
});

/** Latency of a peer that is warm and has nothing else to do. */
const one: Scenario = {
  name: 'one',
  async run(run) {
    const many = startLoad(run.peer, plain);
    await warmUp(run, many);
    await many.stop();
    const {metrics, tally} = await measure(run, {...plain, connections: 1}, 1);
    const kept = ['p50Us', 'p99Us', 'memoryMb'].filter((key) => metrics[key] !== undefined);
    return outcomeOf(Object.fromEntries(kept.map((key) => [key, metrics[key] ?? NaN])), many.tally, tally);
  },
};

/** What was not delivered long after it was sent counts as lost. */
async function untilEnded(streams: Streams, shouldTakeMs: number): Promise<void> {
  let ended = false;
  void streams.ended.then(() => (ended = true));
  await waitFor(() => ended, shouldTakeMs * 3 + 5_000);
  streams.leave();
}

const sse: Scenario = {
  name: 'sse',
  async run(run) {
    const [count, perSecond] = [500, 50];
    const chunks = Math.ceil(perSecond * (run.seconds + 6)); // warm for five seconds, and some time to open and to end
    const streams = await openStreams(run.peer, count, {chunks, perSecond});
    await pass(5_000);
    streams.takeDelays();
    const {cpuUs, memoryMb} = await watch(run, streams.chunks);
    const delays = streams.takeDelays();
    await untilEnded(streams, run.seconds * 1_000);
    const lost = count * chunks - streams.chunks();
    const metrics = {
      ...(cpuUs !== undefined && {cpuUs}),
      ...(memoryMb !== undefined && {memoryMb}),
      p50Us: percentile(delays, 50),
      p99Us: percentile(delays, 99),
      lost,
    };
    const unfinished = lost > 0 && streams.tally.wrong === 0;
    const firstWrong = unfinished ? `${lost} chunks did not come in time` : streams.tally.firstWrong;
    return {...outcomeOf(metrics, streams.tally), wrong: streams.tally.wrong + (unfinished ? 1 : 0), firstWrong};
  },
};

type Turn = {beginUs: number; lengthUs: number; cpuUs: number};

const readTurns = (file: string): Turn[] =>
  readFileSync(file, 'latin1')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [beginUs = 0, lengthUs = 0, cpuUs = 0] = line.split(' ').map(Number);
      return {beginUs, lengthUs, cpuUs};
    });

/** One prompt of 1 MB after the other, beside one fast stream that shows from outside what they hold up. */
const stops: Scenario = {
  name: 'stops',
  watchesEventLoop: true,
  async run(run) {
    const chunks = Math.ceil(500 * (run.seconds + 1.5));
    const streams = await openStreams(run.peer, 1, {chunks, perSecond: 500});
    const load = startLoad(run.peer, {connections: 1, promptBytes: megabyte});
    await pass(1_000);
    load.takeTimes();
    streams.takeDelays();
    await pass(run.seconds * 1_000);
    const times = load.takeTimes();
    const delays = streams.takeDelays();
    await load.stop();
    await untilEnded(streams, 1_000);
    const metrics: Metrics = {besideP99Us: percentile(delays, 99)};
    if (run.turnsFile !== undefined) Object.assign(metrics, stopsOf(times, readTurns(run.turnsFile)));
    return outcomeOf(metrics, load.tally, streams.tally);
  },
};

/** The longest turn of the event loop during each request. */
function stopsOf(times: {askedUs: number; tookUs: number}[], turns: Turn[]): Metrics {
  const longest = (key: 'lengthUs' | 'cpuUs'): number[] =>
    times.map(({askedUs, tookUs}) => {
      const during = turns.filter(({beginUs, lengthUs}) => beginUs + lengthUs > askedUs && beginUs < askedUs + tookUs);
      return during.reduce((most, turn) => Math.max(most, turn[key]), 0);
    });
  const [wall, cpu] = [longest('lengthUs'), longest('cpuUs')];
  return {stopP50Us: percentile(wall, 50), stopP99Us: percentile(wall, 99), stopCpuP99Us: percentile(cpu, 99)};
}

/** Memory of 1,000 streams that say little. */
const open: Scenario = {
  name: 'open',
  async run(run) {
    const count = 1_000;
    const few = await openStreams(run.peer, 100, {chunks: 10, perSecond: 50});
    await untilEnded(few, 1_000);
    await pass(300);
    const before = run.pid === undefined ? 0 : memoryOf(run.pid);
    const streams = await openStreams(run.peer, count, {chunks: 60, perSecond: 1});
    await waitFor(() => streams.withChunks(2) === count, 10_000);
    const opened = streams.withChunks(2);
    const kilobytes = run.pid === undefined ? undefined : (memoryOf(run.pid) - before) / count;
    streams.leave();
    const outcome = outcomeOf(kilobytes === undefined ? {} : {kilobytes}, few.tally, streams.tally);
    if (opened === count) return outcome;
    return {
      ...outcome,
      wrong: outcome.wrong + count - opened,
      firstWrong: `${count - opened} of ${count} streams had no second chunk`,
    };
  },
};

/** Throughput after 1,000 callers have left in the middle of their streams, against before; both once V8 has compiled what then runs. */
const aborts: Scenario = {
  name: 'aborts',
  async run(run) {
    const before = await measure(run, plain);
    const tallies = [before.tally];
    for (let wave = 0; wave < 4; wave += 1) {
      const streams = await openStreams(run.peer, 250, {chunks: 1_000, perSecond: 50});
      await waitFor(() => streams.withChunks(1) === 250, 5_000);
      const silent = 250 - streams.withChunks(1);
      if (silent > 0) countWrong(streams.tally, `${silent} of 250 streams had no chunk`);
      streams.leave();
      tallies.push(streams.tally);
    }
    await waitFor(async () => (await run.upstream()).streams === 0, 5_000);
    const {streams: leftOpen} = await run.upstream();
    const after = await measure(run, plain);
    tallies.push(after.tally);
    if (leftOpen > 0) countWrong(after.tally, `${leftOpen} streams were left open at the upstream`);
    const [was = NaN, is = NaN] = [before, after].map(({metrics}) => metrics['perSecond']);
    return outcomeOf({backPercent: (is / was) * 100, leftOpen}, ...tallies);
  },
};

export const scenarios: Scenario[] = [
  asking('plain', plain),
  one,
  asking('100KB', {connections: 8, promptBytes: 100_000}),
  asking('1MB', {connections: 4, promptBytes: megabyte}),
  stops,
  sse,
  open,
  aborts,
];
