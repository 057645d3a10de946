/** Official Python clients as callers: what their users see must be what they see of OpenAI and Anthropic. One test here for each there. */
import {describe, expect, it} from '@jest/globals';
import {spawn} from 'node:child_process';
import {createServer} from 'node:net';
import {fileURLToPath} from 'node:url';
import type {ModelRouteSpec} from '../../operator/api/generated.ts';
import {keeper, startHarness, startUpstream} from '../proxy/harness.ts';
import {findPython} from './interpreter.ts';

const program = fileURLToPath(new URL('run.py', import.meta.url));

type Outcome = {name: string; problems: string[]};
type Run = {outcomes: Outcome[]; exit: number | string | null; stderr: string};

const {keep, closeAll} = keeper();

/** An address that refuses connections. */
const refusingUrl = (): Promise<string> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' ? address?.port : undefined;
      server.close(() => resolve(`http://127.0.0.1:${port}/v1`));
    });
  });

/** Each test makes its backend fail as it likes, and the next one finds it as if nothing had been. */
const patient = {
  retry: {maxAttempts: 1},
  circuitBreaker: {consecutiveFailures: 1_000, minRequests: 1_000},
} satisfies Partial<ModelRouteSpec>;

async function startAll(): Promise<{url: string; upstreams: Record<string, string>}> {
  const models = ['chat', 'embed', 'voice', 'ears', 'picture', 'judge'];
  const openai = await keep(startUpstream({models, tokens: 8, name: 'openai', contextWindow: 500}));
  const second = await keep(startUpstream({models, tokens: 8, name: 'second'}));
  const anthropic = await keep(startUpstream({models: ['claude'], tokens: 8, name: 'anthropic'}));
  const limited = await keep(startUpstream({models: ['limited', 'claude-limited']}));
  limited.behave({do: 'status', status: 429, headers: {'retry-after': '7'}});

  const local = {name: 'local', url: openai.url, model: 'chat'};
  const cloud = {name: 'cloud', url: second.url, model: 'chat', priority: 1};
  const claude = {name: 'claude', url: anthropic.url, api: 'Anthropic', model: 'claude'} as const;
  const {url} = await keep(
    startHarness({
      gateway: {limits: {maxBodyBytes: '1Mi'}},
      routes: {
        chat: {...patient, modelNames: models, backends: [{name: 'local', url: openai.url}]},
        pair: {...patient, backends: [local, cloud]},
        hasty: {...patient, backends: [local], timeouts: {firstToken: '100ms', attempt: '150ms'}},
        lively: {...patient, backends: [local], stream: {keepAlive: '20ms'}},
        full: {...patient, backends: [{...local, maxConcurrentRequests: 1}]},
        down: {...patient, backends: [{name: 'down', url: await refusingUrl()}]},
        limited: {...patient, backends: [{name: 'limited', url: limited.url}]},
        claude: {...patient, backends: [claude]},
        'claude-hasty': {...patient, backends: [claude], timeouts: {firstToken: '100ms', attempt: '150ms'}},
        'claude-lively': {...patient, backends: [claude], stream: {keepAlive: '20ms'}},
        'claude-full': {...patient, backends: [{...claude, maxConcurrentRequests: 1}]},
        'claude-limited': {...patient, backends: [{name: 'limited', url: limited.url, api: 'Anthropic'}]},
        'claude-down': {...patient, backends: [{name: 'down', url: await refusingUrl(), api: 'Anthropic'}]},
      },
    }),
  );
  return {url, upstreams: {openai: openai.origin, second: second.origin, anthropic: anthropic.origin}};
}

/** Of the environment only the path: keys, proxies and tracing of whoever runs this must not reach the clients. */
function run(python: string, {url, upstreams}: Awaited<ReturnType<typeof startAll>>): Promise<Run> {
  const child = spawn(python, [program], {
    env: {
      PATH: process.env['PATH'],
      PYTHONDONTWRITEBYTECODE: '1',
      PYTHONUTF8: '1',
      MODELROUTE_URL: url,
      UPSTREAMS: JSON.stringify(upstreams),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      const lines = stdout.split('\n').filter((line) => line !== '');
      resolve({outcomes: lines.map((line) => JSON.parse(line) as Outcome), exit: code ?? signal, stderr});
    });
  });
}

const inWords = (name: string): string => name.replace(/^test_/, '').replaceAll('_', ' ');

const python = findPython((line) => process.stderr.write(line));
const {outcomes, exit, stderr}: Run =
  python === undefined
    ? {outcomes: [], exit: null, stderr: ''}
    : await startAll()
        .then((places) => run(python, places))
        .finally(closeAll);

(python === undefined ? describe.skip : describe)('official Python clients', () => {
  for (const {name, problems} of outcomes) {
    it(name.split('.').map(inWords).join(': '), () => {
      if (problems.length > 0) throw new Error(problems.join('\n'));
    });
  }

  it('are tested to the end', () => {
    if (exit !== 0) throw new Error(`Python ended with ${exit}:\n${stderr}`);
    expect(outcomes.length).toBeGreaterThan(0);
  });
});
