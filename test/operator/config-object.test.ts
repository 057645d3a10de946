/** What is published of a plan, through a real API server. */
import {randomBytes} from 'node:crypto';
import {afterAll, beforeAll, describe, expect, it, jest} from '@jest/globals';
import {createKubeClient, type KubeClient} from '../../kube/client.ts';
import type {KubeObject} from '../../kube/objects.ts';
import {configObjects, readConfigMap, readCredentials} from '../../operator/cluster/config-object.ts';
import {createWriter, type Writer} from '../../operator/cluster/writer.ts';
import type {Child} from '../../operator/plan/fleet.ts';
import {plan} from '../../operator/plan/plan.ts';
import {systemClock} from '../../proxy/engine/clock.ts';
import {findAssets} from '../api-server/assets.ts';
import {startApiServer, type ApiServer} from '../api-server/start.ts';
import {modelGateway, modelRoute, secret, urlBackend, world} from '../objects.ts';

jest.setTimeout(120_000);

const assets = findAssets((line) => process.stderr.write(line));
const describeWithServer = assets === undefined ? describe.skip : describe;

const backend = urlBackend({auth: {secretRef: {name: 'openai'}}});
const planned = plan(world({routes: [modelRoute({}, {backends: [backend]})], secrets: [secret()]}));
const inputOf = (name: string) => ({
  gateway: modelGateway({name, uid: 'u'}),
  ...planned,
  keep: new Map<string, string>(),
});

describeWithServer('config and credentials', () => {
  let server: ApiServer;
  let client: KubeClient;
  let writer: Writer;

  beforeAll(async () => {
    server = await startApiServer(assets ?? '');
    const config = {server: server.url, caFile: server.ca, token: server.token};
    client = createKubeClient({config, clock: systemClock, random: Math.random});
    writer = createWriter({client});
  });
  afterAll(async () => {
    await client.close();
    await server.stop();
  });

  const apply = async (child: Child, known?: KubeObject): Promise<KubeObject> => {
    const applied = await writer.apply(child, {known});
    if (!('object' in applied)) throw new Error(`not applied: ${applied.type}`);
    return applied.object;
  };

  it('come back as they were written', async () => {
    const {secret, configMap, hash} = configObjects(inputOf('models'));
    await apply(secret);
    await apply(configMap);
    const read = async (plural: string, {metadata}: Child): Promise<KubeObject> =>
      (await client.request({
        method: 'GET',
        path: `/api/v1/namespaces/team-a/${plural}/${metadata.name}`,
      })) as KubeObject;
    const config = readConfigMap(await read('configmaps', configMap));
    expect(config?.hash).toBe(hash);
    expect(JSON.parse(config?.text ?? '')).toEqual(planned.config);
    expect(readCredentials(await read('secrets', secret))).toEqual(planned.credentials);
  });

  it('that are the same leave the objects at their version', async () => {
    for (const child of ['secret', 'configMap'] as const) {
      const first = await apply(configObjects(inputOf('same'))[child]);
      const second = await apply(configObjects(inputOf('same'))[child], first);
      expect(second.metadata.resourceVersion).toBe(first.metadata.resourceVersion);
    }
  });

  it('are taken, and replaced, as large as they may be', async () => {
    const large = (): string => randomBytes(899_000).toString('base64').slice(0, 899_000);
    const [route] = planned.config.routes;
    for (const config of [1, 2].map((generation) => ({
      ...planned.config,
      gateway: {...planned.config.gateway, generation},
      routes: [{...route!, modelNames: [randomBytes(880_000).toString('base64')]}],
    }))) {
      const {configMap, tooLarge} = configObjects({...inputOf('large'), config});
      expect(tooLarge).toBeUndefined();
      expect(String(Object.values(configMap['binaryData'] as object)[0]).length).toBeGreaterThan(1_000_000);
      const known = await apply(configMap);
      expect(readConfigMap(known)?.text).toBe(JSON.stringify(config));
    }
    for (const value of [large(), large()]) {
      const {secret, tooLarge} = configObjects({...inputOf('large'), credentials: new Map([['a', value]])});
      expect(tooLarge).toBeUndefined();
      expect(readCredentials(await apply(secret))).toEqual(new Map([['a', value]]));
    }
  });
});
