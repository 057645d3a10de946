/** Of this thread alone, so that a busy machine and its other threads do not count; the kernel may count it in ticks of 4 ms. */
const processorMsOf = (run: () => void, turns: number): number => {
  const started = process.threadCpuUsage();
  for (let turn = 0; turn < turns; turn += 1) run();
  const {user, system} = process.threadCpuUsage(started);
  return (user + system) / 1_000;
};

/** How many times as long `run` takes for eight times the size: about 8 where its time is in proportion, 64 where it goes by the square. */
export const growthOf = (run: (size: number) => void, size: number): number => {
  run(size);
  let turns = 1;
  let small = 0;
  for (; small < 30; turns *= 2) small = processorMsOf(() => run(size), turns);
  return processorMsOf(() => run(8 * size), turns / 2) / small;
};

/** What `growthOf` stays below where time is in proportion, with room for noise, and what squares exceed. */
export const PROPORTIONAL = 28;
