/** `modelroute check`: says what is wrong with files, without serving them. */
import {readFileSync} from 'node:fs';
import {Command} from 'commander';
import {type Loaded, loadFiles} from '../operator/files/load.ts';
import type {FileProblem} from '../operator/files/problem.ts';
import {faultsInTls} from '../proxy/engine/tls-settings.ts';
import {fileOption} from './file-option.ts';
import {option} from './options.ts';

type CheckOptions = {file: string[]; output: 'text' | 'json'};

const count = (amount: number, noun: string): string => `${amount} ${noun}${amount === 1 ? '' : 's'}`;

const summary = ({problems, counts}: Loaded): string => {
  const errors = problems.filter(({severity}) => severity === 'Error').length;
  const warnings = problems.length - errors;
  const found = [errors > 0 ? count(errors, 'error') : '', warnings > 0 ? count(warnings, 'warning') : ''];
  const said = found.filter((text) => text !== '').join(', ');
  return `${count(counts.routes, 'route')}, ${count(counts.backends, 'backend')}: ${said === '' ? 'no problems' : said}`;
};

/** One line, in the form that editors and CI make links of. */
export const problemLine = ({file, line, severity, path, message}: FileProblem): string =>
  `${file}:${line}: ${severity.toLowerCase()}: ${path === '' ? '' : `${path}: `}${message}`;

const asText = (loaded: Loaded): string => [...loaded.problems.map(problemLine), summary(loaded)].join('\n');

const asJson = ({problems, counts}: Loaded): string => JSON.stringify({...counts, problems}, null, 2);

const check = ({file, output}: CheckOptions): void => {
  const stdin = file.includes('-') ? {stdin: readFileSync(0, 'utf8')} : {};
  const loaded = loadFiles(file, {use: 'Check', faultsInTls, ...stdin});
  process.stdout.write(`${output === 'json' ? asJson(loaded) : asText(loaded)}\n`);
  // Not process.exit: a pipe may still have to take what was written.
  if (loaded.problems.some(({severity}) => severity === 'Error')) process.exitCode = 1;
};

export const checkCommand = (): Command =>
  new Command('check')
    .description('Say what is wrong with files: every problem with file, line, field and what would be right')
    .addOption(fileOption())
    .addOption(option('-o, --output <format>', 'how problems are printed').choices(['text', 'json']).default('text'))
    .addHelpText('after', '\nExits 1 if there is an error, 0 if there is none; warnings do not count.')
    .action(check);
