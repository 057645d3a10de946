/** Patterns of model names: exact, or with one `*` at the start or at the end. */

type Pattern = {kind: 'Exact' | 'Prefix' | 'Suffix'; text: string};

const patternOf = (name: string): Pattern => {
  if (name.endsWith('*')) return {kind: 'Prefix', text: name.slice(0, -1)};
  if (name.startsWith('*')) return {kind: 'Suffix', text: name.slice(1)};
  return {kind: 'Exact', text: name};
};

const matches = ({kind, text}: Pattern, name: string): boolean => {
  if (kind === 'Exact') return name === text;
  return kind === 'Prefix' ? name.startsWith(text) : name.endsWith(text);
};

/** Whether some model name fits both. */
export const overlap = (one: string, other: string): boolean => {
  const a = patternOf(one);
  const b = patternOf(other);
  if (a.kind === 'Exact') return matches(b, a.text);
  if (b.kind === 'Exact') return matches(a, b.text);
  // The start of one with the end of the other always make a name; so does the bare `*`, a prefix of nothing.
  if (a.kind !== b.kind) return true;
  return matches(a, b.text) || matches(b, a.text);
};

/** Whether every model name that fits `name` fits `pattern` too. */
export const covers = (pattern: string, name: string): boolean => {
  const outer = patternOf(pattern);
  const inner = patternOf(name);
  if (outer.text === '' && outer.kind !== 'Exact') return true;
  if (inner.kind === 'Exact') return matches(outer, inner.text);
  return inner.kind === outer.kind && matches(outer, inner.text);
};
