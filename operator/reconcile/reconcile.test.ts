import {beforeEach, describe, expect, it} from '@jest/globals';
import type {EventRecorder} from '../../kube/events.ts';
import type {KubeObject} from '../../kube/objects.ts';
import type {Outcome} from '../../kube/work-queue.ts';
import {createFakeClock, type FakeClock} from '../../test/fake-clock.ts';
import {modelGateway, modelRoute, urlBackend} from '../../test/objects.ts';
import {createStores, type Stores} from '../../test/operator/stores.ts';
import type {ModelRouteStatus} from '../api/generated.ts';
import {createApplier} from '../cluster/apply.ts';
import {readCredentials} from '../cluster/config-object.ts';
import {createGather, createIsCurrent} from '../cluster/gather.ts';
import type {Poller} from '../cluster/poller.ts';
import type {Writer} from '../cluster/writer.ts';
import type {Child, LoadedReport} from '../plan/fleet.ts';
import {idlePeriodMs, onDemandAnnotation} from '../plan/on-demand.ts';
import {createReconciler, type Reconcile} from './reconcile.ts';
import {createStatusPace, settleMs} from './status-pace.ts';

const key = 'team-a/models';

describe('a reconcile', () => {
  let clock: FakeClock;
  let stores: Stores;
  let reconcile: Reconcile;
  let statuses: Map<string, ModelRouteStatus>;
  let sent: Child[];
  let warnings: string[];
  let reports: LoadedReport[];
  /** What the API server says instead of doing it. */
  let refuses: (verb: string, kind: string) => Error | undefined;
  let isTouched: boolean;
  let isTaken: (child: Child) => boolean;
  let conflicts: boolean;
  /** What others do while a child is being applied. */
  let meanwhile: () => void;
  let random: number;
  let version: number;

  const store = (object: object): void => {
    version += 1;
    const {kind = '', metadata, ...rest} = object as KubeObject;
    const {resourceVersion: _ignored, ...kept} = metadata;
    stores.of(kind).set({...rest, kind, metadata: {uid: `uid of ${kind}`, ...kept, resourceVersion: String(version)}});
  };

  const check = (verb: string, kind: string): void => {
    const error = refuses(verb, kind);
    if (error !== undefined) throw error;
  };

  const writer: Writer = {
    apply(child, {known}) {
      check('apply', child.kind);
      meanwhile();
      if (conflicts) return Promise.resolve({type: 'Conflict'});
      if (isTaken(child)) return Promise.resolve({type: 'NameInUse', message: `there is already a ${child.kind}`});
      sent.push(child);
      store(child);
      const object = stores.of(child.kind).get(`${child.metadata.namespace}/${child.metadata.name}`)!;
      return Promise.resolve(
        known === undefined ? {type: 'Created', object} : {type: 'Applied', object, before: known},
      );
    },
    remove({kind = '', metadata}) {
      stores.of(kind).delete(`${metadata.namespace}/${metadata.name}`);
      return Promise.resolve();
    },
    find: () => Promise.resolve(undefined),
    async applyStatus(kind, {namespace, name}, status) {
      check('status', kind);
      statuses.set(`${kind} ${namespace}/${name}`, status);
      const object = stores.of(kind).get(`${namespace}/${name}`);
      if (object !== undefined) store({...object, status});
      return object;
    },
    async createGateway({namespace, name}) {
      check('create', 'ModelGateway');
      store(modelGateway({namespace, name, annotations: {[onDemandAnnotation]: 'true'}}));
    },
    removeGateway: () => Promise.resolve(!isTouched),
  };

  beforeEach(() => {
    clock = createFakeClock();
    stores = createStores();
    statuses = new Map();
    sent = [];
    warnings = [];
    reports = [];
    refuses = () => undefined;
    isTouched = false;
    isTaken = () => false;
    conflicts = false;
    meanwhile = () => {};
    random = 0;
    version = 0;
    const poller: Poller = {watch: () => {}, forget: () => {}, reports: () => reports, stop: () => {}};
    const recorder: EventRecorder = {
      record: () => {},
      numbers: () => ({written: 0, failed: 0, dropped: 0}),
      flush: () => Promise.resolve(),
    };
    reconcile = createReconciler({
      gather: createGather(stores.caches, {}),
      isCurrent: createIsCurrent(stores.caches),
      writer,
      applier: createApplier(writer, clock),
      poller,
      recorder,
      pace: createStatusPace(clock),
      log: {error: () => {}, warn: (message) => void warnings.push(message), info: () => {}, debug: () => {}},
      clock,
      wallClock: () => new Date('2026-01-01T00:00:00Z'),
      random: () => random,
      proxyImage: 'modelroute:test',
      imagePullPolicy: 'IfNotPresent',
      defaultGateway: undefined,
    });
  });

  const reasonOf = (name: string, type: string): string | undefined =>
    statuses.get(name)?.conditions?.find((condition) => condition.type === type)?.reason;
  const afterMs = (outcome: Outcome): number => ('afterMs' in outcome ? (outcome.afterMs ?? Infinity) : Infinity);
  const route = (name: string, spec = {}): object => modelRoute({name, uid: `uid of ${name}`, generation: 1}, spec);

  it('of a namespace without gateway makes one, then its fleet', async () => {
    store(route('chat'));
    expect(await reconcile(key)).toMatchObject({type: 'Again'});
    await reconcile(key);
    const order = sent.map(({kind}) => kind);
    expect(order.indexOf('Secret')).toBeLessThan(order.indexOf('ConfigMap'));
    expect(order.indexOf('RoleBinding')).toBeLessThan(order.indexOf('Secret'));
    expect(order.at(-1)).toBe('Deployment');
    expect(order).toHaveLength(9);
  });

  it('says on its routes why the gateway could not be made', async () => {
    store(route('chat'));
    refuses = (verb) => (verb === 'create' ? new Error('User "x" cannot create resource "modelgateways"') : undefined);
    expect(await reconcile(key)).toMatchObject({type: 'Failed', afterMs: settleMs});
    await clock.advance(settleMs);
    await reconcile(key);
    expect(reasonOf('ModelRoute team-a/chat', 'Programmed')).toBe('ApplyFailed');
  });

  it('that fails comes back in time for the statuses that wait', async () => {
    store(modelGateway());
    store(route('chat'));
    refuses = (verb, kind) => (verb === 'apply' && kind === 'Deployment' ? new Error('quota') : undefined);
    const outcome = await reconcile(key);
    expect(outcome).toMatchObject({type: 'Failed'});
    expect(afterMs(outcome)).toBeLessThanOrEqual(settleMs);
    await clock.advance(settleMs);
    await reconcile(key);
    expect(reasonOf('ModelGateway team-a/models', 'Programmed')).toBe('ApplyFailed');
  });

  it('applies everything once, not again and again, while one child is refused', async () => {
    store(modelGateway());
    refuses = (verb, kind) => (verb === 'apply' && kind === 'Deployment' ? new Error('quota') : undefined);
    await reconcile(key);
    const first = sent.length;
    await reconcile(key);
    await reconcile(key);
    expect(sent.length).toBe(first);
  });

  it('applies everything anew every ten minutes', async () => {
    store(modelGateway());
    await reconcile(key);
    const first = sent.length;
    await reconcile(key);
    expect(sent.length).toBe(first);
    await clock.advance(600_000);
    await reconcile(key);
    expect(sent.length).toBe(2 * first);
  });

  it.each([
    ['ten minutes', 0, 600_000],
    ['less than eleven, not all at the same moment', 0.999, 659_940],
  ])('of a gateway with nothing left to do comes back after %s', async (_title, value, ms) => {
    random = value;
    store(modelGateway({generation: 1}));
    store(route('chat'));
    await reconcile(key);
    await clock.advance(20_000);
    await reconcile(key); // tells what it came to
    const outcome = await reconcile(key);
    expect(outcome.type).toBe('Again');
    expect(afterMs(outcome)).toBeCloseTo(ms);
  });

  it('looks again at an idle gateway that somebody has just touched', async () => {
    store(modelGateway({annotations: {[onDemandAnnotation]: 'true'}}));
    expect(afterMs(await reconcile(key))).toBeLessThanOrEqual(idlePeriodMs);
    await clock.advance(idlePeriodMs);
    isTouched = true;
    expect(await reconcile(key)).toMatchObject({type: 'Again'});
    isTouched = false;
    expect(await reconcile(key)).toEqual({type: 'Done'});
  });

  it('that finds old objects waits for the watch ever longer, as it may be broken, until one does not', async () => {
    store(modelGateway());
    await reconcile(key);
    await clock.advance(20_000);
    await reconcile(key);
    const edit = (): void =>
      store({
        ...stores.of('Service').get(key),
        kind: 'Service',
        metadata: {...stores.of('Service').get(key)!.metadata},
      });
    edit();
    conflicts = true;
    const waits: number[] = [];
    for (let count = 0; count < 10; count += 1) waits.push(afterMs(await reconcile(key)));
    expect(waits).toEqual([200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000]);
    conflicts = false;
    await reconcile(key);
    edit();
    conflicts = true;
    expect(afterMs(await reconcile(key))).toBe(200);
  });

  it('comes back when what somebody else keeps changing may be put right once more', async () => {
    store(modelGateway({generation: 1}));
    await reconcile(key);
    await clock.advance(20_000);
    const edited = async (): Promise<number> => {
      store({...stores.of('Service').get(key), kind: 'Service'});
      return afterMs(await reconcile(key));
    };
    for (let count = 0; count < 5; count += 1) await edited();
    const before = sent.length;
    expect(await edited()).toBe(10_000);
    expect(sent.length).toBe(before);
    expect(warnings).toEqual(['somebody else keeps changing a child']);
    await clock.advance(10_000);
    await reconcile(key);
    expect(sent.length).toBe(before + 1);
  });

  it('leaves the status of a route that has gone to another gateway meanwhile to that one', async () => {
    store(modelGateway());
    store(route('chat'));
    await reconcile(key);
    await clock.advance(20_000);
    const moved = modelRoute({name: 'chat', uid: 'uid of chat', generation: 2}, {gatewayRef: {name: 'other'}});
    store(route('one-more')); // so that there is a config to write
    meanwhile = () => store(moved);
    await reconcile(key);
    expect(statuses.has('ModelGateway team-a/models')).toBe(true);
    expect(statuses.has('ModelRoute team-a/chat')).toBe(false);
  });

  it('of nothing is done', async () => {
    expect(await reconcile(key)).toEqual({type: 'Done'});
  });

  describe('of a changed credential', () => {
    const values = (): string[] => {
      const object = stores.of('Secret').get('team-a/models-credentials');
      return object === undefined ? [] : [...readCredentials(object).values()].map((value) => value.slice(0, 5)).sort();
    };
    const setKey = (text: string): void =>
      store({
        kind: 'Secret',
        metadata: {namespace: 'team-a', name: 'openai', uid: 's'},
        data: {apiKey: Buffer.from(text).toString('base64')},
      });
    const hashOf = async (): Promise<string> => {
      await clock.advance(20_000);
      await reconcile(key);
      return (statuses.get('ModelGateway team-a/models') as {configHash?: string} | undefined)?.configHash ?? '';
    };
    const proxies = (): void =>
      store({
        kind: 'EndpointSlice',
        metadata: {namespace: 'team-a', name: 's', labels: {'kubernetes.io/service-name': 'models'}},
        addressType: 'IPv4',
        ports: [],
        endpoints: [{addresses: ['10.0.0.1'], conditions: {ready: true}}],
      });

    beforeEach(() => {
      store(modelGateway({generation: 1}));
      store(route('chat', {backends: [urlBackend({auth: {secretRef: {name: 'openai'}}})]}));
      setKey('key-1');
    });

    it('keeps the one before until all proxies serve the new config, and no longer', async () => {
      proxies();
      await reconcile(key);
      expect(values()).toEqual(['key-1']);
      setKey('key-2');
      const hash = await hashOf();
      expect(values()).toEqual(['key-1', 'key-2']);
      reports = [{address: '10.0.0.1', hash, missingCredentials: []}];
      await reconcile(key);
      expect(values()).toEqual(['key-2']);
    });

    it('keeps it for minutes at most if no proxy says anything', async () => {
      await reconcile(key);
      setKey('key-2');
      await reconcile(key);
      expect(values()).toEqual(['key-1', 'key-2']);
      await clock.advance(300_000);
      await reconcile(key);
      expect(values()).toEqual(['key-2']);
    });

    it('does without it where there is no room for both', async () => {
      setKey(`old-1${'x'.repeat(600_000)}`);
      await reconcile(key);
      setKey(`new-1${'x'.repeat(600_000)}`);
      await hashOf();
      expect(values()).toEqual(['new-1']);
      expect(reasonOf('ModelGateway team-a/models', 'Programmed')).not.toBe('ConfigTooLarge');
    });
  });

  it('says on a route that its proxies may not look into its namespace, and in the log once', async () => {
    store(modelGateway({namespace: 'team-a', generation: 1}, {allowedRoutes: {namespaces: {from: 'All'}}}));
    const far = modelRoute(
      {namespace: 'team-b', name: 'far', uid: 'far', generation: 1},
      {
        gatewayRef: {namespace: 'team-a', name: 'models'},
        backends: [{name: 'a', serviceRef: {name: 'vllm', port: 80}}],
      },
    );
    store(far);
    store({kind: 'Service', metadata: {namespace: 'team-b', name: 'vllm'}, spec: {ports: [{port: 80}]}});
    isTaken = ({metadata}) => metadata.namespace === 'team-b';
    await reconcile(key);
    await clock.advance(settleMs);
    await reconcile(key);
    expect(reasonOf('ModelRoute team-b/far', 'Programmed')).toBe('NameInUse');
    expect(warnings).toHaveLength(1);
    expect(sent.map(({kind}) => kind)).toContain('Deployment');
  });
});
