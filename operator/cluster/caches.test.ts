import {afterEach, beforeEach, describe, expect, it} from '@jest/globals';
import type {KubeClient, KubeRequest} from '../../kube/client.ts';
import type {KubeObject} from '../../kube/objects.ts';
import {createFakeClock, type FakeClock} from '../../test/fake-clock.ts';
import {createCaches, type Caches} from './caches.ts';

const managedFields = [{manager: 'kubectl', fieldsV1: {}}];

/** A list of one object of everything, and watches that say nothing. */
const items: Record<string, object[]> = {
  services: [
    {
      metadata: {name: 'vllm', namespace: 'team-a', resourceVersion: '1', managedFields},
      spec: {ports: [{port: 80}]},
      status: {loadBalancer: {}},
    },
  ],
  secrets: [{metadata: {name: 'openai', namespace: 'team-a', resourceVersion: '1'}, data: {apiKey: 'eA=='}}],
};

describe('caches', () => {
  let clock: FakeClock;
  let caches: Caches;
  let asked: KubeRequest[];
  let answers: boolean;

  const client: KubeClient = {
    async request(request) {
      asked.push(request);
      if (!answers) return new Promise(() => {});
      return {metadata: {resourceVersion: '7'}, items: items[request.path.split('/').at(-1) ?? ''] ?? []};
    },
    stream: (request) => ({
      async *[Symbol.asyncIterator]() {
        asked.push(request);
        await new Promise((_, reject) => request.signal?.addEventListener('abort', () => reject(new Error('over'))));
        yield undefined;
      },
    }),
    close: () => Promise.resolve(),
  };
  const start = (namespaces: string[] = []): void => {
    const log = {error: () => {}, warn: () => {}, info: () => {}, debug: () => {}};
    caches = createCaches({client, clock, random: () => 0, log, namespaces, indexes: {}});
  };

  beforeEach(() => {
    clock = createFakeClock();
    asked = [];
    answers = true;
  });
  afterEach(() => caches.stop());

  it('are synced when everything has been listed once', async () => {
    start();
    expect(caches.hasSynced).toBe(false);
    expect(caches.missing()).toContain('modelroutes.modelroute.dev');
    await caches.synced();
    expect(caches.hasSynced).toBe(true);
    expect(caches.missing()).toEqual([]);
  });

  it('keep what is looked at, with the kind that lists leave out', async () => {
    start();
    await caches.synced();
    expect(caches.of('Service').get('team-a/vllm')).toEqual({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: {name: 'vllm', namespace: 'team-a', resourceVersion: '1'},
      spec: {ports: [{port: 80}]},
    } satisfies KubeObject);
  });

  it('are of the namespaces that are asked for, one watch each, and of nothing that is in none', async () => {
    start(['team-a', 'team-b']);
    await caches.synced();
    const paths = asked.map(({path}) => path);
    expect(paths).toContain('/api/v1/namespaces/team-a/services');
    expect(paths).toContain('/api/v1/namespaces/team-b/services');
    expect(paths).not.toContain('/api/v1/services');
    expect(paths.filter((path) => path.endsWith('/namespaces'))).toEqual([]);
    expect(caches.of('Service').list()).toHaveLength(2);
    expect(caches.of('Namespace').list()).toEqual([]);
  });

  it('leave out the Secrets of Helm, and children of others', async () => {
    start();
    await caches.synced();
    const queryOf = (plural: string) => asked.find(({path}) => path.endsWith(`/${plural}`))?.query;
    expect(queryOf('secrets')).toMatchObject({fieldSelector: 'type!=helm.sh/release.v1'});
    expect(queryOf('configmaps')).toMatchObject({labelSelector: 'app.kubernetes.io/managed-by=modelroute'});
    expect(queryOf('services')).not.toHaveProperty('labelSelector');
  });

  it('are silent when nothing has been heard for more than twice the time of a watch', async () => {
    answers = false;
    start();
    for (let minute = 0; minute < 20; minute += 1) await clock.advance(60_000);
    expect(caches.silent()).toEqual([]);
    await clock.advance(1_000);
    expect(caches.silent()).toContain('services');
  });
});
