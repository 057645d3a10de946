/**
 * Lint, and the one-way layering of the house: each folder names the folders it may not import, and the pure ones also what
 * they may not touch. A later override for the same rule replaces an earlier one, so every folder carries its whole list.
 */
import {defineConfig} from 'oxlint';

const impurePackages = [
  'express',
  'undici',
  'opossum',
  'http-proxy-middleware',
  'ws',
  'winston',
  '@opentelemetry/*',
  '@kubernetes/*',
  'commander',
];

/** 60 MB of memory, for typed writes that the operator alone needs. */
const withoutPackages = ['@kubernetes/*'];

/** What measures and proves the rest is known to none of it. */
const outside = ['bench', 'test'];

type Layer = {files: string[]; mayNotImport: string[]; pure?: boolean; withoutPackages?: string[]};

/** `mayNotImport`: folders as they stand in an import path, `engine` matching `../engine/x.ts` and `../../proxy/engine/x.ts`. */
const layers: Layer[] = [
  {
    files: ['proxy/config/**'],
    mayNotImport: ['wire', 'routing', 'engine', 'server', 'telemetry', 'operator', 'kube', 'cli', 'simulator'],
    pure: true,
  },
  {
    files: ['proxy/wire/**'],
    mayNotImport: ['routing', 'engine', 'server', 'telemetry', 'operator', 'kube', 'cli', 'simulator'],
    pure: true,
  },
  {
    files: ['proxy/routing/**'],
    mayNotImport: ['wire', 'engine', 'server', 'telemetry', 'operator', 'kube', 'cli', 'simulator'],
    pure: true,
  },
  {
    files: ['proxy/engine/**'],
    mayNotImport: ['server', 'cluster', 'operator', 'kube', 'cli', 'simulator'],
    withoutPackages,
  },
  {files: ['proxy/server/**'], mayNotImport: ['cluster', 'operator', 'kube', 'cli', 'simulator'], withoutPackages},
  {
    files: ['proxy/cluster/**'],
    mayNotImport: ['wire', 'server', 'telemetry', 'operator', 'cli', 'simulator'],
    withoutPackages,
  },
  {
    files: ['proxy/telemetry/**'],
    mayNotImport: ['engine', 'server', 'cluster', 'operator', 'kube', 'cli', 'simulator'],
  },
  {files: ['proxy/main.ts', 'proxy/cluster-proxy.ts'], mayNotImport: ['operator', 'cli', 'simulator'], withoutPackages},
  {
    files: ['operator/api/**'],
    mayNotImport: ['plan', 'cluster', 'files', 'reconcile', 'proxy', 'kube', 'cli', 'simulator'],
  },
  {
    files: ['operator/plan/**'],
    mayNotImport: [
      'cluster',
      'files',
      'reconcile',
      'wire',
      'routing',
      'engine',
      'server',
      'telemetry',
      'kube',
      'cli',
      'simulator',
    ],
    pure: true,
  },
  {
    files: ['operator/files/**'],
    mayNotImport: [
      'cluster',
      'reconcile',
      'wire',
      'routing',
      'engine',
      'server',
      'telemetry',
      'kube',
      'cli',
      'simulator',
    ],
  },
  {
    files: ['operator/cluster/**'],
    mayNotImport: ['files', 'reconcile', 'wire', 'routing', 'engine', 'server', 'cli', 'simulator'],
  },
  {
    files: ['operator/reconcile/**', 'operator/telemetry/**'],
    mayNotImport: ['files', 'wire', 'routing', 'engine', 'server', 'cli', 'simulator'],
    withoutPackages,
  },
  {files: ['operator/main.ts'], mayNotImport: ['files', 'proxy', 'cli', 'simulator'], withoutPackages},
  {
    files: ['kube/**'],
    mayNotImport: ['proxy', 'operator', 'cli', 'simulator'],
    withoutPackages,
  },
  {files: ['simulator/**'], mayNotImport: ['proxy', 'operator', 'kube', 'cli']},
];

