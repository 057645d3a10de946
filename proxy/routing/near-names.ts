/** Names that a caller may have meant. */

/** Levenshtein's distance, two rows of it. */
function distance(a: string, b: string): number {
  let previous = Array.from({length: b.length + 1}, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(replaced, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    previous = row;
  }
  return previous[b.length] ?? 0;
}

const longestName = 128; // a caller may send a megabyte as a name; nobody means that
const shortestPart = 3; // what is shorter is part of nearly everything

const holds = (whole: string, part: string): boolean => part.length >= shortestPart && whole.includes(part);

/** Infinity: too far apart, without the work of counting where the lengths alone say so. */
function scoreOf(wanted: string, name: string, limit: number): number {
  if (holds(name, wanted) || holds(wanted, name)) return 1;
  if (Math.abs(wanted.length - name.length) > limit) return Infinity;
  const apart = distance(wanted, name);
  const hasNothingInCommon = apart >= Math.max(wanted.length, name.length);
  return apart > limit || hasNothingInCommon ? Infinity : apart;
}

/** Up to three of `names`, the nearest first: a few letters apart, or one holds the other. */
export function nearNames(wanted: string, names: readonly string[]): string[] {
  if (wanted.length > longestName) return [];
  const low = wanted.toLowerCase();
  const limit = Math.max(2, Math.floor(wanted.length / 3));
  return names
    .map((name) => ({name, score: scoreOf(low, name.toLowerCase(), limit)}))
    .filter(({score}) => score !== Infinity)
    .sort((a, b) => a.score - b.score)
    .slice(0, 3)
    .map(({name}) => name);
}
