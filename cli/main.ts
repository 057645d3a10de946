#!/usr/bin/env -S node --max-semi-space-size=8 --external-memory-accounted-in-global-limit --no-allocation-site-pretenuring
/**
 * `modelroute`: arguments and environment, nothing else. The flags above keep memory small, pauses short and each request's objects
 * young: docs/decisions/2026-11-21-flags-for-v8.md.
 */
import {readFileSync} from 'node:fs';
import {findPackageJSON} from 'node:module';
import {setFlagsFromString} from 'node:v8';
import {Command} from 'commander';
import {endOnSignals} from './running.ts';

/** A process loads the sub-command that it runs, not the others: a proxy has no use for what an operator or a simulator needs. */
const commands: Record<string, () => Promise<Command>> = {
  serve: async () => (await import('./serve.ts')).serveCommand(),
  proxy: async () => (await import('./proxy.ts')).proxyCommand(),
  async operator() {
    setFlagsFromString('--heap-growing-percent=20'); // it works in bursts, whose garbage would stay: 181 instead of up to 234 MB
    return (await import('./operator.ts')).operatorCommand();
  },
  check: async () => (await import('./check.ts')).checkCommand(),
  simulate: async () => (await import('./simulate.ts')).simulateCommand(),
};

function version(): string {
  const path = findPackageJSON(import.meta.url);
  if (path === undefined) throw new Error('bug: modelroute is not inside its package');
  return (JSON.parse(readFileSync(path, 'utf8')) as {version: string}).version;
}

const program = new Command('modelroute')
  .description('One URL for the clients of OpenAI and Anthropic in front of model servers, which always answers')
  .version(version())
  .showHelpAfterError('(--help tells more)');

endOnSignals();

const all = Object.entries(commands);
const asked = all.filter(([name]) => name === process.argv[2]);
for (const [, load] of asked.length > 0 ? asked : all) program.addCommand(await load()); // all, to be listed

await program.parseAsync();
