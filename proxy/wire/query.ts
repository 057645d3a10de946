/** Queries pass by an allow-list, as headers do: they are where keys stand that cannot stand elsewhere. */
export function onlyParameters(query: URLSearchParams, names: readonly string[]): URLSearchParams {
  const passed = new URLSearchParams();
  for (const [name, value] of query) if (names.includes(name)) passed.append(name, value);
  return passed;
}
