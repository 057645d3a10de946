/** The name that was probably meant. */

/** Levenshtein's distance, case ignored. */
const distance = (a: string, b: string): number => {
  let row = Array.from({length: b.length + 1}, (_, index) => index);
  for (const [i, left] of Array.from(a).entries()) {
    const next = [i + 1];
    for (const [j, right] of Array.from(b).entries())
      next.push(Math.min((next[j] ?? 0) + 1, (row[j + 1] ?? 0) + 1, (row[j] ?? 0) + (left === right ? 0 : 1)));
    row = next;
  }
  return row.at(-1) ?? 0;
};

/** The nearest of `known`, if it is near enough that a slip explains it: a third of the letters, at most three. */
export const nearest = (name: string, known: readonly string[]): string | undefined => {
  if (name.length > 64) return undefined; // no slip is that long, and the distance takes quadratic time
  const lower = name.toLowerCase();
  const [best] = known
    .map((candidate) => ({candidate, far: distance(lower, candidate.toLowerCase())}))
    .sort((a, b) => a.far - b.far);
  return best !== undefined && best.far <= Math.min(3, Math.ceil(name.length / 3)) ? best.candidate : undefined;
};
