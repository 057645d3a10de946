/** No operator: pods come and go, and nobody who calls notices. */
import {afterAll, afterEach, beforeAll, it} from '@jest/globals';
import type {Cluster} from './cluster.ts';
import {
  describeOnCluster,
  loadTestMs,
  proxies,
  scaleOperator,
  setUpMs,
  startProduct,
  startScenario,
  type Scenario,
} from './scenario.ts';

describeOnCluster('without an operator', () => {
  let cluster: Cluster;
  let scenario: Scenario;

  beforeAll(async () => {
    cluster = await startProduct();
    scenario = await startScenario(cluster, 'no-operator');
  }, setUpMs);
  afterEach(() => scaleOperator(cluster, 2), setUpMs);
  afterAll(async () => {
    await scenario.close();
    await cluster.stop();
  }, setUpMs);

  const replaceOnePod = async (selector: string): Promise<void> => {
    const pods = await scenario.readyPods(selector);
    await scenario.kubectl('delete', 'pod', pods[0]!.metadata.name, '--wait=false');
    await scenario.untilPods(selector, pods.length);
  };

  const scale = async (app: string, replicas: number): Promise<void> => {
    await scenario.kubectl('scale', `deployment/${app}`, `--replicas=${replicas}`);
    await scenario.untilPods(`app=${app}`, replicas);
  };

  it(
    'no call fails while backends are deleted, replaced, added and taken away, nor while a proxy is replaced',
    async () => {
      await scenario.underLoad('operator scaled to 0', async (clock) => {
        await scaleOperator(cluster, 0);
        await replaceOnePod(proxies);
        do {
          await replaceOnePod('app=sim');
          await scale('sim', 3);
          await replaceOnePod('app=llama');
          await scale('sim', 2);
        } while (clock.left());
      });
    },
    loadTestMs,
  );
});
