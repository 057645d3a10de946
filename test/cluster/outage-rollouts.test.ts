/** What is replaced on purpose: proxies, backends, the product itself. */
import {afterAll, beforeAll, expect, it} from '@jest/globals';
import type {Cluster} from './cluster.ts';
import {eventually} from './eventually.ts';
import {backend, productImage, route} from './objects.ts';
import {
  describeOnCluster,
  installDefinitions,
  installProduct,
  loadTestMs,
  operators,
  proxies,
  setUpMs,
  startProduct,
  startScenario,
  type Pod,
  type Scenario,
} from './scenario.ts';

const uidsOf = (pods: readonly Pod[]): string[] => pods.map(({metadata}) => metadata.uid);

describeOnCluster('rolling out', () => {
  let cluster: Cluster;
  let scenario: Scenario;

  beforeAll(async () => {
    cluster = await startProduct();
    scenario = await startScenario(cluster, 'rollouts');
  }, setUpMs);
  afterAll(async () => {
    await scenario.close();
    await cluster.stop();
  }, setUpMs);

  /** Every pod of it is another one afterwards. */
  const restart = async (deployment: string, selector: string): Promise<void> => {
    const before = uidsOf(await scenario.readyPods(selector));
    await scenario.kubectl('rollout', 'restart', `deployment/${deployment}`);
    await scenario.rolledOut(deployment);
    const after = uidsOf(await scenario.untilPods(selector, before.length));
    expect(after.filter((uid) => before.includes(uid))).toEqual([]);
  };

  it(
    'no call fails and no stream is cut while the proxies are restarted one by one',
    async () => {
      await scenario.underLoad(
        'rolling restart of the proxies',
        async (clock) => {
          do await restart('models', proxies);
          while (clock.left());
        },
        {longStreams: true},
      );
    },
    loadTestMs,
  );

  it(
    'no call fails and no stream is cut while the fleet is scaled down, and up again',
    async () => {
      await scenario.underLoad(
        'scale-down of the proxies',
        async (clock) => {
          do {
            for (const replicas of [1, 3, 2]) {
              await scenario.kubectl('scale', 'mgateway/models', `--replicas=${replicas}`);
              await scenario.untilPods(proxies, replicas);
            }
          } while (clock.left());
        },
        {longStreams: true},
      );
    },
    loadTestMs,
  );

  it(
    'no call fails while the pods of the backends are rolled',
    async () => {
      const report = await scenario.underLoad('backend pods rolled', async (clock) => {
        do {
          await restart('sim', 'app=sim');
          await restart('llama', 'app=llama');
        } while (clock.left());
      });
      expect(Object.keys(report.servers).length).toBeGreaterThan(2);
    },
    loadTestMs,
  );

  /** Both operators are others afterwards. */
  const upgrade = async (values: readonly string[]): Promise<void> => {
    const before = uidsOf(await operators(cluster));
    await installProduct(cluster, values);
    await eventually(async () => {
      const after = uidsOf(await operators(cluster));
      return after.length === 2 && after.every((uid) => !before.includes(uid));
    }, 'both operators have been replaced');
  };

  /** How often the pods of the fleet have been changed. */
  const revision = async (): Promise<number> => {
    const {metadata} = await scenario.get<{metadata: {annotations: Record<string, string>}}>('deployment/models');
    return Number(metadata.annotations['deployment.kubernetes.io/revision']);
  };

  it(
    'no call fails and no stream is cut while the chart is upgraded, and only another image replaces the proxies',
    async () => {
      const settings = ['podAnnotations.upgraded=yes', 'logLevel=debug'];
      const nextImage = productImage.replace(/[^:]*$/, 'next');
      await cluster.tagImage(productImage, nextImage);
      const before = await revision();
      await scenario.underLoad(
        'chart upgraded',
        async () => {
          await installDefinitions(cluster);
          await upgrade(settings);
          await scenario.apply(route('upgraded', [backend('sim')]));
          await scenario.untilReady('mroute/upgraded'); // the new operators have looked at the gateway
          expect(await revision()).toBe(before);

          await upgrade([...settings, 'image.tag=next']);
          await eventually(async () => {
            const pods = [...(await operators(cluster)), ...(await scenario.readyPods(proxies))];
            return pods.length === 4 && pods.every(({spec}) => spec.containers[0]?.image === nextImage);
          }, 'both operators and both proxies have the next image');
          expect(await revision()).toBe(before + 1);
        },
        {longStreams: true},
      );
      await scenario.untilReady('mroute/chat');
    },
    loadTestMs,
  );
});