const restrictedImports = ({mayNotImport, pure, withoutPackages}: Layer): unknown => [
  'error',
  {
    patterns: [
      {
        regex: `^\\.\\.?/(.*/)?(${[...mayNotImport, ...outside].join('|')})/`,
        message: 'Imports point one way: see CONTRIBUTING.md, "The house".',
      },
      ...(pure === true
        ? [{group: ['node:*', ...impurePackages], message: 'This folder is pure: take it as a parameter.'}]
        : []),
      ...(withoutPackages === undefined
        ? []
        : [{group: withoutPackages, message: 'This folder is thin: use what it has.'}]),
    ],
  },
];

export default defineConfig({
  plugins: ['typescript', 'oxc', 'unicorn', 'import'],
  categories: {correctness: 'error', suspicious: 'error'},
  options: {typeAware: true},
  ignorePatterns: ['dist', 'operator/api/generated.ts', '*.js'],
  rules: {
    complexity: ['error', {max: 10}],
    'max-depth': ['error', 3],
    'max-params': ['error', 4],
    'max-lines': ['error', {max: 300, skipBlankLines: false, skipComments: false}],
    'typescript/no-explicit-any': 'error',
    'typescript/no-floating-promises': 'error',
    'typescript/no-misused-promises': ['error', {checksVoidReturn: {arguments: false}}],
    'typescript/explicit-module-boundary-types': 'error',
    'typescript/no-unsafe-assignment': 'error',
    'typescript/no-unsafe-member-access': 'error',
    'typescript/no-unsafe-call': 'error',
    'typescript/no-unsafe-return': 'error',
    'typescript/no-unsafe-argument': 'error',
    'typescript/switch-exhaustiveness-check': 'error',
    'typescript/consistent-type-imports': 'error',
    'typescript/no-non-null-assertion': 'error',
    'typescript/no-unsafe-type-assertion': 'off', // a cast after a check that the type system cannot follow says so beside it
    'unicorn/no-array-sort': 'off',
    'unicorn/consistent-function-scoping': 'off', // closures are the house's way to hold state
    'no-shadow': 'off',
    'import/no-cycle': 'error',
    'no-console': 'error',
  },
  overrides: [
    {
      files: ['**/*.ts'],
      excludeFiles: ['cli/**', 'test/**', 'bench/**', '**/*.test.ts', 'oxlint.config.ts'],
      rules: {
        'no-restricted-properties': [
          'error',
          {object: 'process', property: 'env', message: 'Only cli/ reads the environment.'},
          {object: 'process', property: 'argv', message: 'Only cli/ reads arguments.'},
          {object: 'Math', property: 'random', message: 'Randomness is a parameter.'},
        ],
      },
    },
    ...layers.map((layer) => ({
      files: layer.files,
      excludeFiles: ['**/*.test.ts'],
      rules: {
        'no-restricted-imports': restrictedImports(layer),
        ...(layer.pure === true
          ? {
              'no-restricted-globals': [
                'error',
                'process',
                'setTimeout',
                'setInterval',
                'Buffer',
                'performance',
                'console',
                'fetch',
              ],
              'no-restricted-properties': [
                'error',
                {object: 'Math', property: 'random', message: 'Randomness is a parameter.'},
                {object: 'Date', property: 'now', message: 'Time is a parameter.'},
              ],
            }
          : {}),
      },
    })),
    {
      files: ['**/*.test.ts', 'test/**', 'bench/**'],
      rules: {
        'max-lines': 'off',
        'typescript/explicit-module-boundary-types': 'off',
        'typescript/no-non-null-assertion': 'off',
        'typescript/no-unsafe-assignment': 'off',
        'typescript/no-unsafe-member-access': 'off',
      },
    },
    {files: ['cli/**', 'bench/**'], rules: {'no-console': 'off'}},
  ],
});
