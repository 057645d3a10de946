/** Sizes as Kubernetes quantities: `32Mi`, `1G`, `65536`. */
const factors: Record<string, number> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** To bytes. The resources' schema has checked the text. */
export const parseSize = (size: string | number): number => {
  const match = /^(\d+)([kMGT]|[KMGT]i)?$/.exec(String(size));
  if (match === null) throw new Error(`bug: the schema let "${size}" pass as a size`);
  return Number(match[1]) * (factors[match[2] ?? ''] ?? 1);
};
