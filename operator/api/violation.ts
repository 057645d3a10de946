/** One thing that is wrong with an object. */
export type Path = readonly (string | number)[];

/** `path` leads to the field; where it is missing, to where it would be. The message says what is wrong and what would be right. */
export type Violation = {path: (string | number)[]; message: string};

const longestShown = 60;

/** A value as a message shows it: short, and of a kind that the reader recognises from his file. */
export const show = (value: unknown): string => {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? 'nothing');
  const shown = text.length > longestShown ? `${Array.from(text).slice(0, longestShown).join('')}…` : text;
  return typeof value === 'string' ? shown : `the ${typeof value} ${shown}`;
};

/** Where faults have been found. */
export type Faults = {
  at: (path: Path) => boolean;
  /** There, or below. */
  within: (path: Path) => boolean;
};

export const faultsOf = (violations: readonly Violation[]): Faults => {
  const paths = violations.map(({path}) => path);
  const at = new Set(paths.map((path) => JSON.stringify(path)));
  const within = new Set(paths.flatMap((path) => path.map((_, end) => JSON.stringify(path.slice(0, end + 1)))));
  return {at: (path) => at.has(JSON.stringify(path)), within: (path) => within.has(JSON.stringify(path))};
};
