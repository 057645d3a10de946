/** Sums over the last so many milliseconds, in ten buckets. Time is monotonic milliseconds. */
export type RollingWindow = {
  add(now: number, failed: boolean): void;
  read(now: number): {total: number; failures: number};
};

const bucketCount = 10;

export function createRollingWindow(windowMs: number): RollingWindow {
  const bucketMs = Math.max(1, windowMs / bucketCount);
  const totals = new Float64Array(bucketCount);
  const failures = new Float64Array(bucketCount);
  let newest = -1;

  const advance = (now: number): number => {
    const current = Math.floor(now / bucketMs);
    if (newest === -1) newest = current;
    for (let passed = Math.max(newest + 1, current - bucketCount + 1); passed <= current; passed += 1) {
      totals[passed % bucketCount] = 0;
      failures[passed % bucketCount] = 0;
    }
    newest = Math.max(newest, current);
    return newest % bucketCount;
  };
  const sum = (values: Float64Array): number => values.reduce((total, value) => total + value, 0);

  return {
    add(now, failed) {
      const bucket = advance(now);
      totals[bucket] = (totals[bucket] ?? 0) + 1;
      if (failed) failures[bucket] = (failures[bucket] ?? 0) + 1;
    },
    read(now) {
      advance(now);
      return {total: sum(totals), failures: sum(failures)};
    },
  };
}
