/** Waits that say what they have waited for. */
import {pass} from '../clock.ts';

/** Looks every `everyMs`; one that throws does not hold yet. */
export async function until(
  isSo: () => boolean | Promise<boolean>,
  what: string,
  {seconds = 120, everyMs = 20}: {seconds?: number; everyMs?: number} = {},
): Promise<void> {
  const end = performance.now() + seconds * 1_000;
  for (let problem = ''; ; await pass(everyMs)) {
    try {
      if (await isSo()) return;
      problem = '';
    } catch (error) {
      problem = `: ${String(error)}`;
    }
    if (performance.now() > end) throw new Error(`waited ${seconds} s in vain until ${what}${problem}`);
  }
}

export const secondsSince = (startedUs: number, nowUs: number): number => (nowUs - startedUs) / 1e6;
