/** `-f`, as every sub-command that reads files takes it. */
import type {Option} from 'commander';
import {InvalidArgumentError} from 'commander';
import {option} from './options.ts';

/** Commas too, because an environment variable has no other way to say more than one. */
const paths = (text: string, earlier: string[] = []): string[] => {
  const named = text.split(',');
  if (named.includes('')) throw new InvalidArgumentError('Expected a file or a folder.');
  return [...earlier, ...named];
};

export const fileOption = (): Option =>
  option('-f, --file <path...>', 'files or folders (*.yaml, *.yml, *.json) with ModelRoutes and what belongs to them')
    .argParser(paths)
    .makeOptionMandatory();
