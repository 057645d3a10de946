/** Folder of test/ = make target; *.test.ts beside a pure file is a unit test. */
const common = {
  transform: {
    '\\.ts$': ['@swc/jest', {jsc: {target: 'es2024', parser: {syntax: 'typescript'}}, module: {type: 'es6'}}],
  },
  extensionsToTreatAsEsm: ['.ts'],
  testEnvironment: 'node',
  modulePathIgnorePatterns: ['<rootDir>/dist'],
};
const project = (displayName, testMatch) => ({...common, displayName, testMatch: [`<rootDir>/${testMatch}`]});

export default {
  projects: [
    project('unit', '{proxy,operator,kube,cli,simulator}/**/*.test.ts'),
    project('proxy', 'test/proxy/**/*.test.ts'),
    project('cli', 'test/cli/**/*.test.ts'),
    project('clients', 'test/clients/**/*.test.ts'),
    project('python', 'test/python/**/*.test.ts'),
    project('api-server', 'test/api-server/**/*.test.ts'),
    project('operator', 'test/operator/**/*.test.ts'),
    project('charts', 'test/charts/**/*.test.ts'),
    project('model-server', 'test/model-server/**/*.test.ts'),
    project('cluster', 'test/cluster/**/*.test.ts'),
  ],
  reporters: ['default', '<rootDir>/test/summary-reporter.js'],
  testTimeout: 15_000,
};
