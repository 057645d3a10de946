/** Keys that change under load: every call is answered, and no address ever sees the key of the one before it. */
import {afterAll, beforeAll, expect, it} from '@jest/globals';
import {inCluster, type Cluster} from './cluster.ts';
import {eventually} from './eventually.ts';
import {fetchFrom, firstAnswer} from './load.ts';
import {backendPort, route, secret, service, type KubernetesObject} from './objects.ts';
import {describeOnCluster, loadTestMs, setUpMs, startProduct, startScenario, type Scenario} from './scenario.ts';

/** What a simulator was sent: the number of the address that was called, and that of the key. */
type Sent = {address: number; key: number};

type Recorded = {path: string; headers: {host?: string; authorization?: string}};

const numberIn = (text: string | undefined, pattern: RegExp): number => Number(pattern.exec(text ?? '')?.[1] ?? NaN);

describeOnCluster('a rotated credential', () => {
  let cluster: Cluster;
  let scenario: Scenario;

  beforeAll(async () => {
    cluster = await startProduct();
    scenario = await startScenario(cluster, 'rotation');
  }, setUpMs);
  afterAll(async () => {
    await scenario.close();
    await cluster.stop();
  }, setUpMs);

  const originOf = (number: number): string =>
    `http://address-${number}.${scenario.name}.svc.cluster.local:${backendPort}`;

  /** All addresses are the same simulators, which tell them apart by what they are called. Resolves when it can be called. */
  const address = async (number: number): Promise<void> => {
    await scenario.apply(service(`address-${number}`, 'sim'));
    await eventually(
      async () => (await fetchFrom({url: `${originOf(number)}/health`}, inCluster)).status === 200,
      `address ${number} is there`,
    );
  };

  const routeTo = (number: number, secretName: string): KubernetesObject => {
    const url = `${originOf(number)}/v1`;
    return route('chat', [{name: 'cloud', url, model: 'chat', auth: {secretRef: {name: secretName}}}]);
  };

  const sent = async (): Promise<Sent[]> => {
    const pods = await scenario.readyPods('app=sim');
    const lists = await Promise.all(
      pods.map(({status}) =>
        fetchFrom({url: `http://${status.podIP ?? ''}:${backendPort}/control/requests`}, inCluster),
      ),
    );
    return lists
      .flatMap(({body}) => (JSON.parse(body) as {requests: Recorded[]}).requests)
      .filter(({headers}) => headers.host?.startsWith('address-') === true)
      .map(({headers}) => ({
        address: numberIn(headers.host, /^address-(\d+)\./),
        key: numberIn(headers.authorization, /^Bearer key-(\d+)$/),
      }));
  };

  /** Asks itself, for before there is a load. */
  const arrives = (number: number, wanted = number): Promise<void> =>
    eventually(async () => {
      await firstAnswer({url: scenario.url, withinSeconds: 60}, inCluster);
      return (await sent()).some(({address, key}) => address === number && key === wanted);
    }, `address ${number} is called with key ${wanted}`);

  it(
    'no call fails, and no new URL gets an old key, where a Secret is written and then the URL that goes with it',
    async () => {
      await address(1);
      await scenario.apply(secret('cloud', {apiKey: 'key-1'}), routeTo(1, 'cloud'));
      await arrives(1);
      await scenario.underLoad('Secret and URL rotated', async (clock) => {
        let number = 1;
        do {
          number += 1;
          await address(number);
          await scenario.apply(secret('cloud', {apiKey: `key-${number}`}));
          await scenario.apply(routeTo(number, 'cloud'));
          await arrives(number);
          expect((await sent()).filter(({address, key}) => !(key >= address))).toEqual([]);
        } while (clock.left());
        expect(number).toBeGreaterThan(1);
      });
    },
    loadTestMs,
  );

  it(
    'no URL gets any key but its own, where each has a Secret of its own',
    async () => {
      await address(101);
      await scenario.apply(secret('cloud-101', {apiKey: 'key-101'}), routeTo(101, 'cloud-101'));
      await arrives(101);
      await scenario.underLoad('URL and Secret exchanged at once', async (clock) => {
        let number = 101;
        do {
          number += 1;
          const name = `cloud-${number}`;
          // The Secret before it, so that the route is never without a backend.
          await address(number);
          await scenario.apply(secret(name, {apiKey: `key-${number}`}));
          await scenario.apply(routeTo(number, name));
          await arrives(number);
          const ofThese = (await sent()).filter(({address, key}) => address > 100 || key > 100);
          expect(ofThese.filter(({address, key}) => address !== key)).toEqual([]);
        } while (clock.left());
      });
    },
    loadTestMs,
  );

  it(
    'a Secret alone is rotated: no call fails, and the new key is used',
    async () => {
      await address(201);
      await scenario.apply(secret('alone', {apiKey: 'key-201'}), routeTo(201, 'alone'));
      await arrives(201);
      await scenario.underLoad('Secret rotated', async () => {
        await scenario.apply(secret('alone', {apiKey: 'key-202'}));
        await arrives(201, 202);
      });
    },
    loadTestMs,
  );
});
