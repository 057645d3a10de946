import {renameSync, symlinkSync} from 'node:fs';
import {afterEach, describe, expect, it} from '@jest/globals';
import {chatBody, keeper, post, startUpstream} from '../proxy/harness.ts';
import {done, finish, readBody, role, startByHand, token} from '../proxy/streams.ts';
import {until} from '../until.ts';
import {createFolder, routeFile, startServe, type Folder, type Serving} from './serve-process.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const folder = (): Promise<Folder> => keep(Promise.resolve(createFolder()));

const served = async (serving: Serving): Promise<string[]> => {
  const models = (await fetch(`${serving.url}/v1/models`).then((response) => response.json())) as {
    data: {id: string}[];
  };
  return models.data.map(({id}) => id);
};

/** What is promised is a second; a busy machine gets another to answer us. */
const promisedMs = 2_000;

async function expectServedSoon(serving: Serving, model: string): Promise<void> {
  await until(async () => (await served(serving)).includes(model), `${model} to be served`, promisedMs);
  expect(await served(serving)).toEqual([model]);
}

describe('modelroute serve, when its file changes', () => {
  const changes: Record<string, (files: Folder, text: string) => void> = {
    'is edited in place': (files, text) => files.write('route.yaml', text),
    'is renamed over': (files, text) => renameSync(files.write('.route.yaml.tmp', text), files.path('route.yaml')),
  };

  it.each(Object.entries(changes))('serves the new one within a second: it %s', async (_, change) => {
    const upstream = await keep(startUpstream());
    const files = await folder();
    const serving = await keep(startServe(files.write('route.yaml', routeFile(upstream.url, 'before'))));
    expect(await served(serving)).toEqual(['before']);
    change(files, routeFile(upstream.url, 'after'));
    await expectServedSoon(serving, 'after');
    expect((await post(serving.url, chatBody({model: 'after'}))).status).toBe(200);
    expect((await post(serving.url, chatBody({model: 'before'}))).status).toBe(404);
  });

  it('serves the new one within a second: it is a link that is swapped', async () => {
    const upstream = await keep(startUpstream());
    const files = await folder();
    files.write('one', routeFile(upstream.url, 'before'));
    files.write('two', routeFile(upstream.url, 'after'));
    symlinkSync('one', files.path('route.yaml'));
    const serving = await keep(startServe(files.path('route.yaml')));
    symlinkSync('two', files.path('next'));
    renameSync(files.path('next'), files.path('route.yaml'));
    await expectServedSoon(serving, 'after');
  });

  const broken: Record<string, {text: string; why: RegExp}> = {
    'is no YAML': {text: 'spec: [', why: /route\.yaml/},
    'has an unknown field': {
      text: `${routeFile('http://127.0.0.1:1/v1')}  retries: 3\n`,
      why: /route\.yaml:8.*retries/,
    },
    'has a bad duration': {
      text: `${routeFile('http://127.0.0.1:1/v1')}  timeouts: {connect: soon}\n`,
      why: /timeouts\.connect/,
    },
    'has a backend without a target': {text: routeFile('').replace('url: "", ', ''), why: /backends/},
  };

  it('keeps the one before when the new one is broken, says why, and takes the next good one', async () => {
    const upstream = await keep(startUpstream());
    const files = await folder();
    const serving = await keep(startServe(files.write('route.yaml', routeFile(upstream.url, 'before'))));
    type Loaded = {hash: string; rejected: {reason: string} | null};
    const loaded = async (): Promise<Loaded> => (await fetch(`${serving.admin}/loaded`)).json() as Promise<Loaded>;
    const before = await loaded();
    expect(before.rejected).toBeNull();

    let rejections = 0;
    for (const [how, {text, why}] of Object.entries(broken)) {
      files.write('route.yaml', text);
      await serving.untilSays('config rejected, the one before stays in use', (rejections += 1));
      const told = serving.log.filter(({level}) => level === 'error').map((line) => line.message);
      expect({how, told: told.filter((message) => why.test(message)).length > 0, all: told}).toMatchObject({
        told: true,
      });
      expect(await served(serving)).toEqual(['before']);
      expect((await post(serving.url, chatBody({model: 'before'}))).status).toBe(200);
      expect(await loaded()).toEqual({...before, rejected: {hash: '', reason: expect.stringMatching(why)}});
      expect((await fetch(`${serving.admin}/readyz`)).status).toBe(200);
    }
    const metrics = await fetch(`${serving.admin}/metrics`).then((response) => response.text());
    expect(metrics).toMatch(new RegExp(`modelroute_config_rejected\\S* ${rejections}`));

    files.write('route.yaml', routeFile(upstream.url, 'after'));
    await expectServedSoon(serving, 'after');
    expect((await loaded()).rejected).toBeNull();
    expect(serving.stderr()).toBe('');
  }, 20_000);

  it('lets streams that run go on to their end, also when their backend is gone from it', async () => {
    const old = await keep(startByHand());
    const upstream = await keep(startUpstream());
    const files = await folder();
    const serving = await keep(startServe(files.write('route.yaml', routeFile(old.url, 'before'))));
    const asked = post(serving.url, chatBody({model: 'before', stream: true}));
    const stream = await old.stream(1, role() + token('One'));
    const body = readBody(await asked);
    await body.untilHas('One');

    files.write('route.yaml', routeFile(upstream.url, 'after'));
    await expectServedSoon(serving, 'after');
    stream.end(token(' two') + finish() + done);
    expect(await body.rest()).toBe(role() + token('One') + token(' two') + finish() + done);
    await until(() => old.openConnections() === 0, 'the old backend’s connections to be closed');
  });
});
