/** The table: metrics down, peers across, and what the floors say. */
import type {FloorResult, Measured, Values} from './results.ts';
import {spreadOf} from './results.ts';
import {aligned, markdown, show, writeBetweenMarks} from './table.ts';

export type Facts = {
  date: string;
  command: string;
  node: string;
  cores: number;
  rounds: number;
  seconds: number;
  othersPercent: number;
  stolenPercent: number;
};
export type Report = {
  facts: Facts;
  peers: string[];
  skipped: string[];
  values: Values;
  floors: FloorResult[];
  measured: Measured[];
};

type Row = {title: string; metric: string; divide?: number};

const rows: Row[] = [
  {title: 'plain: CPU per request, µs', metric: 'plain.cpuUs'},
  {title: 'plain: answers per second, 32 connections', metric: 'plain.perSecond'},
  {title: 'one connection: p50, µs', metric: 'one.p50Us'},
  {title: 'one connection: p99, µs', metric: 'one.p99Us'},
  {title: '100 KB prompt: CPU per request, µs', metric: '100KB.cpuUs'},
  {title: '1 MB prompt: CPU per request, µs', metric: '1MB.cpuUs'},
  {title: '1 MB prompt: event loop stopped, p50, ms', metric: 'stops.stopP50Us', divide: 1_000},
  {title: '1 MB prompt: event loop stopped, p99, ms', metric: 'stops.stopP99Us', divide: 1_000},
  {title: '… of it CPU of its thread, p99, ms', metric: 'stops.stopCpuP99Us', divide: 1_000},
  {title: '1 MB prompt: a stream beside it, p99 delay, ms', metric: 'stops.besideP99Us', divide: 1_000},
  {title: 'SSE 500 × 50/s: CPU per chunk, µs', metric: 'sse.cpuUs'},
  {title: 'SSE 500 × 50/s: p50 delay, ms', metric: 'sse.p50Us', divide: 1_000},
  {title: 'SSE 500 × 50/s: p99 delay, ms', metric: 'sse.p99Us', divide: 1_000},
  {title: 'SSE 500 × 50/s: chunks lost', metric: 'sse.lost'},
  {title: 'memory, plain, MB', metric: 'plain.memoryMb'},
  {title: 'memory, one connection, MB', metric: 'one.memoryMb'},
  {title: 'memory, 100 KB prompts, MB', metric: '100KB.memoryMb'},
  {title: 'memory, 1 MB prompts, MB', metric: '1MB.memoryMb'},
  {title: 'memory, SSE, MB', metric: 'sse.memoryMb'},
  {title: 'memory per stream at 1,000, KB', metric: 'open.kilobytes'},
  {title: 'throughput after 1,000 aborts, % of before', metric: 'aborts.backPercent'},
  {title: 'streams left open after them', metric: 'aborts.leftOpen'},
];

const cell = (values: number[], divide: number): string => {
  const spread = spreadOf(values.map((value) => value / divide));
  return spread === undefined ? '–' : show(spread);
};

const ratioCell = ({values}: Report, to: string, metric: string): string => {
  const other = values(to, metric);
  return cell(
    values('ours', metric).map((value, round) => value / (other[round] ?? NaN)),
    1,
  );
};

/** The first line is the head. */
function table(report: Report): string[][] {
  const {peers, values} = report;
  const compared = peers.includes('ours') ? ['relay', 'before'].filter((peer) => peers.includes(peer)) : [];
  const measured = rows.filter(({metric}) => peers.some((peer) => spreadOf(values(peer, metric)) !== undefined));
  return [
    ['median (range)', ...peers, ...compared.map((peer) => `ours ÷ ${peer}`)],
    ...measured.map(({title, metric, divide = 1}) => [
      title,
      ...peers.map((peer) => cell(values(peer, metric), divide)),
      ...compared.map((peer) => ratioCell(report, peer, metric)),
    ]),
  ];
}

const floorLines = (floors: readonly FloorResult[]): string[][] => [
  ['floor', 'measured', ''],
  ...floors.map(({text, verdict, measured, unit}) => [
    text,
    measured === undefined ? '–' : `${show(measured)} ${unit}`,
    verdict,
  ]),
];

/** One line per peer and scenario with answers that were not what the upstream sent. */
function faultLines(measured: readonly Measured[]): string[] {
  const faulty = measured.filter(({wrong}) => wrong > 0);
  return faulty.map(
    ({peer, scenario, round, wrong, firstWrong}) =>
      `wrong answers: ${peer}, ${scenario}, round ${round + 1}: ${wrong}, the first: ${JSON.stringify(firstWrong?.slice(0, 120))}`,
  );
}

const factLine = ({date, command, node, cores, rounds, seconds, othersPercent, stolenPercent}: Facts): string =>
  `${date}, \`${command}\`, Node ${node}, ${cores} cores, ${rounds} interleaved rounds of ${seconds} s each; meanwhile ${othersPercent.toFixed(1)} % of a core went to other processes, ${stolenPercent.toFixed(1)} % to other machines.`;

export const asText = (report: Report): string =>
  [
    factLine(report.facts),
    ...report.skipped,
    '',
    aligned(table(report)),
    '',
    aligned(floorLines(report.floors)),
    ...faultLines(report.measured),
  ].join('\n');

const asMarkdown = (report: Report): string =>
  [
    factLine(report.facts),
    ...report.skipped.map((line) => `Not measured: ${line}`),
    markdown(table(report)),
    markdown(floorLines(report.floors)),
    ...faultLines(report.measured).map((line) => `- ${line}`),
  ].join('\n\n');

export const writeMarkdown = (file: string, report: Report): Promise<void> =>
  writeBetweenMarks(file, 'make bench', asMarkdown(report));
