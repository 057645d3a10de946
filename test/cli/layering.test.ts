/** The house's one-way layering is held by lint: each way it can be broken is tried on the real linter. */
import {execFile} from 'node:child_process';
import {copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {promisify} from 'node:util';
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals';

const root = join(import.meta.dirname, '../..');

type Case = {file: string; code: string; rule: string};

const imports = (file: string, target: string): Case => ({
  file,
  code: `import {thing} from '${target}';\nexport const used = thing;\n`,
  rule: 'no-restricted-imports',
});

const uses = (file: string, expression: string, rule = 'no-restricted-properties'): Case => ({
  file,
  code: `export const used = (): unknown => ${expression};\n`,
  rule,
});

const pureFolders = ['proxy/config', 'proxy/wire', 'proxy/routing', 'operator/plan'];

/** For each folder, one import from each folder that it may not know. */
const forbidden: Record<string, string[]> = {
  'proxy/config': [
    '../wire',
    '../routing',
    '../engine',
    '../server',
    '../telemetry',
    '../../operator/api',
    '../../kube',
    '../../cli',
    '../../simulator',
  ],
  'proxy/wire': [
    '../routing',
    '../engine',
    '../server',
    '../telemetry',
    '../../operator/api',
    '../../kube',
    '../../cli',
    '../../simulator',
  ],
  'proxy/routing': [
    '../wire',
    '../engine',
    '../server',
    '../telemetry',
    '../../operator/api',
    '../../kube',
    '../../cli',
    '../../simulator',
  ],
  'proxy/engine': ['../server', '../cluster', '../../operator/api', '../../kube', '../../cli', '../../simulator'],
  'proxy/server': ['../cluster', '../../operator/api', '../../kube', '../../cli', '../../simulator'],
  'proxy/cluster': ['../wire', '../server', '../telemetry', '../../operator/api', '../../cli', '../../simulator'],
  'proxy/telemetry': [
    '../engine',
    '../server',
    '../cluster',
    '../../operator/api',
    '../../kube',
    '../../cli',
    '../../simulator',
  ],
  'operator/api': [
    '../plan',
    '../files',
    '../cluster',
    '../reconcile',
    '../../proxy/config',
    '../../kube',
    '../../cli',
    '../../simulator',
  ],
  'operator/plan': [
    '../files',
    '../cluster',
    '../reconcile',
    '../../proxy/wire',
    '../../proxy/engine',
    '../../kube',
    '../../cli',
    '../../simulator',
  ],
  'operator/files': [
    '../cluster',
    '../reconcile',
    '../../proxy/wire',
    '../../proxy/engine',
    '../../kube',
    '../../cli',
    '../../simulator',
  ],
  'operator/cluster': [
    '../files',
    '../reconcile',
    '../../proxy/wire',
    '../../proxy/engine',
    '../../cli',
    '../../simulator',
  ],
  'operator/reconcile': ['../files', '../../proxy/wire', '../../proxy/engine', '../../cli', '../../simulator'],
  kube: ['../proxy/config', '../operator/api', '../cli', '../simulator'],
  simulator: ['../proxy/wire', '../operator/api', '../kube', '../cli'],
};

/** What no folder of these may know. */
const outside = (folder: string): string[] =>
  ['bench', 'test'].map((name) => `${'../'.repeat(folder.split('/').length)}${name}`);

const nameOf = (text: string): string =>
  text
    .replace(/[^a-z]+/gi, '-')
    .replace(/^-|-$/g, '')
    .toLowerCase();

const cases: Record<string, Case> = Object.fromEntries([
  ...Object.entries(forbidden).flatMap(([folder, targets]) =>
    [...targets, ...outside(folder)].map((target) => [
      `${folder} imports ${target}`,
      imports(`${folder}/imports-${nameOf(target)}.ts`, `${target}/thing.ts`),
    ]),
  ),
  ['proxy/main.ts imports ../operator', imports('proxy/main.ts', '../operator/api/thing.ts')],
  ['operator/main.ts imports ../proxy', imports('operator/main.ts', '../proxy/engine/thing.ts')],
  ...['proxy/engine', 'proxy/server', 'proxy/cluster', 'operator/reconcile', 'kube'].map((folder) => [
    `${folder}, which is thin, imports client-node`,
    imports(`${folder}/imports-client-node.ts`, '@kubernetes/client-node'),
  ]),
  ...pureFolders.flatMap((folder) => [
    ...[
      'node:fs',
      'node:crypto',
      'express',
      'undici',
      'opossum',
      'http-proxy-middleware',
      'ws',
      'winston',
      '@opentelemetry/api',
      '@kubernetes/client-node',
    ].map((target) => [
      `${folder}, which is pure, imports ${target}`,
      imports(`${folder}/imports-${nameOf(target)}.ts`, target),
    ]),
    [`${folder}, which is pure, reads the time`, uses(`${folder}/time.ts`, 'Date.now()')],
    [`${folder}, which is pure, makes randomness`, uses(`${folder}/random.ts`, 'Math.random()')],
    [
      `${folder}, which is pure, reads the environment`,
      uses(`${folder}/environment.ts`, "process.env['HOME']", 'no-restricted-globals'),
    ],
    [
      `${folder}, which is pure, sets a timer`,
      uses(`${folder}/timer.ts`, 'setTimeout(() => {}, 1)', 'no-restricted-globals'),
    ],
    [
      `${folder}, which is pure, takes Node's Buffer`,
      uses(`${folder}/buffer.ts`, 'Buffer.alloc(1)', 'no-restricted-globals'),
    ],
    [
      `${folder}, which is pure, fetches`,
      uses(`${folder}/fetches.ts`, "fetch('http://a.example')", 'no-restricted-globals'),
    ],
  ]),
  ...['proxy/engine', 'proxy/server', 'operator/files', 'simulator'].flatMap((folder) => [
    [`${folder} reads the environment`, uses(`${folder}/environment.ts`, "process.env['HOME']")],
    [`${folder} reads arguments`, uses(`${folder}/arguments.ts`, 'process.argv')],
    [`${folder} makes randomness`, uses(`${folder}/random.ts`, 'Math.random()')],
  ]),
] as [string, Case][]);

/** What the layering allows, in the same folders. */
const clean: Record<string, string> = {
  'proxy/wire/clean.ts':
    "import {thing} from '../config/thing.ts';\nexport const used = [thing, JSON.stringify(thing)];\n",
  'proxy/routing/clean.ts':
    "import {thing} from '../config/thing.ts';\nexport const used = (random: () => number): number[] => [thing, random()];\n",
  'proxy/engine/clean.ts':
    "import {isIP} from 'node:net';\nimport {thing} from '../wire/thing.ts';\nexport const used = [thing, isIP, Date.now()];\n",
  'proxy/server/clean.ts': "import {thing} from '../engine/thing.ts';\nexport const used = thing;\n",
  'operator/plan/clean.ts': "import {thing} from '../../proxy/config/thing.ts';\nexport const used = thing;\n",
  'proxy/cluster/clean.ts':
    "import {thing} from '../../kube/thing.ts';\nimport {other} from '../engine/thing.ts';\nexport const used = [thing, other];\n",
  'operator/cluster/clean.ts':
    "import {KubeConfig} from '@kubernetes/client-node';\nimport {thing} from '../../proxy/config/thing.ts';\nexport const used = [thing, KubeConfig];\n",
  'operator/reconcile/clean.ts': "import {thing} from '../../proxy/config/thing.ts';\nexport const used = thing;\n",
  'cli/clean.ts':
    "import {thing} from '../proxy/wire/thing.ts';\nexport const used = [thing, process.env['HOME'], process.argv, Math.random()];\n",
};

let project: string;
/** Rules that each file breaks. */
let broken: ReadonlyMap<string, readonly string[]>;

type Report = {diagnostics: {code: string; filename: string}[]};

const write = (file: string, code: string): void => {
  mkdirSync(dirname(join(project, file)), {recursive: true});
  writeFileSync(join(project, file), code);
};

async function lint(): Promise<Report> {
  const run = promisify(execFile)(
    process.execPath,
    [join(root, 'node_modules/oxlint/bin/oxlint'), '--format', 'json', 'proxy', 'operator', 'kube', 'simulator', 'cli'],
    {
      cwd: project,
      maxBuffer: 64 * 1024 * 1024,
    },
  );
  const {stdout} = await run.catch((error: unknown) => error as {stdout: string}); // it exits with 1, as it should
  return JSON.parse(stdout) as Report;
}

beforeAll(async () => {
  project = mkdtempSync(join(tmpdir(), 'modelroute-layering-'));
  copyFileSync(join(root, 'oxlint.config.ts'), join(project, 'oxlint.config.ts'));
  copyFileSync(join(root, 'tsconfig.json'), join(project, 'tsconfig.json'));
  writeFileSync(join(project, 'package.json'), '{"type": "module"}');
  symlinkSync(join(root, 'node_modules'), join(project, 'node_modules'));
  for (const folder of ['proxy/config', 'proxy/wire', 'proxy/engine'])
    write(`${folder}/thing.ts`, 'export const thing = 1;\n');
  for (const {file, code} of Object.values(cases)) write(file, code);
  for (const [file, code] of Object.entries(clean)) write(file, code);
  const found = new Map<string, string[]>();
  for (const {filename, code} of (await lint()).diagnostics)
    found.set(filename, [...(found.get(filename) ?? []), code]);
  broken = found;
}, 60_000);

afterAll(() => rmSync(project, {recursive: true, force: true}));

describe('lint refuses it when', () => {
  it.each(Object.entries(cases))('%s', (_, {file, rule}) => {
    expect(broken.get(file) ?? []).toContain(`eslint(${rule})`);
  });
});

describe('lint has nothing against', () => {
  it.each(Object.keys(clean))('what %s does', (file) => {
    expect(broken.get(file)).toBeUndefined();
  });
});

it('every case has a file of its own', () => {
  const files = [...Object.values(cases).map(({file}) => file), ...Object.keys(clean)];
  expect(new Set(files).size).toBe(files.length);
});
