/** What was measured, by peer, scenario and round; and what is asked of it. */
import {median} from './statistics.ts';
import type {Outcome} from './scenarios.ts';

export type Measured = Outcome & {round: number; peer: string; scenario: string};

/** Metric of a scenario, `plain.cpuUs`. One number per round, NaN where there is none. */
export type Values = (peer: string, metric: string) => number[];

export const valuesOf =
  (all: readonly Measured[], rounds: number): Values =>
  (peer, metric) => {
    const [scenario = '', key = ''] = metric.split('.');
    return Array.from({length: rounds}, (_, round) => {
      const found = all.find((each) => each.round === round && each.peer === peer && each.scenario === scenario);
      return found?.metrics[key] ?? NaN;
    });
  };

/** What counts for the floors: where an answer was wrong, no number does, but that of the chunks lost. */
export const trusted = (all: readonly Measured[]): Measured[] =>
  all.map((one) => {
    const {lost} = one.metrics;
    return one.wrong === 0 ? one : {...one, metrics: lost === undefined ? {} : {lost}};
  });

export type Spread = {median: number; min: number; max: number};

/** Over the rounds that have a number. */
export function spreadOf(values: readonly number[]): Spread | undefined {
  const known = values.filter((value) => Number.isFinite(value));
  return known.length === 0 ? undefined : {median: median(known), min: Math.min(...known), max: Math.max(...known)};
}

/** Round by round, so that what changed between rounds changed both. */
const each = (one: number[], other: number[], join: (one: number, other: number) => number): number[] =>
  one.map((value, round) => join(value, other[round] ?? NaN));
const ratio = (one: number[], other: number[]): number[] => each(one, other, (a, b) => a / b);

type Floor = {
  text: string;
  unit: string;
  holds: (value: number) => boolean;
  of: (values: Values) => number[];
  /** Every round has to hold, not the median. */
  always?: true;
};

const toRelay =
  (metric: string) =>
  (values: Values): number[] =>
    ratio(values('ours', metric), values('relay', metric));
const overDirect =
  (metric: string) =>
  (values: Values): number[] =>
    each(values('ours', metric), values('direct', metric), (ours, direct) => (ours - direct) / 1_000);
const ours =
  (metric: string) =>
  (values: Values): number[] =>
    values('ours', metric);

/** Scenarios that say how much memory they took. */
const loads = ['plain', 'one', '100KB', '1MB', 'sse'];

const floors: Floor[] = [
  {text: 'plain: CPU per request ≤ 1.8 × the relay', unit: '×', holds: (x) => x <= 1.8, of: toRelay('plain.cpuUs')},
  {
    text: 'plain: requests per core ≥ 8 × Portkey',
    unit: '×',
    holds: (x) => x >= 8,
    of: (values) => ratio(values('portkey', 'plain.cpuUs'), values('ours', 'plain.cpuUs')),
  },
  {text: 'one connection: added p50 < 0.2 ms', unit: 'ms', holds: (x) => x < 0.2, of: overDirect('one.p50Us')},
  {text: 'SSE: no chunk lost', unit: 'chunks', holds: (x) => x === 0, of: ours('sse.lost'), always: true},
  {text: 'SSE: CPU per chunk ≤ 1.3 × the relay', unit: '×', holds: (x) => x <= 1.3, of: toRelay('sse.cpuUs')},
  {text: 'SSE: added p99 delay < 8 ms', unit: 'ms', holds: (x) => x < 8, of: overDirect('sse.p99Us')},
  {text: '100 KB prompt: CPU ≤ 1.3 × the relay', unit: '×', holds: (x) => x <= 1.3, of: toRelay('100KB.cpuUs')},
  {
    text: 'memory under load ≤ 180 MB',
    unit: 'MB',
    holds: (x) => x <= 180,
    of: (values) =>
      loads.map((load) => values('ours', `${load}.memoryMb`)).reduce((one, other) => each(one, other, Math.max)),
  },
  {text: 'memory per stream at 1,000 ≤ 120 KB', unit: 'KB', holds: (x) => x <= 120, of: ours('open.kilobytes')},
  {
    text: 'a 1 MB body stops the event loop < 2 ms (p99)',
    unit: 'ms',
    holds: (x) => x < 2,
    of: (values) => values('ours', 'stops.stopP99Us').map((us) => us / 1_000),
  },
  {text: 'throughput after 1,000 aborts ≥ 95 %', unit: '%', holds: (x) => x >= 95, of: ours('aborts.backPercent')},
];

export type FloorResult = {
  text: string;
  verdict: 'met' | 'not met' | 'not measured';
  measured: Spread | undefined;
  unit: string;
};

/** A round without a number leaves a floor open; but one that every round has to hold may have been missed by then. */
function judge({text, unit, holds, of, always}: Floor, values: Values): FloorResult {
  const rounds = of(values);
  const measured = spreadOf(rounds);
  if (measured === undefined) return {text, verdict: 'not measured', measured, unit};
  const deciding = always === true ? [measured.min, measured.max] : [measured.median];
  if (always === true && !deciding.every(holds)) return {text, verdict: 'not met', measured, unit};
  if (!rounds.every(Number.isFinite)) return {text, verdict: 'not measured', measured: undefined, unit};
  return {text, verdict: deciding.every(holds) ? 'met' : 'not met', measured, unit};
}

export const judgeAll = (values: Values): FloorResult[] => floors.map((floor) => judge(floor, values));
