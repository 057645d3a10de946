/** What can be wrong with files, said so that a person finds the place and knows what to write there. */
import {pathText} from '../plan/text.ts';

export type Path = readonly (string | number)[];

/** Both count from 1. */
export type Position = {line: number; column: number};

/**
 * - `RejectsAll`: the files are not used at all; what ran before goes on running.
 * - `ExcludesRoute`, `ExcludesBackend`: that one alone takes no traffic.
 * - `Warns`: nothing is left out.
 */
export type Effect = 'RejectsAll' | 'ExcludesRoute' | 'ExcludesBackend' | 'Warns';

export type FileProblem = {
  file: string;
  line: number;
  column?: number;
  /** As it is written in docs, such as `spec.backends[0].timeouts.connect`; '' for the whole document. */
  path: string;
  /** What is wrong and what would be right. */
  message: string;
  severity: 'Error' | 'Warning';
  effect: Effect;
};

/** Somewhere in a file that positions can be asked of. */
export type Located = {
  file: string;
  /** Where an item of a List stands in its document: `['items', 2]`. */
  prefix: Path;
  locate: (path: Path) => Position;
};

/** A problem at a field of an object; a field that is missing is reported where it would have to be added. */
export const problemAt = (
  source: Located,
  path: Path,
  message: string,
  effect: Effect = 'RejectsAll',
): FileProblem => ({
  file: source.file,
  ...source.locate(path),
  path: pathText([...source.prefix, ...path]),
  message,
  severity: effect === 'Warns' ? 'Warning' : 'Error',
  effect,
});

/** A problem of a file as a whole. */
export const problemOfFile = (file: string, message: string, line = 1): FileProblem => ({
  file,
  line,
  path: '',
  message,
  severity: 'Error',
  effect: 'RejectsAll',
});

const compareText = (a: string, b: string): number => {
  if (a === b) return 0;
  return a < b ? -1 : 1;
};

/** By file, then by place in it. */
export const compareProblems = (a: FileProblem, b: FileProblem): number =>
  compareText(a.file, b.file) ||
  a.line - b.line ||
  (a.column ?? 0) - (b.column ?? 0) ||
  compareText(a.path, b.path) ||
  compareText(a.message, b.message);
