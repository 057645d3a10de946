/** What the operator does not do before it knows everything, and what its probes say, on a real API server. */
import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, it} from '@jest/globals';
import {watchedKinds} from '../../operator/cluster/kinds.ts';
import {findAssets} from '../api-server/assets.ts';
import {installCrds} from '../api-server/crds.ts';
import {type ApiServer, startApiServer} from '../api-server/start.ts';
import {createFakeClock} from '../fake-clock.ts';
import {until} from '../until.ts';
import {startFront, type Front} from './front.ts';
import {connect, patienceMs, probeSays, run, textOf, type Cluster, type Running} from './harness.ts';

const assets = findAssets((line) => process.stderr.write(line));
const describeWithServer = assets === undefined ? describe.skip : describe;

const secrets = '/api/v1/secrets';
const slices = '/apis/discovery.k8s.io/v1/endpointslices';

const ok = {status: 200, text: 'ok'};

const route = (namespace: string) => ({
  kind: 'ModelRoute',
  metadata: {namespace, name: 'chat'},
  spec: {backends: [{name: 'cloud', url: 'https://a.example/v1'}]},
});

describeWithServer('the operator', () => {
  let server: ApiServer;
  let cluster: Cluster;
  let front: Front;
  const closers: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    server = await startApiServer(assets ?? '');
    await installCrds(server);
    cluster = connect(server);
  }, 180_000);

  beforeEach(async () => {
    front = await startFront(server);
    closers.push(() => front.close());
  });

  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close();
  }, patienceMs);

  afterAll(async () => {
    await cluster.close();
    await server.stop();
  }, patienceMs);

  const start = async (settings: Parameters<typeof run>[1] = {}): Promise<Running> => {
    const running = await run(server, {access: {config: front.config, from: 'a test'}, ...settings});
    closers.push(() => running.stop());
    return running;
  };

  it('neither leads nor writes before everything has been listed once, and says what it waits for', async () => {
    await cluster.apply(route('early'));
    front.hold(secrets);
    const running = await start();
    await probeSays(running, '/readyz', {status: 503, text: 'waits for the first list of secrets'});
    const watches = () => front.asked.filter((request) => request.startsWith('WATCH '));
    await until(() => watches().length === watchedKinds.length - 1, 'all others are watched', patienceMs);
    await cluster.apply(route('early-2'));
    expect(front.asked.filter((request) => !/^(GET|WATCH) /.test(request) || request.includes('/leases'))).toEqual([]);
    expect(running.log).toEqual([]);

    front.release(secrets);
    await probeSays(running, '/readyz', ok);
    for (const namespace of ['early', 'early-2'])
      await until(
        async () => (await cluster.get('Deployment', namespace, 'models')) !== undefined,
        `there is a Deployment in ${namespace}`,
        patienceMs,
      );
    expect(running.log[0]?.message).toBe('caches synced');
  }, 120_000);

  it('does not live while nothing has been heard of a resource for more than twice the time of a watch', async () => {
    const clock = createFakeClock();
    const running = await start({clock});
    await probeSays(running, '/readyz', ok);
    await probeSays(running, '/livez', ok);
    front.hold(slices);
    await clock.advance(1_200_000); // every watch has been given up on the way, and is tried again a second later
    const lives = () => textOf(running.operator.adminPort, '/livez');
    expect(await lives()).toEqual({status: 200, text: 'ok\n'});
    const silent = 'nothing was heard for too long of endpointslices.discovery.k8s.io\n';
    await until(
      async () => {
        await clock.advance(1_000);
        return (await lives()).text === silent;
      },
      'it has heard of all others',
      patienceMs,
    );
    expect((await lives()).status).toBe(503);
  }, 120_000);
});
