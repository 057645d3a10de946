/** The script that `helm test` runs, against a stand-in of the API server and a real proxy over two simulators. */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {createServer, type IncomingMessage} from 'node:http';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {json} from 'node:stream/consumers';
import {fileURLToPath} from 'node:url';
import {afterEach, expect, it} from '@jest/globals';
import type {Simulator} from '../../simulator/index.ts';
import {startHarness, startUpstream} from '../proxy/harness.ts';
import {until} from '../until.ts';

const script = fileURLToPath(new URL('../../charts/modelroute/files/test.mts', import.meta.url));
const limitMs = 60_000;

const cleanups: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

type Made = {kind: string; metadata: {name: string; ownerReferences: unknown[]}; spec: {backends?: unknown[]}};
type Api = {url: string; objects: Map<string, Made>; asked: string[]};

/** Keeps what it is given; a route is ready, at `url`, when it is asked for it the second time. */
async function startApi(status: (asked: number) => unknown): Promise<Api> {
  const objects = new Map<string, Made>();
  const asked: string[] = [];
  const answer = async (request: IncomingMessage): Promise<[number, unknown]> => {
    const path = (request.url ?? '').replace(/\?.*$/, '');
    asked.push(`${request.method} ${path.split('/').slice(-2).join('/')}`);
    if (request.headers.authorization !== 'Bearer secret') return [401, {}];
    if (request.method === 'POST') {
      const object = (await json(request)) as Made;
      objects.set(`${path}/${object.metadata.name}`, object);
      return [201, object];
    }
    const found = objects.get(path);
    if (found === undefined) return [404, {}];
    if (request.method === 'DELETE') objects.delete(path);
    return [200, {...found, status: status(asked.filter((line) => line.startsWith('GET ')).length)}];
  };
  const server = createServer((request, response) => {
    void answer(request).then(([code, body]) => response.writeHead(code).end(JSON.stringify(body)));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return {url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, objects, asked};
}

type Run = {api: Api; kill: () => void; ended: Promise<{code: number | null; said: string}>};

async function startScript(api: Api, first: Simulator): Promise<Run> {
  const folder = mkdtempSync(join(tmpdir(), 'modelroute-helm-test-'));
  cleanups.push(() => rmSync(folder, {recursive: true}));
  writeFileSync(join(folder, 'token'), 'secret\n');
  const child = spawn(process.execPath, [script], {
    env: {
      API_SERVER: api.url,
      TOKEN_FILE: join(folder, 'token'),
      FIRST_SIMULATOR: first.origin,
      NAMESPACE: 'team-a',
      POD_NAME: 'modelroute-test',
      POD_UID: 'uid-1',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  cleanups.push(() => void child.kill('SIGKILL'));
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (said += text));
  const ended = once(child, 'close').then(([code]) => ({code: code as number | null, said}));
  return {api, kill: () => void child.kill('SIGTERM'), ended};
}

const notReady = {conditions: [{type: 'Ready', status: 'False', reason: 'NoReadyEndpoints', message: 'none yet'}]};

/** `backends`: those of the route in the proxy. */
async function startTest(backends: ('first' | 'second')[]): Promise<Run & {first: Simulator}> {
  const models = ['modelroute-test'];
  const [first, second] = [await startUpstream({name: 'first', models}), await startUpstream({name: 'second', models})];
  const urls = {first: first.url, second: second.url};
  const proxy = await startHarness({
    routes: {
      modelNames: models,
      backends: backends.map((name, priority) => ({name, priority, url: urls[name]})),
    },
  });
  cleanups.push(
    () => first.close(),
    () => second.close(),
    () => proxy.close(),
  );
  const ready = {url: `${proxy.url}/v1`, conditions: [{type: 'Ready', status: 'True', reason: 'Ready', message: ''}]};
  const api = await startApi((asked) => (asked < 2 ? notReady : ready));
  return {...(await startScript(api, first)), first};
}

it(
  'passes over a gateway that streams and fails over, and leaves nothing behind',
  async () => {
    const {api, ended} = await startTest(['first', 'second']);
    expect(await ended).toMatchObject({code: 0, said: expect.stringContaining('passed')});
    expect(api.objects.size).toBe(0);
    expect(api.asked.slice(0, 2)).toEqual(['POST team-a/modelgateways', 'POST team-a/modelroutes']);
  },
  limitMs,
);

it(
  'fails if nothing takes over, and leaves nothing behind',
  async () => {
    const {api, ended} = await startTest(['first']);
    expect(await ended).toMatchObject({code: 1, said: expect.stringMatching(/answered 503|answered 502/)});
    expect(api.objects.size).toBe(0);
  },
  limitMs,
);

it(
  'fails if another backend than the first answers',
  async () => {
    const {ended} = await startTest(['second', 'first']);
    expect(await ended).toMatchObject({
      code: 1,
      said: expect.stringContaining('the backend second answered, and not first'),
    });
  },
  limitMs,
);

it(
  'fails if the stream is cut',
  async () => {
    const {first, ended} = await startTest(['first', 'second']);
    first.behave({do: 'cut', afterTokens: 2});
    expect(await ended).toMatchObject({code: 1, said: expect.stringContaining('did not come to its end')});
  },
  limitMs,
);

it(
  'removes what it made when it is stopped, and its pod owns that',
  async () => {
    const first = await startUpstream({name: 'first'});
    cleanups.push(() => first.close());
    const api = await startApi(() => notReady);
    const {kill, ended} = await startScript(api, first);
    await until(() => api.asked.includes('GET modelroutes/modelroute-test'), 'the script to wait', 30_000);
    expect([...api.objects.values()].map(({kind, metadata}) => [kind, metadata.ownerReferences])).toEqual(
      ['ModelGateway', 'ModelRoute'].map((kind) => [
        kind,
        [{apiVersion: 'v1', kind: 'Pod', name: 'modelroute-test', uid: 'uid-1'}],
      ]),
    );
    kill();
    expect(await ended).toMatchObject({code: 1, said: expect.stringContaining('stopped before its end')});
    expect(api.objects.size).toBe(0);
  },
  limitMs,
);
