/** What the Dockerfile repeats of the sources. */
import {readFileSync} from 'node:fs';
import {describe, expect, it} from '@jest/globals';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

const firstLineFlags = (): string[] =>
  /^#!\/usr\/bin\/env -S node (.+)$/m.exec(read('cli/main.ts'))?.[1]?.split(' ') ?? [];

const entryPoint = (): unknown => JSON.parse(/^ENTRYPOINT (.+)$/m.exec(read('Dockerfile'))?.[1] ?? 'null');

describe('the image', () => {
  it('starts Node with the flags of the first line of cli/main.ts', () => {
    const flags = firstLineFlags();
    expect(flags).toHaveLength(3);
    expect(entryPoint()).toEqual(['node', ...flags, '/app/dist/cli/main.js']);
  });

  it('runs as a user who is nobody, by number, so that Kubernetes can tell', () => {
    expect(read('Dockerfile')).toMatch(/^USER 65532:65532$/m);
  });

  it('stands on the Node that the project is tested with', () => {
    const {devDependencies} = JSON.parse(read('package.json')) as {devDependencies: {node: string}};
    expect(read('Dockerfile')).toMatch(new RegExp(`^ARG BASE=node:${devDependencies.node.split('.')[0]}-slim$`, 'm'));
  });
});
