/** The console blocks under a heading of the README: commands, and pieces of what they say. */
import {readFileSync} from 'node:fs';

export type Step = {command: string; expected: string[]};

/** `title`: of a second-level heading. */
export function tourSteps(title: string): Step[] {
  const readme = readFileSync('README.md', 'utf8');
  const section = readme.split(/^## /m).find((part) => part.startsWith(`${title}\n`));
  if (section === undefined) throw new Error(`README.md has no "## ${title}"`);
  return [...section.matchAll(/```(?:console|sh)\n([\s\S]*?)```/g)].flatMap(([block, lines = '']) =>
    block.startsWith('```sh') ? shellSteps(lines) : consoleSteps(lines),
  );
}

const shellSteps = (lines: string): Step[] =>
  lines
    .trim()
    .split('\n')
    .map((command) => ({command, expected: []}));

const consoleSteps = (lines: string): Step[] =>
  lines
    .split(/^\$ /m)
    .filter((part) => part !== '')
    .map((part) => {
      const [command = '', ...said] = part.trimEnd().split('\n');
      return {command, expected: said.map((line) => line.replaceAll(/^… ?| ?…$/g, ''))};
    });
