/** The table of the operator's measurements, and its place in the results. */
import {readFileSync, writeFileSync} from 'node:fs';
import {format, resolveConfig} from 'prettier';
import type {Spread} from '../results.ts';
import type {Result} from './rows.ts';

export type Facts = {
  date: string;
  command: string;
  node: string;
  cores: number;
  rounds: number;
  /** The most that went to others while one of the measurements ran, percent of a core. */
  othersPercent: number;
  stolenPercent: number;
  /** Why this machine was not one to measure on; empty: it was. */
  busy: string[];
};

export type Report = {facts: Facts; results: Result[]; faults: string[]};

const digits = (value: number): string =>
  value.toFixed(Number.isInteger(value) || Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2);

const show = ({median, min, max}: Spread): string => {
  const [low, high] = [digits(min), digits(max)];
  return low === high ? digits(median) : `${digits(median)} (${low}–${high})`;
};

const factLine = ({date, command, node, cores, rounds, othersPercent, stolenPercent}: Facts): string =>
  `${date}, \`${command}\`, Node ${node}, ${cores} cores, ${rounds} ${rounds === 1 ? 'round' : 'rounds'}; ` +
  `meanwhile up to ${othersPercent.toFixed(1)} % of a core went to other processes, ${stolenPercent.toFixed(1)} % to other machines.`;

const busyLines = ({busy}: Facts): string[] =>
  busy.length === 0 ? [] : [`On a busy machine, so the times are longer than they would be: ${busy.join('; ')}.`];

const lines = (results: readonly Result[]): string[][] => [
  ['median (range)', 'measured', 'limit', ''],
  ...results.map(({title, measured, limit, verdict}) => [title, show(measured), limit, verdict]),
];

const aligned = (table: string[][]): string => {
  const widths = (table[0] ?? []).map((_, column) => Math.max(...table.map((line) => line[column]?.length ?? 0)));
  const pad = (text: string, column: number): string =>
    column === 0 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0);
  return table.map((line) => line.map(pad).join('  ').trimEnd()).join('\n');
};

export const asText = ({facts, results, faults}: Report): string =>
  [factLine(facts), ...busyLines(facts), '', aligned(lines(results)), ...faults].join('\n');

const markdown = ([head = [], ...table]: string[][]): string =>
  [head, head.map((_, column) => (column === 0 ? '---' : '--:')), ...table]
    .map((line) => `| ${line.join(' | ')} |`)
    .join('\n');

const asMarkdown = ({facts, results, faults}: Report): string =>
  [factLine(facts), ...busyLines(facts), markdown(lines(results)), ...faults.map((fault) => `- ${fault}`)].join('\n\n');

const [begin, end] = ['<!-- make bench-operator: begin -->', '<!-- make bench-operator: end -->'];

/** Rewrites what stands between the marks, and nothing else. */
export async function writeMarkdown(file: string, report: Report): Promise<void> {
  const text = readFileSync(file, 'utf8');
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from === -1 || to < from) throw new Error(`${file} has no "${begin}" … "${end}"`);
  const written = `${text.slice(0, from + begin.length)}\n\n${asMarkdown(report)}\n\n${text.slice(to)}`;
  writeFileSync(file, await format(written, {...(await resolveConfig(file)), parser: 'markdown'}));
}
