/** Every YAML block that users copy from the docs, read as `modelroute check` reads files. */
import {readFileSync, readdirSync} from 'node:fs';
import {join} from 'node:path';
import {describe, expect, it} from '@jest/globals';
import {loadFiles} from '../../operator/files/load.ts';
import {faultsInTls} from '../../proxy/engine/tls-settings.ts';

const pages = [
  'README.md',
  ...readdirSync('docs', {recursive: true, encoding: 'utf8'}).map((name) => join('docs', name)),
].filter((name) => name.endsWith('.md'));

const blocksOf = (page: string): string[] =>
  [...readFileSync(page, 'utf8').matchAll(/^ *```ya?ml\n([^]*?)^ *```$/gm)].map(([, block = '']) => block);

const blocks = pages.flatMap((page) =>
  blocksOf(page).map((yaml, index) => ({name: `${page}, ${index + 1}`, page, yaml})),
);

/** What stands in the reader's own files or cluster, and not on the page. */
const isElsewhere = (message: string): boolean =>
  /^there is no Secret |^no endpoints of Service .* are known/.test(message);

const problemsOf = (yaml: string): string[] =>
  loadFiles(['-'], {use: 'Check', stdin: yaml, faultsInTls})
    .problems.filter(({message}) => !isElsewhere(message))
    .map(({path, message}) => `${path}: ${message}`);

describe('a YAML block of the docs', () => {
  it.each(blocks)('$name', ({yaml}) => {
    expect(problemsOf(yaml)).toEqual([]);
  });

  it('is found in those pages that have one', () => {
    expect(new Set(blocks.map(({page}) => page))).toEqual(
      new Set(['README.md', 'docs/apis.md', 'docs/concepts.md', 'docs/operations.md']),
    );
  });

  it('would be found wrong', () => {
    const [{yaml} = {yaml: ''}] = blocks;
    expect(problemsOf(yaml.replace('backends:', 'backend:'))).not.toEqual([]);
    expect(problemsOf(yaml.replace('priority: 1', 'priority: first'))).not.toEqual([]);
  });
});
