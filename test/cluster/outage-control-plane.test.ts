/** No API server, or no etcd behind it: what serves goes on, also what starts anew on the node, and what is changed afterwards is live soon. */
import {afterAll, afterEach, beforeAll, expect, it} from '@jest/globals';
import {inCluster, type Cluster} from './cluster.ts';
import {killContainer} from './containers.ts';
import {eventually} from './eventually.ts';
import {firstAnswer} from './load.ts';
import {backend, route} from './objects.ts';
import {
  describeOnCluster,
  loadTestMs,
  outageSeconds,
  proxies,
  setUpMs,
  startProduct,
  startScenario,
  type Pod,
  type Scenario,
} from './scenario.ts';

/** A promise of ours, from the moment at which the change was taken to the first answer of the slowest proxy. */
const liveMs = 5_000;

const containerOf = ({status}: Pod): string => status.containerStatuses?.[0]?.containerID ?? '';

const addressOf = ({status}: Pod): string => `http://${status.podIP ?? ''}:8080/v1`;

describeOnCluster('without a control plane', () => {
  let cluster: Cluster;
  let scenario: Scenario;
  let changes = 0;

  beforeAll(async () => {
    cluster = await startProduct();
    scenario = await startScenario(cluster, 'no-api');
  }, setUpMs);
  afterEach(async () => {
    await cluster.part.start('etcd');
    await cluster.part.start('kube-apiserver');
  }, setUpMs);
  afterAll(async () => {
    await scenario.close();
    await cluster.stop();
  }, setUpMs);

  const isAway = async (): Promise<boolean> =>
    scenario.kubectl('get', 'pods', '--request-timeout=2s').then(
      () => false,
      () => true,
    );

  /** Another name for the route, asked for on each proxy: how long it took to be live on all of them. */
  const changeIsLiveAfter = async (): Promise<number> => {
    changes += 1;
    const model = `chat-${changes}`;
    const pods = await scenario.readyPods(proxies);
    expect(pods).not.toEqual([]);
    const answers = pods.map((pod) => firstAnswer({url: addressOf(pod), model, withinSeconds: 120}, inCluster));
    await scenario.apply(route('chat', [backend('sim')], {modelNames: ['chat', model]}));
    const changedAt = Date.now();
    const times = (await Promise.all(answers)).map(({atMs}) => atMs);
    return Math.max(...times) - changedAt;
  };

  it(
    'no call fails while the API server is away, and a route changed when it is back is live soon',
    async () => {
      let tookMs = Infinity;
      await scenario.underLoad('API server killed', async (clock) => {
        await cluster.part.kill('kube-apiserver');
        expect(await isAway()).toBe(true);
        await eventually(() => !clock.left(), 'the outage has lasted', outageSeconds + 60);
        await cluster.part.start('kube-apiserver');
        tookMs = await changeIsLiveAfter();
      });
      expect(tookMs).toBeLessThan(liveMs);
    },
    loadTestMs,
  );

  it(
    'a proxy whose container is killed meanwhile serves again, from what it has on disk',
    async () => {
      const [victim] = await scenario.readyPods(proxies);
      if (victim === undefined) throw new Error('no proxy is ready');
      await cluster.part.kill('kube-apiserver');
      expect(await isAway()).toBe(true);
      await killContainer(containerOf(victim));
      await firstAnswer({url: addressOf(victim), model: 'chat', withinSeconds: 120, timeoutSeconds: 5}, inCluster);

      await scenario.underLoad('API server away, and a proxy that started without it', async (clock) => {
        await eventually(() => !clock.left(), 'the outage has lasted', outageSeconds + 60);
        await cluster.part.start('kube-apiserver');
        expect(await changeIsLiveAfter()).toBeLessThan(liveMs);
      });
      const [again] = (await scenario.untilPods(proxies, 2)).filter(
        ({metadata}) => metadata.uid === victim.metadata.uid,
      );
      expect(again === undefined ? '' : containerOf(again)).not.toBe(containerOf(victim));
    },
    loadTestMs,
  );

  it(
    'no call fails while etcd is killed and started again, and changes go on afterwards',
    async () => {
      await scenario.underLoad('etcd killed', async (clock) => {
        await cluster.part.kill('etcd');
        await eventually(() => !clock.left(), 'the outage has lasted', outageSeconds + 60);
        await cluster.part.start('etcd');
        await cluster.part.start('kube-apiserver');
        await eventually(async () => !(await isAway()), 'the API server answers again');
        await changeIsLiveAfter();
      });
      await scenario.untilReady('mroute/chat');
    },
    loadTestMs,
  );
});
