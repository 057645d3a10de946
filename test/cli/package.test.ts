import {execFile} from 'node:child_process';
import {promisify} from 'node:util';
import {beforeAll, describe, expect, it} from '@jest/globals';

const run = promisify(execFile);

/** What `npm install` builds, and what a user of the checkout or of the package then types. */
beforeAll(() => run('npm', ['run', '--silent', 'prepare']), 60_000);

describe('the compiled command', () => {
  it.each([
    ['--version', /^\d+\.\d+\.\d+\n$/],
    ['--help', /serve.*check.*simulate/s],
    ['serve --help', /--listen <host:port>.*MODELROUTE_LISTEN/s],
    ['check --help', /MODELROUTE_FILE/],
    ['simulate --help', /control\/behaviour/],
    ['check -f examples/quickstart', /1 route, 2 backends: no problems/],
  ])(
    'npx modelroute %s',
    async (args, expected) => {
      const {stdout} = await run('npx', ['--no-install', 'modelroute', ...args.split(' ')]);
      expect(stdout).toMatch(expected);
    },
    30_000,
  );
});
