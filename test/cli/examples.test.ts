import {mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterEach, describe, expect, it} from '@jest/globals';
import {loadFiles} from '../../operator/files/load.ts';
import type {Simulator} from '../../simulator/index.ts';
import {chatBody, post, startUpstream} from '../proxy/harness.ts';
import {startServe, type Serving} from './serve-process.ts';

/** Each example as it stands, with simulators in the place of the servers that it names. */
type Example = {model: string; first: Simulator; second: Simulator; serve: Serving};

const cleanups: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

async function startExample(
  name: string,
  stands: (first: Simulator, second: Simulator) => Record<string, string>,
): Promise<Example> {
  const model = name === 'ollama' ? 'llama3.2' : 'chat';
  const models = [model, 'Qwen/Qwen3-8B', 'gpt-4.1-mini'];
  const [first, second] = await Promise.all([
    startUpstream({name: 'first', models}),
    startUpstream({name: 'second', models}),
  ]);
  cleanups.push(
    () => first.close(),
    () => second.close(),
  );
  let text = readFileSync(`examples/${name}/route.yaml`, 'utf8');
  for (const [from, to] of Object.entries(stands(first, second))) {
    expect(text).toContain(from);
    text = text.replaceAll(from, to);
  }
  const folder = mkdtempSync(join(tmpdir(), 'example-'));
  cleanups.push(() => rmSync(folder, {recursive: true}));
  writeFileSync(join(folder, 'route.yaml'), text);
  const serve = await startServe(folder);
  cleanups.push(() => serve.close());
  return {model, first, second, serve};
}

const ask = async ({serve, model}: Example, content = 'Hi'): Promise<string> => {
  const response = await post(serve.url, chatBody({model, messages: [{role: 'user', content}]}));
  expect(response.status).toBe(200);
  const body = (await response.json()) as {choices: {message: {content: string}}[]};
  return /Hello from (\w+)/.exec(body.choices[0]?.message.content ?? '')?.[1] ?? '';
};

/** Those that need a cluster are looked at in docs-cluster.test.ts. */
const forFiles = readdirSync('examples').filter((name) => !name.startsWith('cluster-'));

describe('examples', () => {
  it.each(forFiles)('%s has no problem', (name) => {
    const {problems, counts} = loadFiles([`examples/${name}`], {use: 'Check'});
    expect(problems).toEqual([]);
    expect(counts.routes).toBe(1);
  });

  it('quickstart fails over and comes back', async () => {
    const example = await startExample('quickstart', (first, second) => ({
      '127.0.0.1:8001': `127.0.0.1:${first.port}`,
      '127.0.0.1:8002': `127.0.0.1:${second.port}`,
    }));
    expect(await ask(example)).toBe('first');
    example.first.behave({do: 'status', status: 503});
    expect(await ask(example)).toBe('second');
    example.first.reset();
    expect(await ask(example)).toBe('first');
  });

  it('ollama passes any model name on', async () => {
    const example = await startExample('ollama', (first) => ({'127.0.0.1:11434': `127.0.0.1:${first.port}`}));
    expect(await ask(example)).toBe('first');
    expect(example.first.requests()[0]?.body).toMatchObject({model: 'llama3.2'});
  });

  it('vllm-and-cloud asks each by its own name, the cloud with its key, and only when it has to', async () => {
    const example = await startExample('vllm-and-cloud', (first, second) => ({
      'http://127.0.0.1:8000/v1': first.url,
      'https://api.openai.com/v1': second.url,
    }));
    expect(await ask(example)).toBe('first');
    expect(example.first.requests()[0]?.body).toMatchObject({model: 'Qwen/Qwen3-8B'});
    example.first.behave({do: 'reset'});
    expect(await ask(example)).toBe('second');
    expect(example.second.requests()[0]?.body).toMatchObject({model: 'gpt-4.1-mini'});
    expect(example.second.requests()[0]?.headers['authorization']).toBe('Bearer replace-me');
    expect(example.first.requests()[0]?.headers['authorization']).toBeUndefined();
  });

  it('weighted-canary sends about a tenth to the canary, and all of it elsewhere when that fails', async () => {
    const example = await startExample('weighted-canary', (first, second) => ({
      '127.0.0.1:8001': `127.0.0.1:${first.port}`,
      '127.0.0.1:8002': `127.0.0.1:${second.port}`,
    }));
    for (let asked = 0; asked < 200; asked += 1) await ask(example);
    const canary = example.second.requests().length;
    expect(canary).toBeGreaterThan(4); // 20 expected; further off than this is less likely than one in ten thousand
    expect(canary).toBeLessThan(42);
    example.second.behave({do: 'status', status: 500});
    for (let asked = 0; asked < 50; asked += 1) expect(await ask(example)).toBe('first');
  });

  it('many-endpoints keeps a conversation on one server and spreads conversations over both', async () => {
    const example = await startExample('many-endpoints', (first, second) => ({
      '8001': String(first.port),
      '8002': String(second.port),
    }));
    const servers = new Set<string>();
    for (let conversation = 0; conversation < 20; conversation += 1) {
      const server = await ask(example, `Question ${conversation}`);
      expect(await ask(example, `Question ${conversation}`)).toBe(server);
      servers.add(server);
    }
    expect([...servers].sort()).toEqual(['first', 'second']);
  });
});
