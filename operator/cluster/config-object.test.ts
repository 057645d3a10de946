import {randomBytes} from 'node:crypto';
import {createHash} from 'node:crypto';
import {gunzipSync, gzipSync} from 'node:zlib';
import {describe, expect, it} from '@jest/globals';
import {longestConfigText} from '../../proxy/config/schema.ts';
import {modelGateway, modelRoute, secret, urlBackend, world} from '../../test/objects.ts';
import {plan} from '../plan/plan.ts';
import {configObjects, readConfigMap, readCredentials, type ConfigObjects} from './config-object.ts';

const gateway = modelGateway({uid: 'gateway-uid'});
const backend = urlBackend({auth: {secretRef: {name: 'openai'}}});
const planned = plan(world({routes: [modelRoute({}, {backends: [backend]})], secrets: [secret()]}));
const none = new Map<string, string>();

const publish = (changes: Partial<Parameters<typeof configObjects>[0]> = {}): ConfigObjects =>
  configObjects({gateway, config: planned.config, credentials: planned.credentials, keep: none, ...changes});

const decoded = (child: ConfigObjects['secret'], member: 'data' | 'binaryData', key: string): Buffer =>
  Buffer.from((child[member] as Record<string, string>)[key] ?? '', 'base64'); // as this test has just written it

describe('what is published', () => {
  it('is a ConfigMap with the config and a Secret with what it names, both owned by the gateway', () => {
    const {secret, configMap, hash, tooLarge} = publish();
    const text = gunzipSync(decoded(configMap, 'binaryData', 'config.json.gz')).toString();
    expect(JSON.parse(text)).toEqual(planned.config);
    expect(hash).toBe(createHash('sha256').update(text).digest('hex'));
    expect(JSON.parse(decoded(secret, 'data', 'credentials.json').toString())).toEqual({
      'team-a/openai/uid-1/7/apiKey': 'sk-1',
    });
    expect(tooLarge).toBeUndefined();
    const owner = {
      kind: 'ModelGateway',
      name: 'models',
      uid: 'gateway-uid',
      controller: true,
      blockOwnerDeletion: true,
    };
    for (const [child, kind, name] of [
      [configMap, 'ConfigMap', 'models-config'],
      [secret, 'Secret', 'models-credentials'],
    ] as const)
      expect(child).toMatchObject({
        apiVersion: 'v1',
        kind,
        metadata: {
          name,
          namespace: 'team-a',
          labels: {'app.kubernetes.io/managed-by': 'modelroute', 'modelroute.dev/gateway': 'models'},
          ownerReferences: [owner],
        },
      });
    expect(JSON.stringify(configMap)).not.toContain('sk-1');
  });

  it('is the same, byte for byte, for the same plan', () => {
    const reversed = new Map([...planned.credentials, ['b', '2'], ['a', '1']].toReversed() as [string, string][]);
    expect(publish()).toEqual(publish());
    expect(publish({credentials: reversed})).toEqual(publish({credentials: new Map([...reversed].toReversed())}));
  });

  it('has another hash if anything in the config is another', () => {
    const {gateway: named} = planned.config;
    const other = {...planned.config, gateway: {...named, generation: named.generation + 1}};
    expect(publish({config: other}).hash).not.toBe(publish().hash);
  });

  it('still holds what an older config names, as long as that is kept', () => {
    const keep = new Map([
      ['old', '0'],
      ['team-a/openai/uid-1/7/apiKey', 'never this'],
    ]);
    expect(readCredentials(publish({keep}).secret)).toEqual(
      new Map([
        ['old', '0'],
        ['team-a/openai/uid-1/7/apiKey', 'sk-1'],
      ]),
    );
  });
});

describe('what is too large to be stored', () => {
  const incompressible = randomBytes(700_000).toString('base64');
  const [route] = planned.config.routes;

  it('is a config of more than 900 KB, compressed', () => {
    const config = {...planned.config, routes: [{...route!, modelNames: [incompressible + incompressible]}]};
    expect(publish({config}).tooLarge).toMatch(
      /^the config of this gateway's routes has \d{4} KB compressed; at most 900 KB can be stored: move routes/,
    );
    const repeated = {...planned.config, routes: [{...route!, modelNames: ['x'.repeat(2_000_000)]}]};
    expect(publish({config: repeated}).tooLarge).toBeUndefined();
  });

  it('is a config of more than a proxy unpacks, however well it is compressed', () => {
    const config = {...planned.config, routes: [{...route!, modelNames: ['x'.repeat(longestConfigText)]}]};
    expect(publish({config}).tooLarge).toMatch(/has 335\d\d KB; a proxy takes at most 33555 KB: move routes/);
  });

  it('is more than 900 KB of credentials', () => {
    const credentials = new Map([['a', incompressible]]);
    expect(publish({credentials}).tooLarge).toMatch(
      /^the credentials of this gateway's routes have 934 KB; at most 900/,
    );
    expect(publish({credentials}).tooLarge).not.toContain(incompressible.slice(0, 10));
  });
});

describe('what is read back', () => {
  it('is what was written', () => {
    const {configMap, secret, hash} = publish();
    const read = readConfigMap(configMap);
    expect(read?.hash).toBe(hash);
    expect(JSON.parse(read?.text ?? '')).toEqual(planned.config);
    expect(readCredentials(secret)).toEqual(planned.credentials);
  });

  const metadata = {name: 'models-config'};
  const base64 = (text: string | Buffer): string => Buffer.from(text).toString('base64');

  it.each([
    ['has no binaryData', {}],
    ['has no config', {binaryData: {other: ''}}],
    ['is empty', {binaryData: {'config.json.gz': ''}}],
    ['is not compressed', {binaryData: {'config.json.gz': base64('{}')}}],
    ['is cut', {binaryData: {'config.json.gz': base64(gzipSync('{}').subarray(0, -4))}}],
    ['would be huge', {binaryData: {'config.json.gz': base64(gzipSync('x'.repeat(64 * 1_048_576 + 1)))}}],
  ])('is no config if the ConfigMap %s', (_title, members) => {
    expect(readConfigMap({metadata, ...members})).toBeUndefined();
  });

  it.each([
    ['has no data', {}],
    ['has no credentials', {data: {other: ''}}],
    ['is empty', {data: {'credentials.json': ''}}],
    ['is not JSON', {data: {'credentials.json': base64('sk-1')}}],
    ['is another kind of JSON', {data: {'credentials.json': base64('{"a":1}')}}],
  ])('are no credentials if the Secret %s', (_title, members) => {
    expect(readCredentials({metadata, ...members})).toEqual(none);
  });
});
