import {execFile} from 'node:child_process';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals';
import {createCa, createCertificate} from '../proxy/certificates.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'modelroute-check-'));
});
afterEach(() => rmSync(folder, {recursive: true}));

type Run = {code: number; stdout: string; stderr: string};

const commandModule = join(import.meta.dirname, '../../cli/check.ts');
const script = `import {checkCommand} from ${JSON.stringify(commandModule)}; await checkCommand().parseAsync(['node', 'check', ...process.argv.slice(1)]);`;

/** A process of its own, as its exit code and its environment are part of what it promises. */
const check = (
  args: string[],
  {env = {}, stdin = ''}: {env?: Record<string, string>; stdin?: string} = {},
): Promise<Run> =>
  new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      ['--input-type=module', '--eval', script, '--', ...args],
      {env: {PATH: process.env['PATH'] ?? '', ...env}, cwd: folder},
      (error, stdout, stderr) => resolve({code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr}),
    );
    child.stdin?.end(stdin);
  });

const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);

const route = (name: string, rest = ''): string =>
  `apiVersion: modelroute.dev/v1alpha1\nkind: ModelRoute\nmetadata: {name: ${name}}\nspec:\n  backends: [{name: a, url: "https://a.example/v1"${rest}}]\n`;

describe('modelroute check', () => {
  it('says that there is nothing to say, and exits 0', async () => {
    write('a.yaml', route('a'));
    write('b.yaml', route('b'));
    expect(await check(['-f', '.'])).toEqual({code: 0, stdout: '2 routes, 2 backends: no problems\n', stderr: ''});
  });

  it('says every problem with file, line and field, then how many, and exits 1', async () => {
    write('b.yaml', route('b', ', weight: x'));
    write('a.yaml', route('a', ', continueBy: Prefill, auth: {secretRef: {name: key}}'));
    const {code, stdout} = await check(['-f', 'b.yaml', '-f', 'a.yaml']);
    expect(stdout.split('\n')).toEqual([
      'a.yaml:5: warning: spec.backends[0].continueBy: "Prefill" is not supported yet: use Regenerate, or remove it',
      expect.stringMatching(/^b\.yaml:5: error: spec\.backends\[0\]\.weight: must be a whole number/),
      '2 routes, 2 backends: 1 error, 1 warning',
      '',
    ]);
    expect(code).toBe(1);
  });

  it('exits 1 for a Secret that is missing', async () => {
    write('a.yaml', route('a', ', auth: {secretRef: {name: key}}'));
    const {code, stdout} = await check(['-f', 'a.yaml']);
    expect(stdout).toMatch(
      /^a\.yaml:5: error: spec\.backends\[0\]\.auth\.secretRef\.name: there is no Secret default\/key/,
    );
    expect(code).toBe(1);
  });

  it('reads certificates and keys, and shows neither', async () => {
    const [ca, client, other] = [createCa(), createCertificate('client'), createCertificate('other')];
    const secrets = (values: Record<string, string>): string =>
      `---\napiVersion: v1\nkind: Secret\nmetadata: {name: pem}\nstringData: ${JSON.stringify(values)}\n`;
    const asked = route('a', ', tls: {caRef: {name: pem}, clientCertRef: {name: pem}}');

    write('a.yaml', asked + secrets({'ca.crt': ca.cert, 'tls.crt': client.cert, 'tls.key': client.key}));
    expect(await check(['-f', 'a.yaml'])).toMatchObject({code: 0, stdout: '1 route, 1 backend: no problems\n'});

    write('a.yaml', asked + secrets({'ca.crt': 'nonsense', 'tls.crt': client.cert, 'tls.key': other.key}));
    const {code, stdout} = await check(['-f', 'a.yaml']);
    expect(stdout.split('\n')).toEqual([
      expect.stringMatching(
        /^a\.yaml:5: error: spec\.backends\[0\]\.tls\.caRef\.key: key "ca\.crt" of Secret default\/pem holds no certificate in PEM/,
      ),
      expect.stringMatching(
        /^a\.yaml:5: error: spec\.backends\[0\]\.tls\.clientCertRef\.name: key "tls\.key" of Secret default\/pem holds a private key that does not belong/,
      ),
      '1 route, 1 backend: 2 errors',
      '',
    ]);
    expect(code).toBe(1);
    expect(stdout).not.toMatch(/nonsense|PRIVATE KEY/);
  });

  it('exits 0 for warnings', async () => {
    write('a.yaml', route('a', ', continueBy: Prefill'));
    expect(await check(['-f', 'a.yaml'])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/1 route, 1 backend: 1 warning\n$/),
    });
  });

  it('prints one JSON document if asked to', async () => {
    write('a.yaml', route('a', ', weight: x'));
    const {code, stdout} = await check(['-f', 'a.yaml', '-o', 'json']);
    expect(JSON.parse(stdout)).toEqual({
      routes: 1,
      backends: 1,
      problems: [
        {
          file: 'a.yaml',
          line: 5,
          column: expect.any(Number),
          path: 'spec.backends[0].weight',
          message: expect.stringMatching(/whole number/),
          severity: 'Error',
          effect: 'RejectsAll',
        },
      ],
    });
    expect(code).toBe(1);
  });

  it('reads standard input as -', async () => {
    expect(await check(['-f', '-'], {stdin: route('a')})).toMatchObject({
      code: 0,
      stdout: '1 route, 1 backend: no problems\n',
    });
  });

  it('takes its flags from the environment too', async () => {
    write('a.yaml', route('a'));
    write('b.yaml', route('b'));
    const {stdout} = await check([], {env: {MODELROUTE_FILE: 'a.yaml,b.yaml', MODELROUTE_OUTPUT: 'json'}});
    expect(JSON.parse(stdout)).toMatchObject({routes: 2, problems: []});
  });

  it('says what is missing if it gets no file', async () => {
    expect(await check([])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/required option '-f, --file <path\.\.\.>'/),
    });
  });

  it('explains itself', async () => {
    const {stdout} = await check(['--help']);
    expect(stdout).toMatch(/MODELROUTE_FILE/);
    expect(stdout).toMatch(/Exits 1 if there is an error/);
  });
});
