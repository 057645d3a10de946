#!/usr/bin/env node
/** `modelroute`: arguments and environment, nothing else. */
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
  .description('One OpenAI-compatible URL in front of model servers, which always answers')
  .version(version())
  .addCommand(serveCommand())
  .addCommand(checkCommand())
  .addCommand(simulateCommand())
  .showHelpAfterError('(--help tells more)');

await program.parseAsync();
