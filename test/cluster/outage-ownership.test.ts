/** What belongs to others on the objects of a gateway, and under their names. */
import {spawn} from 'node:child_process';
import {afterAll, beforeAll, expect, it} from '@jest/globals';
import type {Cluster} from './cluster.ts';
import {eventually} from './eventually.ts';
import {backend, gateway, route, type KubernetesObject} from './objects.ts';
import {
  describeOnCluster,
  loadTestMs,
  proxies,
  setUpMs,
  startProduct,
  startScenario,
  type Scenario,
  type Scope,
} from './scenario.ts';

type Labels = Record<string, string>;

type Owned = {
  metadata: {
    uid: string;
    resourceVersion: string;
    generation?: number;
    labels?: Labels;
    annotations?: Labels;
    ownerReferences?: object[];
    managedFields?: {manager: string}[];
  };
  spec: {progressDeadlineSeconds?: number; replicas?: number; ports?: object[]};
  status?: {observedGeneration?: number};
};

/** Every number of replicas that a Deployment was ever told to have, from now on. */
function watchReplicas({cluster, name}: Scope): {seen: () => number[]; close: () => void} {
  const args = ['get', 'deployment/models', '--watch', '-o', 'jsonpath={.spec.replicas};'];
  const child = spawn('kubectl', ['--namespace', name, ...args], {
    env: cluster.env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (more: string) => (text += more));
  return {
    seen: () => text.split(';').slice(0, -1).map(Number),
    close: () => void child.kill(),
  };
}

const strangers: KubernetesObject[] = [
  {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: {name: 'web', labels: {app: 'stranger'}},
    spec: {
      replicas: 0,
      selector: {matchLabels: {app: 'stranger'}},
      template: {
        metadata: {labels: {app: 'stranger'}},
        spec: {containers: [{name: 'web', image: 'example.com/web:1'}]},
      },
    },
  },
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {name: 'shop', labels: {app: 'stranger'}},
    spec: {selector: {app: 'stranger'}, ports: [{port: 8080}]},
  },
];

describeOnCluster('objects that others have a part in', () => {
  let cluster: Cluster;
  let scenario: Scenario;

  beforeAll(async () => {
    cluster = await startProduct();
    scenario = await startScenario(cluster, 'ownership');
  }, setUpMs);
  afterAll(async () => {
    await scenario.close();
    await cluster.stop();
  }, setUpMs);

  it(
    "a foreign label and another manager's field outlive what the operator applies",
    async () => {
      await scenario.underLoad("the operator's part of what others have changed", async () => {
        await scenario.kubectl('label', 'deployment/models', 'service/models', 'example.com/team=blue');
        await scenario.kubectl('annotate', 'service/models', 'example.com/contact=ops');
        const field = {
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          metadata: {name: 'models'},
          spec: {progressDeadlineSeconds: 700},
        };
        await cluster.kubectl(
          ['--namespace', scenario.name, 'apply', '--server-side', '--field-manager=platform', '-f', '-'],
          {stdin: JSON.stringify(field)},
        );
        await scenario.apply(
          gateway('models', {service: {annotations: {'example.com/changed': 'yes'}}, pod: {labels: {changed: 'yes'}}}),
        );
        await eventually(
          async () =>
            (await scenario.get<Owned>('service/models')).metadata.annotations?.['example.com/changed'] === 'yes',
          'the operator has applied the Service anew',
        );
        await scenario.untilPods(`${proxies},changed=yes`, 2);
      });
      const [deployment, service] = await Promise.all([
        scenario.get<Owned>('deployment/models'),
        scenario.get<Owned>('service/models'),
      ]);
      expect(deployment.metadata.labels).toMatchObject({'example.com/team': 'blue'});
      expect(deployment.spec.progressDeadlineSeconds).toBe(700);
      expect(service.metadata.labels).toMatchObject({'example.com/team': 'blue'});
      expect(service.metadata.annotations).toMatchObject({'example.com/contact': 'ops'});
    },
    loadTestMs,
  );

  it.each(strangers.map((stranger) => [stranger.kind, stranger] as const))(
    "a stranger's %s of a gateway's name stays as it is, the gateway says so, and starts when the name is free; another one serves all the while",
    async (kind, stranger) => {
      const {name} = stranger.metadata;
      const object = `${kind.toLowerCase()}/${name}`;
      await scenario.apply(stranger);
      await eventually(async () => {
        const {metadata, status} = await scenario.get<Owned>(object);
        return metadata.generation === undefined || status?.observedGeneration === metadata.generation;
      }, 'the controllers have seen it');
      const before = await scenario.get<Owned>(object);

      await scenario.underLoad(`gateway models beside a stranger's ${kind}`, async () => {
        await scenario.apply(gateway(name, {replicas: 1}), route(name, [backend('sim')], {gatewayRef: {name}}));
        const {message} = await scenario.untilReason(`mgateway/${name}`, 'Accepted', 'NameInUse');
        expect(message).toContain(kind);
        expect(message).toContain(name);
        await eventually(
          async () => (await scenario.condition(`mroute/${name}`, 'Ready'))?.status === 'False',
          'the route says that it is not served',
        );
        expect(await scenario.get<Owned>(object)).toEqual(before);

        await scenario.kubectl('delete', object);
        await scenario.untilReady(`mroute/${name}`);
        await scenario.kubectl('delete', `mroute/${name}`, `mgateway/${name}`);
      });
    },
    loadTestMs,
  );

  it(
    'the fleet never shrinks when autoscaling is turned on, nor by what is applied afterwards',
    async () => {
      await scenario.apply(gateway('models', {replicas: 3}));
      await scenario.untilPods(proxies, 3);
      const replicas = watchReplicas(scenario);
      try {
        await eventually(() => replicas.seen().length > 0, 'the watch has begun');
        await scenario.underLoad('autoscaling turned on', async () => {
          await scenario.apply(gateway('models', {autoscaling: {minReplicas: 2, maxReplicas: 4}}));
          await eventually(() => scenario.exists('hpa/models'), 'there is a HorizontalPodAutoscaler');
          // It has no metrics here, but what its bounds demand it does all the same, and then the number is its own.
          await scenario.apply(gateway('models', {autoscaling: {minReplicas: 4, maxReplicas: 4}}));
          await scenario.untilPods(proxies, 4);
          await scenario.apply(
            gateway('models', {autoscaling: {minReplicas: 4, maxReplicas: 4}, pod: {labels: {scaled: 'yes'}}}),
          );
          await scenario.untilPods(`${proxies},scaled=yes`, 4);
        });
        const seen = replicas.seen();
        expect(seen).toEqual([...seen].sort((a, b) => a - b));
        expect([seen[0], seen.at(-1)]).toEqual([3, 4]);
      } finally {
        replicas.close();
      }
    },
    loadTestMs,
  );
});
