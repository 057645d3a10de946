/** Tables of measurements as text and Markdown, and their place in the results. */
import {readFileSync, writeFileSync} from 'node:fs';
import {format, resolveConfig} from 'prettier';
import type {Spread} from './results.ts';

const digits = (value: number): string => {
  const size = Math.abs(value);
  return value.toFixed(Number.isInteger(value) || size >= 100 ? 0 : size >= 10 ? 1 : 2);
};

export const show = ({median, min, max}: Spread): string => {
  const [low, high] = [digits(min), digits(max)];
  return low === high ? digits(median) : `${digits(median)} (${low}–${high})`;
};

/** For a terminal. The first line is the head. */
export const aligned = (lines: string[][]): string => {
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const pad = (text: string, column: number): string =>
    column === 0 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0);
  return lines.map((line) => line.map(pad).join('  ').trimEnd()).join('\n');
};

export const markdown = ([head = [], ...lines]: string[][]): string =>
  [head, head.map((_, column) => (column === 0 ? '---' : '--:')), ...lines]
    .map((line) => `| ${line.join(' | ')} |`)
    .join('\n');

/** Rewrites what stands between the marks of `command`; the prose around them is people's. */
export async function writeBetweenMarks(file: string, command: string, section: string): Promise<void> {
  const [begin, end] = [`<!-- ${command}: begin -->`, `<!-- ${command}: end -->`];
  const text = readFileSync(file, 'utf8');
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from === -1 || to < from) throw new Error(`${file} has no "${begin}" … "${end}"`);
  const written = `${text.slice(0, from + begin.length)}\n\n${section}\n\n${text.slice(to)}`;
  writeFileSync(file, await format(written, {...(await resolveConfig(file)), parser: 'markdown'}));
}
