import {beforeEach, describe, expect, it} from '@jest/globals';
import {credentialKey, type GatewayConfig} from '../../proxy/config/schema.ts';
import {loadedReport, modelGateway, modelRoute, secret, urlBackend, world} from '../../test/objects.ts';
import {configObjects, readCredentials} from '../cluster/config-object.ts';
import {plan} from '../plan/plan.ts';
import {allServe, createPublished, stillNamed, type Published} from './published.ts';

const gateway = modelGateway({uid: 'uid-1'});
const withSecret = (resourceVersion: string) =>
  plan(
    world({
      gateways: [gateway],
      routes: [modelRoute({}, {backends: [urlBackend({auth: {secretRef: {name: 'openai'}}})]})],
      secrets: [secret({resourceVersion, values: {apiKey: `key of ${resourceVersion}`}})],
    }),
  );
const published = ({config, credentials}: ReturnType<typeof plan>) =>
  configObjects({gateway, config, credentials, keep: new Map()});

describe('configs that proxies may have', () => {
  let now = 0;
  let memory: Published;
  const config = (name: string): GatewayConfig => ({
    ...withSecret('1').config,
    gateway: {name, namespace: 'a', generation: 1},
  });
  const needed = () => memory.needed('a').map(({gateway: {name}}) => name);

  beforeEach(() => {
    now = 0;
    memory = createPublished({now: () => now});
  });

  it('are the newest, and those before it that some proxy may have', () => {
    for (const name of ['one', 'two', 'three']) memory.add('a', name, config(name));
    expect(needed()).toEqual(['one', 'two', 'three']);
    memory.settle('a', 'two');
    expect(needed()).toEqual(['two', 'three']);
    expect([...memory.configs('a').keys()]).toEqual(['one', 'two', 'three']); // a report may still name it
  });

  it('are needed for five minutes at most once they are replaced, whatever the proxies say', () => {
    memory.add('a', 'one', config('one'));
    now = 600_000;
    expect(needed()).toEqual(['one']);
    memory.add('a', 'two', config('two'));
    now += 299_999;
    expect(needed()).toEqual(['one', 'two']);
    now += 1;
    expect(needed()).toEqual(['two']);
  });

  it('are not counted anew when nothing new is published', () => {
    memory.add('a', 'one', config('one'));
    memory.add('a', 'two', config('two'));
    now = 299_000;
    memory.add('a', 'two', config('two'));
    now = 300_000;
    expect(needed()).toEqual(['two']);
  });

  it('begin with what another operator has stored', () => {
    const before = withSecret('1');
    const {configMap, hash} = published(before);
    expect(memory.stored('a', configMap)).toBe(hash);
    expect(memory.configs('a').get(hash)).toEqual(before.config);
    expect(memory.stored('a', undefined)).toBeUndefined();
  });

  it('are forgotten with their gateway, and kept apart', () => {
    memory.add('a', 'one', config('one'));
    memory.add('b', 'two', config('two'));
    memory.forget('a');
    expect(needed()).toEqual([]);
    expect([...memory.configs('b').keys()]).toEqual(['two']);
  });
});

it('credentials are kept that a config names, and no others', () => {
  const [before, after] = [withSecret('1'), withSecret('2')];
  const {secret: stored} = published(before);
  expect([...stillNamed(stored, [before.config]).values()]).toEqual(['key of 1']);
  expect(stillNamed(stored, [after.config]).size).toBe(0);
  expect(stillNamed(undefined, [before.config]).size).toBe(0);
  const both = configObjects({gateway, ...after, keep: stillNamed(stored, [before.config])});
  const names = before.config.routes.concat(after.config.routes).flatMap(({backends}) => backends);
  expect([...readCredentials(both.secret).keys()].sort()).toEqual(
    names.map(({auth}) => (auth === undefined ? '' : credentialKey(auth.credential))).sort(),
  );
});

describe('all proxies serve a config', () => {
  const one = loadedReport({address: '10.0.0.1', hash: 'new'});
  const other = loadedReport({address: '10.0.0.2', hash: 'old'});
  it.each<[string, boolean, Parameters<typeof allServe>]>([
    ['if each that is ready says so', true, ['new', ['10.0.0.1'], [one, other]]],
    ['not if one says something else', false, ['new', ['10.0.0.1', '10.0.0.2'], [one, other]]],
    ['not if one has said nothing', false, ['new', ['10.0.0.1', '10.0.0.3'], [one]]],
    ['not if there is none', false, ['new', [], [one]]],
  ])('%s', (_, serve, [hash, ready, reports]) => {
    expect(allServe(hash, ready, reports)).toBe(serve);
  });
});
