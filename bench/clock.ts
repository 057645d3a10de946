/** Microseconds of CLOCK_MONOTONIC: the same clock in every process of this machine, so that one may read what another wrote. */
const [seconds, nanoseconds] = process.hrtime();
const offset = seconds * 1e6 + nanoseconds / 1e3 - performance.now() * 1e3;

export const nowUs = (): number => performance.now() * 1e3 + offset;

export const pass = (milliseconds: number): Promise<void> => new Promise((done) => setTimeout(done, milliseconds));
