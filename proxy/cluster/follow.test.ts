import {existsSync, mkdtempSync, readdirSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {gunzipSync} from 'node:zlib';
import {afterEach, describe, expect, it} from '@jest/globals';
import {
  configMap,
  configMapsIn,
  credentialsSecret,
  endpointSlice,
  gatewayConfig,
  hashOf,
  secretsIn,
  slicesIn,
} from '../../test/cluster-objects.ts';
import {createFakeApi} from '../../test/fake-api.ts';
import {createFakeClock} from '../../test/fake-clock.ts';
import {plan} from '../../operator/plan/plan.ts';
import {modelRoute, slice, world} from '../../test/objects.ts';
import {until} from '../../test/until.ts';
import type {BackendTarget, GatewayConfig, RouteConfig} from '../config/schema.ts';
import type {Rejection} from '../engine/gateway.ts';
import type {LiveInput} from '../engine/live.ts';
import {createApiTrouble} from './api-trouble.ts';
import type {Boot} from './boot.ts';
import {follow, type Served} from './follow.ts';

const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

const service = (name: string, namespace = 'team-a'): BackendTarget => ({
  type: 'Service',
  namespace,
  name,
  portName: 'http',
  path: '/v1',
});

/** A route as the plan makes it, with these targets. */
function routeTo(targets: BackendTarget[], loadBalancing: Partial<RouteConfig['loadBalancing']> = {}): RouteConfig {
  const spec = {backends: [{name: 'a', serviceRef: {name: 'vllm', port: 8_000}}]};
  const [route] = plan(world({routes: [modelRoute({}, spec)], slices: [slice()]})).config.routes;
  const [backend] = route!.backends;
  return {
    ...route!,
    loadBalancing: {...route!.loadBalancing, ...loadBalancing},
    backends: targets.map((target, index) => ({...backend!, name: `b${index}`, target})),
  };
}

const textOf = (...targets: BackendTarget[]): string => JSON.stringify(gatewayConfig({routes: [routeTo(targets)]}));

const targetsIn = ({routes}: GatewayConfig): BackendTarget[] =>
  routes.flatMap(({backends}) => backends.map(({target}) => target));

type Update = LiveInput & {hash: string};

const gateway = {namespace: 'team-a', name: 'models'};
const nothing: Boot = {known: {namespaces: new Map(), ownZone: undefined}};
const maps = configMapsIn('team-a');
const slices = slicesIn('team-a');

function start({boot = nothing, podIp}: {boot?: Boot; podIp?: string} = {}) {
  const api = createFakeApi();
  const clock = createFakeClock();
  const updates: Update[] = [];
  const rejections: Rejection[] = [];
  const log: string[] = [];
  const say = (message: string, fields: object = {}): void => void log.push(`${message} ${JSON.stringify(fields)}`);
  const logger = {info: say, warn: say, error: say};
  const stateFolder = mkdtempSync(join(tmpdir(), 'modelroute-follow-'));
  closing.push(() => rmSync(stateFolder, {recursive: true}));
  let kept: BackendTarget[] = [];
  let fault: Error | undefined;
  const proxy: Served = {
    update(input) {
      if (fault !== undefined) throw fault;
      updates.push(input);
    },
    rejected: (rejection) => void rejections.push(rejection),
    targets: () => [...kept, ...(updates.length === 0 ? [] : targetsIn(updates.at(-1)!.config))],
  };
  const run = () => {
    const watching = {client: api.client, clock, random: () => 0, trouble: createApiTrouble(logger)};
    const following = follow({watching, log: logger, gateway, podIp, stateFolder, boot, proxy});
    closing.push(() => following.stop());
    return following;
  };
  /** What is due at once has been done. */
  const settle = async (ms = 30): Promise<void> => {
    await clock.advance(ms);
    for (let times = 0; times < 20; times += 1) await clock.advance(0);
  };
  return {
    api,
    clock,
    run,
    settle,
    updates,
    rejections,
    log,
    stateFolder,
    last: () => updates.at(-1),
    addresses: (key = 'team-a/vllm:http') =>
      updates
        .at(-1)
        ?.endpoints.get(key)
        ?.map(({address}) => address),
    keepTargets: (targets: BackendTarget[]) => (kept = targets),
    failUpdates: (error: Error | undefined) => (fault = error),
    /** Until it is so, in steps of time. */
    comes: (condition: () => boolean, what: string): Promise<void> =>
      until(
        async () => {
          await settle(25);
          return condition();
        },
        `${what}; log: ${log.join('\n')}`,
        10_000,
      ),
  };
}

const pods = (...addresses: string[]) => endpointSlice({endpoints: addresses.map((address) => ({address}))});

describe('the config', () => {
  it('is served as it comes, with the hash of its text', async () => {
    const {api, run, comes, last, log} = start();
    const text = textOf(service('vllm'));
    api.put(maps, configMap(text));
    run();
    await comes(() => last() !== undefined, 'an update');
    expect([last()?.hash, last()?.config.routes.length]).toEqual([hashOf(text), 1]);
    expect(log).toContain(
      `config loaded ${JSON.stringify({hash: hashOf(text).slice(0, 12), generation: 1, routes: 1, from: 'watch'})}`,
    );
  });

  it('may be that of a newer operator: its hash is that of all it says', async () => {
    const {api, run, comes, last} = start();
    const text = JSON.stringify({...gatewayConfig(), newer: {field: 1}});
    api.put(maps, configMap(text));
    run();
    await comes(() => last() !== undefined, 'an update');
    expect(last()?.hash).toBe(hashOf(text));
    expect(last()?.config).toEqual(gatewayConfig());
  });

  it('stays when its object is deleted, or may no longer be read', async () => {
    const {api, run, comes, settle, updates, log, rejections} = start();
    api.put(maps, configMap(textOf()));
    run();
    await comes(() => updates.length === 1, 'an update');
    api.remove(maps, 'models-config');
    await comes(() => log.some((line) => line.startsWith('there is no config object')), 'it is told');
    api.refuse(maps, 403);
    await settle(60_000);
    expect([updates.length, rejections]).toEqual([1, []]);
    api.allow(maps);
    api.put(maps, configMap(textOf(service('vllm'))));
    await settle(30_000);
    await comes(() => updates.at(-1)?.config.routes[0]?.backends.length === 1, 'the new one');
  });

  it.each<[string, object, Partial<Rejection>]>([
    ['no JSON', configMap('{'), {hash: hashOf('{'), reason: 'config.json.gz holds no JSON'}],
    ['no gzip', {metadata: {name: 'models-config'}, binaryData: {'config.json.gz': 'eA=='}}, {hash: ''}],
    [
      'nothing',
      {metadata: {name: 'models-config'}},
      {hash: '', reason: 'the ConfigMap has no binaryData config.json.gz'},
    ],
  ])('stays when the next one holds %s, and the one after counts', async (_, object, rejection) => {
    const {api, run, comes, updates, rejections} = start();
    const text = textOf();
    api.put(maps, configMap(text));
    run();
    await comes(() => updates.length === 1, 'the first');
    api.put(maps, object as ReturnType<typeof configMap>);
    await comes(() => rejections.length === 1, 'it is refused');
    expect(rejections[0]).toMatchObject(rejection);
    expect(updates.length).toBe(1);
    api.put(maps, configMap(text));
    await comes(() => updates.length === 2, 'the first again, though its text is the same');
  });

  it('stays when the proxy fails with the next one, and goes on with its endpoints', async () => {
    const {api, run, comes, failUpdates, rejections, updates, addresses} = start();
    api.put(slices, pods('10.0.0.1'));
    api.put(maps, configMap(textOf(service('vllm'))));
    run();
    await comes(() => addresses()?.length === 1, 'the first');
    const {hash} = updates.at(-1)!;
    failUpdates(new Error('bug'));
    api.put(maps, configMap(textOf()));
    await comes(() => rejections.length > 0, 'it is refused');
    expect(rejections[0]?.reason).toContain('bug');
    failUpdates(undefined);
    api.put(slices, pods('10.0.0.1', '10.0.0.2'));
    await comes(() => addresses()?.length === 2, 'the endpoint');
    expect(updates.at(-1)?.hash).toBe(hash);
  });

  it('waits for the endpoints of a Service that it names first', async () => {
    const {api, run, comes, settle, updates, addresses} = start();
    api.put(slices, pods('10.0.0.1'));
    api.put(slices, endpointSlice({service: 'new', endpoints: [{address: '10.0.0.9'}]}));
    api.put(maps, configMap(textOf(service('vllm'))));
    run();
    await comes(() => addresses()?.length === 1, 'the first');
    const before = updates.length;
    api.hang(slices);
    api.put(maps, configMap(textOf(service('new'))));
    await settle(500);
    expect(updates.length).toBe(before);
    api.answer(slices);
    await comes(() => updates.length > before, 'the second');
    expect(updates.slice(before).map(({endpoints}) => endpoints.get('team-a/new:http')?.length)).toEqual([1]);
  });

  it('waits no longer than a second', async () => {
    const {api, run, comes, settle, updates} = start();
    api.put(maps, configMap(textOf()));
    run();
    await comes(() => updates.length === 1, 'the first');
    api.hang(slices);
    const text = textOf(service('new'));
    api.put(maps, configMap(text));
    await settle(0);
    await settle(900);
    expect(updates.length).toBe(1);
    await settle(100);
    await settle(30);
    expect(updates.at(-1)?.hash).toBe(hashOf(text));
  });

  it('waits as long when what it waits for may not be read: that may change at this moment', async () => {
    const {api, run, comes, settle, updates, log} = start();
    api.put(maps, configMap(textOf()));
    api.refuse(slicesIn('team-b'), 403);
    run();
    await comes(() => updates.length === 1, 'the first');
    api.put(maps, configMap(textOf(service('vllm', 'team-b'))));
    await settle(900);
    expect(updates.length).toBe(1);
    await comes(() => updates.length === 2, 'the second');
    expect(log.filter((line) => line.includes('403 Forbidden: no'))).toHaveLength(1);
  });

  it('that waits is used before a bad one after it is refused', async () => {
    const {api, run, comes, settle, updates, rejections} = start();
    api.put(maps, configMap(textOf()));
    run();
    await comes(() => updates.length === 1, 'the first');
    api.hang(slices);
    const good = textOf(service('new'));
    api.put(maps, configMap(good));
    api.put(maps, configMap('{'));
    await settle(500);
    expect([updates.length, rejections]).toEqual([1, []]);
    await comes(() => rejections.length === 1, 'it is refused');
    expect(updates.at(-1)?.hash).toBe(hashOf(good));
  });

  it('that is bad is not told of once the next good one has come', async () => {
    const {api, run, comes, settle, updates, rejections} = start();
    api.put(maps, configMap(textOf()));
    run();
    await comes(() => updates.length === 1, 'the first');
    api.hang(slices);
    for (const text of [textOf(service('new')), '{', textOf(service('newer'))]) api.put(maps, configMap(text));
    await comes(() => updates.at(-1)?.hash === hashOf(textOf(service('newer'))), 'the last');
    await settle(1_000);
    expect(rejections).toEqual([]);
  });

  describe('that names a Service in place of one that has endpoints', () => {
    const startServing = async () => {
      const subject = start();
      subject.api.put(slices, pods('10.0.0.1'));
      subject.api.put(maps, configMap(textOf(service('vllm'))));
      subject.run();
      await subject.comes(() => subject.addresses()?.length === 1, 'the first');
      return {...subject, before: subject.updates.at(-1)!.hash};
    };
    const next = textOf(service('new'));
    const hashNow = ({updates}: {updates: Update[]}) => updates.at(-1)?.hash;

    it('waits until the endpoints of that are known, which is told once', async () => {
      const {api, settle, comes, updates, log, before} = await startServing();
      api.hang(slices);
      api.put(maps, configMap(next));
      await settle(0);
      await settle(20_000);
      api.put(slices, pods('10.0.0.1', '10.0.0.2')); // which still arrive
      await comes(() => updates.at(-1)?.endpoints.get('team-a/vllm:http')?.length === 2, 'its new endpoint');
      expect(hashNow({updates})).toBe(before);
      expect(log.filter((line) => line.startsWith('config waits'))).toEqual([
        expect.stringContaining('"stranded":["team-a/chat"]'),
      ]);
      api.answer(slices);
      await comes(() => hashNow({updates}) === hashOf(next), 'the next');
    });

    it('waits for half a minute at most, with a bad one after it too', async () => {
      const {api, settle, comes, updates, rejections, before} = await startServing();
      api.hang(slices);
      api.put(maps, configMap(next));
      api.put(maps, configMap('{'));
      await settle(0);
      await settle(29_900);
      expect([hashNow({updates}), rejections]).toEqual([before, []]);
      await comes(
        () => hashNow({updates}) === hashOf(next) && rejections.length === 1,
        'the next, and then the bad one',
      );
    });

    it.each<[string, BackendTarget]>([
      ['a URL', {type: 'Url', url: 'https://api.example.com/v1'}],
      ['a Service that is known', service('vllm')],
    ])('waits no longer than a second if the route has %s, too', async (_, other) => {
      const {api, settle, updates} = await startServing();
      api.hang(slices);
      const text = textOf(service('new'), other);
      api.put(maps, configMap(text));
      await settle(0);
      await settle(1_000);
      await settle();
      expect(hashNow({updates})).toBe(hashOf(text));
    });
  });
});

describe('credentials', () => {
  it('come before their config or after it, and are never taken away', async () => {
    const {api, run, comes, settle, updates, last, log} = start();
    api.put(maps, configMap(textOf()));
    run();
    await comes(() => updates.length === 1, 'the config');
    const keys = () => [...(last()?.credentials ?? [])].map(([key]) => key);
    api.put(secretsIn('team-a'), credentialsSecret('{"a": "sk-1"}'));
    await comes(() => keys().join() === 'a', 'the credential');
    api.put(secretsIn('team-a'), credentialsSecret('no JSON with sk-2'));
    api.remove(secretsIn('team-a'), 'models-credentials');
    await settle(1_000);
    expect(keys()).toEqual(['a']);
    expect(log.join('\n')).not.toContain('sk-');
    expect(log.filter((line) => line.startsWith('credentials cannot be used'))).toHaveLength(3); // there was none at first
    api.put(secretsIn('team-a'), credentialsSecret('{"b": "sk-3"}'));
    await comes(() => keys().join() === 'b', 'the next');
  });
});

describe('endpoints', () => {
  it('that change at about the same time are one update, also when they never stop changing', async () => {
    const {api, run, comes, settle, updates, addresses} = start();
    api.put(maps, configMap(textOf(service('vllm'))));
    api.put(slices, pods('10.0.0.1'));
    run();
    await comes(() => addresses()?.length === 1, 'the first');
    const before = updates.length;
    for (let times = 0; times < 20; times += 1) {
      api.put(slices, pods('10.0.0.1', `10.0.1.${times}`));
      await settle(10);
    }
    const count = updates.length - before;
    expect(count).toBeGreaterThan(3);
    expect(count).toBeLessThan(12);
    await settle(30);
    expect(addresses()).toEqual(['10.0.0.1', '10.0.1.19']);
  });

  it('that come to the same are no update', async () => {
    const {api, run, comes, settle, updates, addresses} = start();
    api.put(maps, configMap(textOf(service('vllm'))));
    api.put(slices, pods('10.0.0.1'));
    run();
    await comes(() => addresses()?.length === 1, 'the first');
    const before = updates.length;
    const annotated = pods('10.0.0.1');
    api.put(slices, {...annotated, metadata: {...annotated.metadata, annotations: {a: 'b'}}});
    await settle(1_000);
    expect(updates.length).toBe(before);
  });

  it('stay while the API server is away, which is told once', async () => {
    const {api, run, comes, settle, addresses, log} = start();
    api.put(maps, configMap(textOf(service('vllm'))));
    api.put(slices, pods('10.0.0.1'));
    run();
    await comes(() => addresses()?.length === 1, 'the first');
    api.down();
    await settle(120_000);
    expect(addresses()).toEqual(['10.0.0.1']);
    expect(log.filter((line) => line.startsWith('API server does not answer'))).toHaveLength(1);
    api.up();
    await settle(60_000);
    api.put(slices, pods('10.0.0.2'));
    await comes(() => addresses()?.[0] === '10.0.0.2', 'the change');
    expect(log.filter((line) => line.startsWith('API server answers again'))).toHaveLength(1);
  });

  it('that were given up while nobody answered for them do not hide the next outage', async () => {
    const {api, run, comes, updates, log} = start();
    const outages = () => log.filter((line) => line.startsWith('API server does not answer')).length;
    api.refuse(slicesIn('team-b'), 500);
    api.put(maps, configMap(textOf(service('tgi', 'team-b'))));
    run();
    await comes(() => updates.length === 1 && outages() === 1, 'it is told');
    api.put(maps, configMap(textOf()));
    await comes(() => updates.length === 2, 'the next config');
    api.down();
    await comes(() => outages() === 2, 'it is told again');
  });

  it('of a slice that can no longer be read stay as they were, also in a new watch, until it is deleted', async () => {
    const {api, run, comes, settle, addresses, log} = start();
    api.put(maps, configMap(textOf(service('vllm'))));
    api.put(slices, pods('10.0.0.1'));
    run();
    await comes(() => addresses()?.length === 1, 'the first');
    api.put(slices, {...pods('10.0.0.2'), addressType: 'IPX'});
    await settle(1_000);
    expect(addresses()).toEqual(['10.0.0.1']);
    expect(log.filter((line) => line.includes('team-a/vllm-1'))).toEqual([
      expect.stringContaining('"inUse":"as it was before"'),
    ]);
    api.put(maps, configMap(textOf(service('vllm'), service('new'))));
    await comes(() => String(api.watches(slices)).includes('(new,vllm)'), 'another watch');
    await settle(1_000);
    expect(addresses()).toEqual(['10.0.0.1']);
    api.remove(slices, 'vllm-1');
    await comes(() => addresses() === undefined, 'none');
  });

  it('of a Service that is named no more are forgotten, and no update', async () => {
    const {api, run, comes, settle, updates, last, stateFolder} = start();
    const two = endpointSlice({service: 'ollama', endpoints: [{address: '10.0.1.1'}]});
    api.put(slices, pods('10.0.0.1'));
    api.put(slices, two);
    api.put(maps, configMap(textOf(service('vllm'), service('ollama'))));
    const following = run();
    await comes(() => last()?.endpoints.size === 2, 'both');
    api.put(maps, configMap(textOf(service('vllm'))));
    await comes(() => last()?.hash === hashOf(textOf(service('vllm'))), 'the next config');
    await settle(1_000);
    const before = updates.length;
    api.put(slices, {...two, endpoints: []});
    await settle(1_000);
    expect(updates.length).toBe(before);
    api.put(slices, pods('10.0.0.2'));
    await comes(() => updates.length > before, 'the other');
    expect([...last()!.endpoints.keys()]).toEqual(['team-a/vllm:http']);
    await following.stop();
    const saved = readFileSync(join(stateFolder, 'endpoints.json'), 'utf8');
    expect(saved).toContain('10.0.0.2');
    expect(saved).not.toContain('ollama');
  });

  it('of a Service that is named no more are there at once when it is named again', async () => {
    const {api, run, comes, settle, last, addresses} = start();
    api.put(slices, pods('10.0.0.1'));
    const texts = [textOf(service('vllm')), textOf(service('new'))] as const;
    for (const text of [...texts, texts[0]]) {
      api.put(maps, configMap(text));
      if (last() === undefined) run();
      await comes(() => last()?.hash === hashOf(text), 'the config');
      await settle(100);
    }
    expect(addresses()).toEqual(['10.0.0.1']);
  });

  it('of a slice that cannot be read are left out, which is told once', async () => {
    const {api, run, comes, settle, addresses, log} = start();
    api.put(maps, configMap(textOf(service('vllm'))));
    api.put(slices, pods('10.0.0.1'));
    run();
    await comes(() => addresses()?.length === 1, 'the first');
    for (let times = 0; times < 2; times += 1) {
      api.put(slices, {...endpointSlice({name: 'broken'}), addressType: 'IPX'});
      await settle();
    }
    expect(addresses()).toEqual(['10.0.0.1']);
    expect(log.filter((line) => line.includes('team-a/broken'))).toHaveLength(1);
  });

  it('are of the family that the config says, else of IPv4', async () => {
    const {api, run, comes, addresses} = start();
    api.put(slices, {...endpointSlice({name: 'a', addressType: 'IPv6', endpoints: [{address: 'fd00::1'}]})});
    api.put(slices, {...endpointSlice({name: 'b', addressType: 'IPv4', endpoints: [{address: '10.0.0.1'}]})});
    api.put(maps, configMap(textOf(service('vllm'))));
    run();
    await comes(() => addresses()?.[0] === '10.0.0.1', 'IPv4');
    api.put(maps, configMap(textOf({...service('vllm'), ipFamily: 'IPv6'} as BackendTarget)));
    await comes(() => addresses()?.[0] === 'fd00::1', 'IPv6');
    api.put(maps, configMap(textOf(service('vllm'))));
    await comes(() => addresses()?.[0] === '10.0.0.1', 'IPv4 again');
  });

  it('of a target that a backend keeps until its credential has come are still followed', async () => {
    const {api, run, comes, settle, keepTargets, addresses} = start();
    api.put(slices, pods('10.0.0.1'));
    api.put(maps, configMap(textOf(service('vllm'))));
    run();
    await comes(() => addresses()?.length === 1, 'the first');
    keepTargets([service('vllm')]);
    api.put(maps, configMap(textOf(service('new'))));
    await settle(100);
    api.put(slices, pods('10.0.0.2'));
    await comes(() => addresses()?.[0] === '10.0.0.2', 'the change');
  });

  it('are watched where they are, and nowhere else', async () => {
    const {api, run, comes} = start();
    const elsewhere = slicesIn('team-b');
    api.put(maps, configMap(textOf(service('vllm'), service('ollama'), service('tgi', 'team-b'))));
    run();
    await comes(() => api.watches(elsewhere).length === 1 && api.watches(slices).length === 1, 'two watches');
    expect(api.watches(slices)).toEqual(['kubernetes.io/service-name in (ollama,vllm)']);
    api.put(maps, configMap(textOf(service('vllm'), service('new'))));
    await comes(() => api.watches(elsewhere).length === 0, 'no watch there');
    expect(api.watches(slices)).toEqual(['kubernetes.io/service-name in (new,ollama,vllm)']);
  });
});

describe('the own zone', () => {
  const wanting = JSON.stringify(
    gatewayConfig({routes: [routeTo([service('tgi', 'team-b')], {zonePreference: 'SameZone'})]}),
  );
  const own = endpointSlice({
    service: 'models',
    endpoints: [
      {address: '10.0.0.1', zone: 'a'},
      {address: '10.0.0.7', zone: 'b'},
    ],
  });

  it('is that of the own entry in the own Service, and stays when the entry goes', async () => {
    const {api, run, comes, settle, last} = start({podIp: '10.0.0.7'});
    api.put(slices, own);
    api.put(maps, configMap(wanting));
    run();
    await comes(() => last()?.ownZone === 'b', 'the zone');
    api.put(slices, endpointSlice({service: 'models', endpoints: []}));
    await settle();
    expect(last()?.ownZone).toBe('b');
  });

  it('is not looked for where no route wants it', async () => {
    const {api, run, comes, last} = start({podIp: '10.0.0.7'});
    api.put(slices, own);
    api.put(maps, configMap(textOf(service('tgi', 'team-b'))));
    run();
    await comes(() => last() !== undefined && api.watches(slicesIn('team-b')).length === 1, 'an update');
    expect(api.watches(slices)).toEqual([]);
    expect(last()?.ownZone).toBeUndefined();
  });

  it('holds nobody up where it may not be looked for', async () => {
    const {api, run, comes} = start({podIp: '10.0.0.7'});
    api.hang(slices);
    api.put(maps, configMap(wanting));
    const following = run();
    await comes(() => following.notReady() === undefined, 'ready');
  });
});

describe('readiness', () => {
  const text = textOf(service('vllm'), service('tgi', 'team-b'));

  it('waits for the endpoints of the first config, and for nothing that comes later', async () => {
    const {api, run, comes, settle, updates} = start();
    api.hang(slicesIn('team-b'));
    api.put(maps, configMap(text));
    const following = run();
    await comes(() => updates.length > 0, 'the config');
    expect(following.notReady()).toBe('endpoints are not known yet in team-b');
    api.answer(slicesIn('team-b'));
    await comes(() => following.notReady() === undefined, 'ready');
    api.hang(slicesIn('team-c'));
    api.put(maps, configMap(textOf(service('new', 'team-c'))));
    await settle(2_000);
    api.down();
    await settle(2_000);
    expect(following.notReady()).toBeUndefined();
  });

  it('waits for the credentials, unless they are mounted, or there are none', async () => {
    const {api, run, comes, updates} = start();
    api.hang(secretsIn('team-a'));
    api.put(maps, configMap(textOf()));
    const following = run();
    await comes(() => updates.length > 0, 'the config');
    expect(following.notReady()).toBe('credentials are not known yet');
    api.answer(secretsIn('team-a'));
    await comes(() => following.notReady() === undefined, 'ready');
  });

  it('means that the proxy has been given what was waited for', async () => {
    const {api, run, settle, addresses} = start();
    api.put(slices, pods('10.0.0.1'));
    api.put(maps, configMap(textOf(service('vllm'))));
    const following = run();
    for (let times = 0; times < 200 && following.notReady() !== undefined; times += 1) await settle(1);
    expect([following.notReady(), addresses()]).toEqual([undefined, ['10.0.0.1']]);
  });

  it.each([403, 404])('does not wait for a namespace that goes on saying %i', async (status) => {
    const {api, run, settle, comes} = start();
    api.refuse(slicesIn('team-b'), status);
    api.put(maps, configMap(text));
    const following = run();
    await settle(0);
    await settle(9_000);
    expect(following.notReady()).toBe('endpoints are not known yet in team-b');
    await comes(() => following.notReady() === undefined, 'ready');
  });

  it('waits for a namespace that says 403 as long as the API server has just started, and asks again soon', async () => {
    const {api, clock, run, settle, comes, addresses} = start();
    api.put(slices, pods('10.0.0.1'));
    api.refuse(slices, 403);
    api.put(maps, configMap(textOf(service('vllm'))));
    const following = run();
    await settle(0);
    await settle(8_000);
    expect(following.notReady()).toBe('endpoints are not known yet in team-a');
    api.allow(slices);
    const allowedAt = clock.now();
    await comes(() => following.notReady() === undefined, 'ready');
    expect(addresses()).toEqual(['10.0.0.1']);
    expect(clock.now() - allowedAt).toBeLessThan(5_000);
  });

  it('never comes of refusals alone, however long they last', async () => {
    const {api, run, settle, comes} = start();
    api.refuse(slices, 403);
    api.put(maps, configMap(textOf(service('vllm'))));
    const following = run();
    await settle(0);
    for (let minute = 0; minute < 10; minute += 1) await settle(60_000);
    expect(following.notReady()).toBe('endpoints may not be read in team-a');
    api.allow(slices);
    await comes(() => following.notReady() === undefined, 'ready');
  });

  it('comes though every namespace refuses, if there is a URL to send requests to', async () => {
    const {api, run, settle, comes} = start();
    api.refuse(slices, 403);
    api.put(maps, configMap(textOf(service('vllm'), {type: 'Url', url: 'https://api.example.com/v1'})));
    const following = run();
    await settle(0);
    await settle(9_000);
    expect(following.notReady()).toBe('endpoints are not known yet in team-a');
    await comes(() => following.notReady() === undefined, 'ready');
  });

  it('does not come of a refusal that an outage has interrupted', async () => {
    const {api, run, settle} = start();
    api.refuse(slicesIn('team-b'), 403);
    api.put(maps, configMap(text));
    const following = run();
    await settle(0);
    await settle(5_000);
    api.down();
    for (let second = 0; second < 60; second += 1) await settle(1_000);
    expect(following.notReady()).toBe('endpoints are not known yet in team-b');
  });

  it('does not wait for a namespace that a config before it was listed names no more', async () => {
    const {api, run, comes, updates} = start();
    api.hang(slicesIn('team-b'));
    api.put(maps, configMap(text));
    const following = run();
    await comes(() => updates.length > 0, 'the first');
    api.put(maps, configMap(textOf(service('vllm'))));
    await comes(() => following.notReady() === undefined, 'ready');
  });

  it('is there at once with saved endpoints, which the list of their namespace replaces', async () => {
    const saved = new Map([['team-a/vllm:http', [{address: '10.0.0.1', port: 8_000}]]]);
    const tgi = new Map([['team-b/tgi:http', [{address: '10.0.0.8', port: 8_000}]]]);
    const namespaces = new Map([
      ['team-a', saved],
      ['team-b', tgi],
    ]);
    const config = gatewayConfig({routes: [routeTo([service('vllm'), service('tgi', 'team-b')])]});
    const boot: Boot = {
      credentials: new Map(),
      loaded: {config, hash: 'mounted', gzip: new Uint8Array()},
      known: {namespaces, ownZone: 'a'},
    };
    const {api, run, comes, addresses, last} = start({boot});
    api.refuse(slicesIn('team-b'), 403);
    api.down();
    const following = run();
    expect(following.notReady()).toBeUndefined();
    api.put(slices, pods('10.0.0.2'));
    api.up();
    await comes(() => addresses()?.[0] === '10.0.0.2', 'the list');
    expect(addresses('team-b/tgi:http')).toEqual(['10.0.0.8']);
    expect(last()?.ownZone).toBe('a');
  });
});

describe('what is saved', () => {
  it('is the config, too, as it came, once it is in use', async () => {
    const {api, run, comes, updates, rejections, stateFolder} = start();
    const text = textOf();
    api.put(maps, configMap(text));
    const following = run();
    await comes(() => updates.length === 1, 'the config');
    api.put(maps, configMap('{'));
    await comes(() => rejections.length === 1, 'it is refused');
    await following.stop();
    expect(gunzipSync(readFileSync(join(stateFolder, 'config.json.gz'))).toString()).toBe(text);
    expect(readdirSync(stateFolder)).not.toContain('credentials.json');
  });

  it('stays while there is no config', async () => {
    const saved = new Map([['team-a', new Map([['team-a/vllm:http', [{address: '10.0.0.1', port: 8_000}]]])]]);
    const {api, run, settle, comes, stateFolder, addresses} = start({
      boot: {known: {namespaces: saved, ownZone: undefined}},
    });
    api.hang(slices);
    const following = run();
    await settle(5_000);
    await following.stop();
    expect(existsSync(join(stateFolder, 'endpoints.json'))).toBe(false); // as it was
    run();
    api.put(maps, configMap(textOf(service('vllm'))));
    await comes(() => addresses()?.[0] === '10.0.0.1', 'it is of use');
  });

  it('is all that is known, as soon as all has been listed', async () => {
    const {api, run, comes, stateFolder, addresses} = start();
    api.put(slices, pods('10.0.0.1'));
    api.put(maps, configMap(textOf(service('vllm'))));
    run();
    await comes(() => addresses()?.length === 1, 'the endpoints');
    const file = join(stateFolder, 'endpoints.json');
    const read = (): string => {
      try {
        return readFileSync(file, 'utf8');
      } catch {
        return '';
      }
    };
    await until(() => read().includes('10.0.0.1'), 'the file');
    expect(JSON.parse(read())).toEqual({
      formatVersion: 1,
      gateway: 'team-a/models',
      namespaces: {'team-a': {'team-a/vllm:http': [{address: '10.0.0.1', port: 8_000}]}},
    });
  });
});
