/** docs/clients.md as its reader takes it: every piece of code, as it stands, against a real proxy. */
import {spawn} from 'node:child_process';
import {readFileSync} from 'node:fs';
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals';
import {keeper, startHarness, startUpstream} from '../proxy/harness.ts';

const page = readFileSync('docs/clients.md', 'utf8');
const inPage = 'http://models.team-a';

/** What it prints stands in its last line. */
const snippets = [...page.matchAll(/^( *)```ts\n([\s\S]*?)^ *```$/gm)].map(([, indent = '', code = '']) => {
  const lines = code.split('\n').map((line) => line.slice(indent.length));
  const printed = lines.filter((line) => line.startsWith('// ')).at(-1) ?? '';
  return {
    code: lines.join('\n'),
    printed: printed.slice('// '.length),
    client: [...code.matchAll(/^ *import .* from '(?!node:|zod)(.*)';$/gm)].map(([, name]) => name).join(', '),
  };
});

/** Of the environment only the path: keys, proxies and base URLs of whoever runs this must not reach the clients. */
function run(code: string): Promise<{stdout: string; stderr: string; exit: number | null}> {
  const child = spawn(process.execPath, ['--input-type=module-typescript'], {env: {PATH: process.env['PATH']}});
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.end(code);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exit) => resolve({stdout, stderr, exit}));
  });
}

describe('docs/clients.md', () => {
  const {keep, closeAll} = keeper();
  let url: string;

  beforeAll(async () => {
    const {url: local} = await keep(startUpstream({models: ['chat', 'voice'], name: 'local', tokens: 8}));
    const backends = [
      {name: 'local', url: local},
      {name: 'local-messages', url: local, api: 'Anthropic' as const},
    ];
    ({url} = await keep(startHarness({routes: {chat: {modelNames: ['chat', 'voice'], backends}}})));
  });
  afterAll(closeAll);

  it('has code for each client', () => expect(snippets.length).toBeGreaterThan(5));

  it.each(snippets)('shows $client as it works', async ({code, printed}) => {
    expect(printed).not.toBe('');
    expect(code).toContain(inPage);
    const {stdout, stderr, exit} = await run(code.replaceAll(inPage, url));
    expect({exit, stdout, problem: exit === 0 ? '' : stderr}).toEqual({
      exit: 0,
      stdout: expect.stringContaining(printed),
      problem: '',
    });
  });
});
