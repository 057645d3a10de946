import {messageOf} from '../../operator/message-of.ts';

/** Asks until `check` is true; one that throws is asked again. For questions that cost a process each. */
export async function eventually(
  check: () => boolean | Promise<boolean>,
  what: string,
  timeoutSeconds = 120,
): Promise<void> {
  const end = performance.now() + timeoutSeconds * 1000;
  let problem = '';
  for (;;) {
    try {
      if (await check()) return;
    } catch (error) {
      problem = `; the last time it failed: ${messageOf(error)}`;
    }
    if (performance.now() > end) throw new Error(`waited ${timeoutSeconds} s in vain: ${what}${problem}`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}
