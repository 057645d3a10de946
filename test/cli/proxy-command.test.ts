/** `modelroute proxy` as a pod runs it: a process, its mounts, its environment, its signals. */
import {spawnSync} from 'node:child_process';
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {gzipSync} from 'node:zlib';
import {afterEach, describe, expect, it} from '@jest/globals';
import {
  configMap,
  configMapsIn,
  credentialsSecret,
  credentialsText,
  endpointSlice,
  hashOf,
  secretsIn,
  slicesIn,
} from '../cluster-objects.ts';
import {secret, slice} from '../objects.ts';
import {chatBody, keeper, post, startUpstream, toInput} from '../proxy/harness.ts';
import {until} from '../until.ts';
import {startApiStandIn, type ApiStandIn} from './api-stand-in.ts';
import {createFolder, startServing, type Serving} from './serve-process.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const {config, credentials} = toInput({
  routes: {
    backends: [{name: 'local', serviceRef: {name: 'vllm', port: 8_000}, auth: {secretRef: {name: 'openai'}}}],
  },
  secrets: [secret()],
  slices: [slice()],
});
const text = JSON.stringify(config);

const inNamespace = (object: {metadata: {name: string}}): object => ({
  ...object,
  metadata: {namespace: 'team-a', uid: `uid-${object.metadata.name}`, resourceVersion: '1', ...object.metadata},
});

const objectsFor = (port: number): Record<string, object[]> => ({
  [configMapsIn('team-a')]: [inNamespace(configMap(text))],
  [secretsIn('team-a')]: [inNamespace(credentialsSecret(credentialsText(credentials)))],
  [slicesIn('team-a')]: [
    inNamespace(endpointSlice({port, addressType: 'IPv4', endpoints: [{address: '127.0.0.1', zone: 'a'}]})),
  ],
});

/** The folders of a pod; `api`: whose CA stands beside the token. */
async function createPod(api: Pick<ApiStandIn, 'port' | 'ca'>) {
  const folder = await keep(Promise.resolve(createFolder()));
  for (const name of ['config', 'credentials', 'state', 'account']) mkdirSync(folder.path(name));
  folder.write('account/token', 'token-of-the-pod');
  folder.write('account/ca.crt', api.ca);
  const folders = {config: 'config', credentials: 'credentials', state: 'state', 'service-account': 'account'};
  const flags = Object.entries(folders).flatMap(([flag, name]) => [`--${flag}`, folder.path(name)]);
  return {
    folder,
    mount() {
      writeFileSync(folder.path('config/config.json.gz'), gzipSync(text));
      folder.write('credentials/credentials.json', credentialsText(credentials));
    },
    start: (...more: string[]): Promise<Serving> =>
      keep(
        startServing(['proxy', ...flags, ...more], {
          MODELROUTE_GATEWAY: 'team-a/models',
          KUBERNETES_SERVICE_HOST: '127.0.0.1',
          KUBERNETES_SERVICE_PORT: String(api.port),
        }),
      ),
  };
}

const ready = async ({admin}: Serving): Promise<string> => (await (await fetch(`${admin}/readyz`)).text()).trim();
const untilReady = (serving: Serving): Promise<void> =>
  until(async () => (await ready(serving)) === 'ok', 'it is ready', 30_000);

describe('modelroute proxy', () => {
  it('serves what it finds on the API server, and, started without one, what is mounted and saved', async () => {
    const upstream = await keep(startUpstream());
    const api = await keep(startApiStandIn(objectsFor(upstream.port)));
    const pod = await createPod(api);
    const first = await pod.start('--drain-grace', '0s');
    await untilReady(first);
    expect((await post(first.url, chatBody())).status).toBe(200);
    expect(upstream.requests()[0]?.headers['authorization']).toBe('Bearer sk-1');
    expect([...api.authorizations]).toEqual(['Bearer token-of-the-pod']);
    const loaded = (await (await fetch(`${first.admin}/loaded`)).json()) as object;
    expect(loaded).toMatchObject({hash: hashOf(text), routes: 1, missingCredentials: []});
    const backends = await (await fetch(`${first.admin}/backends`)).text();
    expect(backends).toContain('"zone": "a"');
    first.process.kill('SIGTERM');
    await until(() => first.exitCode() !== undefined, 'it ends', 30_000);
    expect([first.exitCode(), first.stderr()]).toEqual([0, '']);
    expect(readFileSync(pod.folder.path('state/endpoints.json'), 'utf8')).toContain(String(upstream.port));

    await api.close();
    pod.mount();
    const second = await pod.start();
    expect(await ready(second)).toBe('ok');
    expect((await post(second.url, chatBody())).status).toBe(200);
    expect(JSON.stringify([first.log, second.log])).not.toContain('sk-1');
  }, 60_000);

  it('is not ready first on SIGTERM, takes requests meanwhile, and ends at once on a second one', async () => {
    const upstream = await keep(startUpstream());
    const api = await keep(startApiStandIn(objectsFor(upstream.port)));
    const serving = await (await createPod(api)).start('--drain-grace', '1h');
    await untilReady(serving);
    serving.process.kill('SIGTERM');
    await until(async () => (await ready(serving)) === 'draining', 'it drains', 30_000);
    const answer = await post(serving.url, chatBody());
    expect([answer.status, answer.headers.get('connection')]).toEqual([200, 'close']);
    serving.process.kill('SIGTERM');
    await until(() => serving.exitCode() !== undefined, 'it ends', 30_000);
    expect(serving.exitCode()).toBe(1);
  }, 60_000);

  it.each<[string, string[], Record<string, string>, RegExp]>([
    ['outside of a cluster', ['--gateway', 'a/b'], {}, /KUBERNETES_SERVICE_HOST is not set.*\n.*modelroute serve -f/],
    ['without its gateway', [], {}, /--gateway <namespace\/name>' not specified/],
    ['with a gateway without namespace', ['--gateway', 'models'], {}, /NAMESPACE\/NAME/],
    [
      'without a service account',
      ['--gateway', 'a/b', '--service-account', '/does-not-exist'],
      {KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: '1'},
      /\/does-not-exist\/token does not exist/,
    ],
  ])('says what is missing %s', (_, args, variables, words) => {
    const {PATH = ''} = process.env;
    const {status, stderr} = spawnSync(process.execPath, ['cli/main.ts', 'proxy', ...args], {
      env: {PATH, ...variables},
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([1, expect.stringMatching(words)]);
  });
});
