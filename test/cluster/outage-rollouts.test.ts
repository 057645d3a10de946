/** What is replaced on purpose: proxies, backends, the product itself. */
import {afterAll, beforeAll, expect, it} from '@jest/globals';
import type {Cluster} from './cluster.ts';
import {
  describeOnCluster,
  installDefinitions,
  installProduct,
  loadTestMs,
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
      const report = await scenario.underLoad('rolling restart of the proxies', async (clock) => {
        do await restart('models', proxies);
        while (clock.left());
      });
      expect(report.streams).toEqual({ok: report.streams['ok']});
    },
    loadTestMs,
  );

  it(
    'no call fails and no stream is cut while the fleet is scaled down, and up again',
    async () => {
      await scenario.underLoad('scale-down of the proxies', async (clock) => {
        do {
          for (const replicas of [1, 3, 2]) {
            await scenario.kubectl('scale', 'mgateway/models', `--replicas=${replicas}`);
            await scenario.untilPods(proxies, replicas);
          }
        } while (clock.left());
      });
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

  it(
    'no call fails while the chart is upgraded, nor does a proxy restart that is not changed by it',
    async () => {
      const before = uidsOf(await scenario.readyPods(proxies));
      await scenario.underLoad('chart upgraded', async () => {
        await installDefinitions(cluster);
        await installProduct(cluster, ['podAnnotations.upgraded=yes', 'logLevel=debug']);
      });
      expect(uidsOf(await scenario.readyPods(proxies)).sort()).toEqual(before.sort());
      await scenario.untilReady('mroute/chat');
    },
    loadTestMs,
  );
});
