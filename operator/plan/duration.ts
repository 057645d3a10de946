/** Gateway API durations (GEP-2257): `500ms`, `10s`, `1m30s`. */
const milliseconds: Record<string, number> = {h: 3_600_000, m: 60_000, s: 1000, ms: 1};

/** To milliseconds. The resources' schema has checked the text. */
export const parseDuration = (text: string): number => {
  if (!/^([0-9]{1,5}(h|m|s|ms)){1,4}$/.test(text)) throw new Error(`bug: the schema let "${text}" pass as a duration`);
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+)(ms|h|m|s)/g))
    total += Number(amount) * (milliseconds[unit ?? ''] ?? 0);
  return total;
};
