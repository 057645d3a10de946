/** The table of the operator's measurements, and its place in the results. */
import {aligned, markdown, show, writeBetweenMarks} from '../table.ts';
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

const factLine = ({date, command, node, cores, rounds, othersPercent, stolenPercent}: Facts): string =>
  `${date}, \`${command}\`, Node ${node}, ${cores} cores, ${rounds} ${rounds === 1 ? 'round' : 'rounds'}; ` +
  `meanwhile up to ${othersPercent.toFixed(1)} % of a core went to other processes, ${stolenPercent.toFixed(1)} % to other machines.`;

const busyLines = ({busy}: Facts): string[] =>
  busy.length === 0 ? [] : [`On a busy machine, so the times are longer than they would be: ${busy.join('; ')}.`];

const lines = (results: readonly Result[]): string[][] => [
  ['median (range)', 'measured', 'limit', ''],
  ...results.map(({title, measured, limit, verdict}) => [title, show(measured), limit, verdict]),
];

export const asText = ({facts, results, faults}: Report): string =>
  [factLine(facts), ...busyLines(facts), '', aligned(lines(results)), ...faults].join('\n');

const asMarkdown = ({facts, results, faults}: Report): string =>
  [factLine(facts), ...busyLines(facts), markdown(lines(results)), ...faults.map((fault) => `- ${fault}`)].join('\n\n');

export const writeMarkdown = (file: string, report: Report): Promise<void> =>
  writeBetweenMarks(file, 'make bench-operator', asMarkdown(report));
