#!/usr/bin/env -S node --max-semi-space-size=8 --external-memory-accounted-in-global-limit --no-allocation-site-pretenuring
/**
 * `modelroute`: arguments and environment, nothing else. The flags above keep memory small, pauses short and each request's objects
 * young: docs/decisions/2026-11-21-flags-for-v8.md.
 */
import {readFileSync} from 'node:fs';
import {findPackageJSON} from 'node:module';
import {Command} from 'commander';
import {checkCommand} from './check.ts';
import {serveCommand} from './serve.ts';
import {simulateCommand} from './simulate.ts';

function version(): string {
  const path = findPackageJSON(import.meta.url);
  if (path === undefined) throw new Error('bug: modelroute is not inside its package');
  return (JSON.parse(readFileSync(path, 'utf8')) as {version: string}).version;
}

const program = new Command('modelroute')
  .description('One URL for the clients of OpenAI and Anthropic in front of model servers, which always answers')
  .version(version())
  .addCommand(serveCommand())
  .addCommand(checkCommand())
  .addCommand(simulateCommand())
  .showHelpAfterError('(--help tells more)');

await program.parseAsync();
