/** Against a client that each test answers itself, on a clock that stands still. */
import {afterEach, describe, expect, it} from '@jest/globals';
import {createFakeClock, type FakeClock} from '../test/fake-clock.ts';
import type {KubeClient, KubeRequest} from './client.ts';
import {KubeError} from './errors.ts';
import type {KubeObject} from './objects.ts';
import {createReflector, type Reflector} from './reflector.ts';
import {createStore, type Store} from './store.ts';

const path = '/api/v1/namespaces/a/configmaps';

type Query = NonNullable<KubeRequest['query']>;
type Asked = {readonly kind: 'list' | 'watch'; readonly query: Query; readonly at: number};
type List = Asked & {answer(body: unknown): void; fail(error: unknown): void};
type Watch = Asked & {send(...lines: unknown[]): void; end(): void; fail(error: unknown): void};

/** What the real client makes of a signal. */
const aborted = new KubeError('aborted');

/** What comes can wait; what ends it cannot be taken back. */
function createLines(signal: AbortSignal) {
  const waiting: unknown[] = [];
  let over: {error?: unknown} | undefined;
  let wake = (): void => {};
  const close = (how: {error?: unknown}): void => {
    over ??= how;
    wake();
  };
  signal.addEventListener('abort', () => close({error: aborted}));
  return {
    close,
    send: (lines: unknown[]) => {
      waiting.push(...lines);
      wake();
    },
    async *read() {
      for (;;) {
        if (waiting.length > 0) yield waiting.shift();
        else if (over !== undefined) {
          if ('error' in over) throw over.error;
          return;
        } else
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
      }
    },
  };
}

function createScriptedClient(clock: FakeClock) {
  const lists: List[] = [];
  const watches: Watch[] = [];
  const log: Asked[] = [];
  let open = 0;
  const begin = (kind: Asked['kind'], {query = {}, signal}: KubeRequest) => {
    if (signal === undefined) throw new Error('asked without a signal');
    const asked = {kind, query, at: clock.now()};
    log.push(asked);
    open += 1;
    return {asked, signal};
  };
  const client: Pick<KubeClient, 'request' | 'stream'> = {
    async request(request) {
      const {asked, signal} = begin('list', request);
      const {promise, resolve, reject} = Promise.withResolvers<unknown>();
      signal.addEventListener('abort', () => reject(aborted));
      lists.push({...asked, answer: resolve, fail: reject});
      try {
        return await promise;
      } finally {
        open -= 1;
      }
    },
    async *stream(request) {
      const {asked, signal} = begin('watch', request);
      const lines = createLines(signal);
      watches.push({
        ...asked,
        send: (...sent) => lines.send(sent),
        end: () => lines.close({}),
        fail: (error) => lines.close({error}),
      });
      try {
        yield* lines.read();
      } finally {
        open -= 1;
      }
    },
  };
  return {client, lists, watches, log, open: () => open};
}

const object = (name: string, resourceVersion: string): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: {namespace: 'a', name, uid: `uid of ${name}`, resourceVersion},
});

const page = (resourceVersion: string, items: unknown[], next?: string) => ({
  kind: 'ConfigMapList',
  apiVersion: 'v1',
  metadata: {resourceVersion, continue: next},
  items,
});

const added = (name: string, version: string) => ({type: 'ADDED', object: object(name, version)});
const modified = (name: string, version: string) => ({type: 'MODIFIED', object: object(name, version)});
const deleted = (name: string, version: string) => ({type: 'DELETED', object: object(name, version)});
const bookmark = (resourceVersion: string) => ({
  type: 'BOOKMARK',
  object: {kind: 'ConfigMap', metadata: {resourceVersion}},
});
const errorEvent = (code: number, reason: string) => ({
  type: 'ERROR',
  object: {kind: 'Status', code, reason, message: 'as told by a test'},
});

const refused = new KubeError('connection refused');
const cut = new KubeError('the answer was cut');
const gone = new KubeError('too old', {status: 410, reason: 'Expired'});
const forbidden = new KubeError('may not', {status: 403, reason: 'Forbidden'});
const unavailable = new KubeError('later', {status: 503});

const started: {reflector: Reflector; clock: FakeClock; open: () => number}[] = [];

/** Whatever a test has left under way, stopping ends it. */
afterEach(async () => {
  for (const {reflector, clock, open} of started.splice(0)) {
    reflector.stop();
    await settled();
    expect({requests: open(), timers: clock.pending}).toEqual({requests: 0, timers: 0});
  }
});

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

type StartOptions = {random?: number; query?: Query};

function start({random = 0, query}: StartOptions = {}) {
  const clock = createFakeClock();
  const {client, lists, watches, log, open} = createScriptedClient(clock);
  const storeErrors: unknown[] = [];
  const store: Store<KubeObject> = createStore({onError: (error) => storeErrors.push(error)});
  const changes: string[] = [];
  store.onChange(({type, key}) => changes.push(`${type} ${key}`));
  const told: unknown[] = [];
  const unreadable: string[] = [];
  const reflector = createReflector({
    client,
    path,
    ...(query && {query}),
    store,
    clock,
    random: () => random,
    onProblem: (error) => told.push(error),
    onRecovered: () => told.push('recovered'),
    onUnreadable: (why) => unreadable.push(why),
  });
  started.push({reflector, clock, open});
  const lastOf = <A>(asked: A[], what: string): A => {
    const last = asked.at(-1);
    if (last === undefined) throw new Error(`no ${what} yet`);
    return last;
  };
  /** What was asked since the last time. */
  let seen = 0;
  const asked = (): string[] => {
    const news = log.slice(seen).map(({kind}) => kind);
    seen = log.length;
    return news;
  };
  return {
    clock,
    store,
    reflector,
    changes,
    told,
    unreadable,
    storeErrors,
    log,
    open,
    asked,
    list: () => lastOf(lists, 'list'),
    watch: () => lastOf(watches, 'watch'),
    names: () => store.list().map(({metadata}) => `${metadata.name} ${metadata.resourceVersion}`),
    pass: async (ms: number) => {
      await settled();
      await clock.advance(ms);
      await settled();
    },
  };
}

type Subject = ReturnType<typeof start>;

/** Has x, and watches from 10. */
async function startWatching(options?: StartOptions): Promise<Subject> {
  const subject = start(options);
  subject.list().answer(page('10', [object('x', '5')]));
  await settled();
  expect(subject.asked()).toEqual(['list', 'watch']);
  return subject;
}

/** Lets each request of ten minutes go wrong as soon as it is made. Answers with those that followed the first. */
async function failForTenMinutes({clock, log}: Subject, fail: (asked: Asked) => void): Promise<Asked[]> {
  const first = log.length;
  const failNew = async (from: number): Promise<void> => {
    for (let at = from; at < log.length; at += 1) {
      fail(log[at]!);
      await settled();
    }
  };
  await failNew(first - 1);
  for (let second = 0; second < 600; second += 1) {
    const from = log.length;
    await clock.advance(1_000);
    await settled();
    await failNew(from);
  }
  return log.slice(first);
}

describe('the reflector lists', () => {
  it('in pages of 500, and watches from the resourceVersion of the list', async () => {
    const {list, watch, names, reflector} = start({query: {fieldSelector: 'metadata.name=x'}});
    expect(list().query).toEqual({fieldSelector: 'metadata.name=x', limit: 500});
    list().answer(page('10', [object('x', '5')], 'more'));
    await settled();
    expect(reflector.hasSynced).toBe(false);
    expect(names()).toEqual([]);
    expect(list().query).toEqual({fieldSelector: 'metadata.name=x', limit: 500, continue: 'more'});
    list().answer(page('10', [object('y', '6')], ''));
    await settled();
    expect(reflector.hasSynced).toBe(true);
    expect(names()).toEqual(['x 5', 'y 6']);
    expect(watch().query).toEqual({
      fieldSelector: 'metadata.name=x',
      watch: true,
      allowWatchBookmarks: true,
      resourceVersion: '10',
      timeoutSeconds: 300,
    });
  });

  it('anew if the pages end in 410', async () => {
    const {list, names, told} = start();
    list().answer(page('10', [object('x', '5')], 'more'));
    await settled();
    list().fail(gone);
    await settled();
    expect(list().query['continue']).toBeUndefined();
    list().answer(page('20', [object('y', '15')]));
    await settled();
    expect(names()).toEqual(['y 15']);
    expect(told).toEqual([]);
  });

  it('and gives the items of a typed list the kind that only the list has', async () => {
    const {list, store} = start();
    const {metadata} = object('x', '5');
    list().answer(page('10', [{metadata}]));
    await settled();
    expect(store.get('a/x')).toEqual(object('x', '5'));
  });

  it.each<[string, unknown]>([
    ['text', 'welcome'],
    ['an object without metadata', {items: []}],
    ['a list without items', {metadata: {resourceVersion: '10'}}],
    ['a list without a resourceVersion', {metadata: {}, items: []}],
    ['a list with an empty resourceVersion', {metadata: {resourceVersion: ''}, items: []}],
    ['nothing', undefined],
  ])('and does not take %s for an empty list', async (_what, body) => {
    const {list, reflector, told, pass} = start();
    list().answer(body);
    await settled();
    expect(reflector.hasSynced).toBe(false);
    expect(told).toHaveLength(1);
    await pass(1_000);
    list().answer(page('10', []));
    await settled();
    expect(reflector.hasSynced).toBe(true);
  });

  it('and takes items: null for an empty list, and leaves out what is no object', async () => {
    const {list, reflector, unreadable, names, watch} = start();
    list().answer({metadata: {resourceVersion: '10'}, items: null});
    await settled();
    expect(reflector.hasSynced).toBe(true);
    watch().send(errorEvent(410, 'Expired'));
    await settled();
    list().answer(page('20', [object('x', '5'), {}, null, {metadata: {}}], 'more'));
    await settled();
    list().answer(page('20', [{metadata: {name: ''}}]));
    await settled();
    expect(names()).toEqual(['x 5']);
    expect(unreadable).toEqual(['4 items of a list without a name']);
  });

  it('and gives up pages that do not end', async () => {
    const {list, told, asked} = start();
    list().answer(page('10', [], 'again'));
    await settled();
    list().answer(page('10', [], 'again'));
    await settled();
    expect(told).toHaveLength(1);
    expect(asked()).toEqual(['list', 'list']);
  });

  it('again when a list hangs', async () => {
    const {told, asked, pass} = start();
    await pass(90_000);
    await pass(1_000);
    expect(asked()).toEqual(['list', 'list']);
    expect(told).toEqual([new Error('nothing came for 90 s')]);
  });

  it('and says when the first list is in', async () => {
    const {list, reflector} = start();
    let synced = false;
    const waiting = reflector.synced().then(() => {
      synced = true;
    });
    await settled();
    expect(synced).toBe(false);
    list().answer(page('10', []));
    await waiting;
    expect(synced).toBe(true);
  });
});

describe('the reflector watches', () => {
  it('and follows what is told', async () => {
    const {watch, names, changes} = await startWatching();
    watch().send(added('y', '11'), modified('x', '12'), deleted('y', '13'));
    await settled();
    expect(names()).toEqual(['x 12']);
    expect(changes).toEqual(['Added a/x', 'Added a/y', 'Modified a/x', 'Deleted a/y']);
  });

  it.each<[string, unknown[], string]>([
    ['the last object', [added('y', '11')], '11'],
    ['a deletion', [deleted('x', '12')], '12'],
    ['a bookmark', [added('y', '11'), bookmark('40')], '40'],
    [
      'the event before one that does not say',
      [bookmark('40'), {type: 'ADDED', object: {metadata: {name: 'y'}}}],
      '40',
    ],
  ])('on from %s when a watch ends in its time', async (_what, lines, version) => {
    const {watch, pass, asked, told} = await startWatching();
    watch().send(...lines);
    await pass(140_000);
    watch().end();
    await settled();
    expect(asked()).toEqual(['watch']);
    expect(watch().query['resourceVersion']).toBe(version);
    expect(told).toEqual([]);
  });

  it('on at once, without a list, when a connection breaks that had brought an event', async () => {
    const {watch, pass, asked, told} = await startWatching();
    watch().send(added('y', '11'));
    await pass(5_000);
    watch().fail(cut);
    await settled();
    expect(asked()).toEqual(['watch']);
    expect(watch().query['resourceVersion']).toBe('11');
    expect(told).toEqual([]);
  });

  it.each([
    [0, 300],
    [0.5, 450],
    [0.999_999, 600],
  ])('for a random time (%d: %d s)', async (random, timeoutSeconds) => {
    const {watch} = await startWatching({random});
    expect(watch().query['timeoutSeconds']).toBe(timeoutSeconds);
  });

  it('and survives what it cannot read, all of it told, none of it with its content', async () => {
    const {watch, names, unreadable, asked} = await startWatching();
    watch().send(
      null,
      'text',
      {},
      {type: 'PATCHED', object: object('x', '11')},
      {type: 'ADDED'},
      {type: 'ADDED', object: {metadata: {namespace: 'a'}}},
      {type: 'MODIFIED', object: {metadata: {name: 'x', resourceVersion: 7}}},
      {type: 'BOOKMARK', object: {}},
      added('y', '12'),
    );
    await settled();
    expect(names()).toEqual(['x 5', 'y 12']);
    expect(unreadable).toHaveLength(8);
    expect(new Set(unreadable)).toEqual(
      new Set([
        'event that is no object',
        'event of an unknown type',
        'object without a name',
        'bookmark without a resourceVersion',
      ]),
    );
    expect(asked()).toEqual([]);
  });

  it('anew when nothing came, not even a bookmark, for longer than its time and 30 s', async () => {
    const {pass, asked, told, log} = await startWatching();
    await pass(329_999);
    expect(asked()).toEqual([]);
    await pass(1);
    await pass(1_000);
    expect(asked()).toEqual(['list']); // it may have been deaf
    expect(log.at(-1)?.query['resourceVersion']).toBeUndefined();
    expect(told).toEqual([new Error('nothing came for 330 s')]);
  });

  it('on as long as something comes', async () => {
    const {watch, pass, asked} = await startWatching();
    for (let minute = 1; minute <= 20; minute += 1) {
      await pass(60_000);
      watch().send(bookmark(String(10 + minute)));
    }
    await settled();
    expect(asked()).toEqual([]);
  });

  it('anew from its last bookmark when none has followed for two and a half minutes', async () => {
    const {watch, pass, asked, log} = await startWatching();
    await pass(70_000);
    watch().send(bookmark('11'));
    await pass(149_999);
    expect(asked()).toEqual([]);
    await pass(1);
    expect(asked()).toEqual(['watch']);
    expect(log.at(-1)?.query['resourceVersion']).toBe('11');
  });

  it('on without a bookmark for as long as it has asked for: there is none where nothing changes', async () => {
    const {watch, pass, asked} = await startWatching();
    watch().send(added('y', '11'));
    await pass(300_000);
    expect(asked()).toEqual([]);
  });

  it('on though a listener throws', async () => {
    const {watch, store, names, storeErrors, asked} = await startWatching();
    store.onChange(() => {
      throw new Error('its own fault');
    });
    watch().send(added('y', '11'), added('z', '12'));
    await settled();
    expect(names()).toEqual(['x 5', 'y 11', 'z 12']);
    expect(storeErrors).toHaveLength(2);
    expect(asked()).toEqual([]);
  });
});

describe('the reflector whose watch may be deaf, as one from the future is after etcd has been restored', () => {
  it('lists anew after one that ended in good order and has brought nothing for two minutes', async () => {
    const {watch, list, pass, asked, names, told} = await startWatching();
    await pass(300_000);
    watch().end();
    await settled();
    expect(asked()).toEqual(['list']);
    list().answer(page('4', [object('y', '3')]));
    await settled();
    expect(names()).toEqual(['y 3']);
    expect(watch().query['resourceVersion']).toBe('4');
    expect(told).toEqual([]);
  });

  it('lists anew also when something in between cuts quiet watches short', async () => {
    const {watch, pass, asked} = await startWatching();
    for (const kinds of [['watch'], ['watch'], ['watch'], ['list']]) {
      await pass(35_000);
      watch().fail(cut);
      await pass(1_000);
      expect(asked()).toEqual(kinds);
    }
  });

  it('asks for a short one after a broken connection, until one has brought an event', async () => {
    const {watch, pass, asked} = await startWatching();
    const secondsOf = (): number => Number(watch().query['timeoutSeconds']);
    expect(secondsOf()).toBeGreaterThanOrEqual(300);
    watch().fail(cut);
    await pass(1_000);
    expect(secondsOf()).toBeLessThanOrEqual(150);
    await pass(secondsOf() * 1_000);
    watch().end();
    await settled();
    expect(asked()).toEqual(['watch', 'list']);
  });

  it('asks for a long one again after an event', async () => {
    const {watch, pass} = await startWatching();
    watch().fail(cut);
    await pass(1_000);
    watch().send(added('y', '11'));
    await pass(10_000);
    watch().end();
    await settled();
    expect(Number(watch().query['timeoutSeconds'])).toBeGreaterThanOrEqual(300);
  });

  it('does not list after one that has brought an event, nor count the quiet before it', async () => {
    const {watch, pass, asked} = await startWatching();
    for (const lines of [[], [bookmark('11')], []]) {
      watch().send(...lines);
      await pass(100_000);
      watch().end();
      await settled();
      expect(asked()).toEqual(['watch']);
    }
  });
});

describe('the reflector after 410', () => {
  const ways: [string, (watch: Watch) => void][] = [
    ['an HTTP status', (watch) => watch.fail(gone)],
    ['an ERROR event', (watch) => watch.send(errorEvent(410, 'Expired'))],
    ['an ERROR event that has little else', (watch) => watch.send({type: 'ERROR', object: {code: 410}})],
    ['an ERROR event after other events', (watch) => watch.send(bookmark('11'), errorEvent(410, 'Gone'))],
  ];

  it.each(ways)('as %s lists anew, and keeps the store until that is whole', async (_what, end) => {
    const {watch, list, pass, asked, names, changes, told} = await startWatching();
    await pass(2_000);
    end(watch());
    await settled();
    expect(asked()).toEqual(['list']);
    list().answer(page('30', [object('y', '25')], 'more'));
    await settled();
    expect(names()).toEqual(['x 5']);
    list().answer(page('30', [object('z', '26')]));
    await settled();
    expect(names()).toEqual(['y 25', 'z 26']);
    expect(changes).toEqual(['Added a/x', 'Deleted a/x', 'Added a/y', 'Added a/z']);
    expect(watch().query['resourceVersion']).toBe('30');
    expect(told).toEqual([]);
  });

  it('keeps the store when the new list fails, and goes on listing', async () => {
    const {watch, list, pass, asked, names} = await startWatching();
    watch().fail(gone);
    await settled();
    for (const error of [refused, forbidden, unavailable]) {
      list().fail(error);
      await pass(30_000);
      expect(names()).toEqual(['x 5']);
    }
    expect(asked()).toEqual(['list', 'list', 'list', 'list']);
    list().answer(page('30', []));
    await settled();
    expect(names()).toEqual([]);
  });
});

describe('the reflector in trouble', () => {
  it.each<[string, unknown]>([
    ['a refused connection', refused],
    ['401', new KubeError('who', {status: 401, reason: 'Unauthorized'})],
    ['403', forbidden],
    ['404', new KubeError('what', {status: 404, reason: 'NotFound'})],
    ['500', new KubeError('oh', {status: 500})],
    ['an error that is no KubeError', new Error('bug')],
  ])('lists again after %s', async (_what, error) => {
    const {list, pass, asked, told, reflector, names} = start();
    list().fail(error);
    await settled();
    expect(asked()).toEqual(['list']);
    expect(told).toEqual([error]);
    await pass(1_000);
    expect(asked()).toEqual(['list']);
    list().answer(page('10', [object('x', '5')]));
    await settled();
    expect(reflector.hasSynced).toBe(true);
    expect(names()).toEqual(['x 5']);
    expect(told).toEqual([error, 'recovered']);
  });

  it.each<[string, unknown]>([
    ['a refused connection', refused],
    ['401', new KubeError('who', {status: 401, reason: 'Unauthorized'})],
    ['403', forbidden],
    ['404', new KubeError('what', {status: 404, reason: 'NotFound'})],
    ['503', unavailable],
  ])('watches again after %s, without a new list, and the store stays', async (_what, error) => {
    const {watch, pass, asked, told, names, changes} = await startWatching();
    watch().fail(error);
    await settled();
    expect(asked()).toEqual([]);
    await pass(1_000);
    expect(asked()).toEqual(['watch']);
    watch().send(added('y', '11'));
    await settled();
    expect(names()).toEqual(['x 5', 'y 11']);
    expect(changes).toEqual(['Added a/x', 'Added a/y']);
    expect(told).toEqual([error, 'recovered']);
  });

  it.each<[string, unknown, number[]]>([
    ['30 s while it is refused', unavailable, [1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]],
    ['4 s while nobody answers, to be back soon after an outage', refused, [1_000, 2_000, 2_000, 2_000, 2_000]],
  ])('backs off from 1 s to %s, and starts from 1 s again after an event', async (_what, error, expected) => {
    const {watch, pass, log, clock} = await startWatching();
    const waits: number[] = [];
    while (waits.length < expected.length) {
      const failedAt = clock.now();
      const before = log.length;
      watch().fail(error);
      while (log.length === before) await pass(1_000);
      waits.push(clock.now() - failedAt);
    }
    expect(waits).toEqual(expected);
    watch().send(bookmark('11'));
    await pass(10_000);
    watch().fail(unavailable);
    const before = log.length;
    await pass(1_000);
    expect(log.length).toBe(before + 1);
  });

  it('lists at once after an outage in which its resourceVersion has become outdated', async () => {
    const {watch, pass, asked} = await startWatching();
    for (let failure = 0; failure < 5; failure += 1) {
      watch().fail(refused);
      await pass(4_000);
    }
    watch().fail(new KubeError('wait', {status: 429, retryAfterMs: 1_000}));
    await pass(2_000);
    asked();
    watch().fail(gone);
    await settled();
    expect(asked()).toEqual(['list']);
  });

  it('starts from 1 s again after a quiet watch that lived', async () => {
    const {watch, pass, asked} = await startWatching();
    for (let failure = 0; failure < 4; failure += 1) {
      watch().fail(refused);
      await pass(10_000);
    }
    asked();
    await pass(60_000);
    watch().fail(cut);
    await pass(1_000);
    expect(asked()).toEqual(['watch']);
  });

  it.each([403, 404])(
    'asks again each 4 s at most while a first list is refused with %i, and less often later',
    async (code) => {
      const refusal = new KubeError('no', {status: code});
      const subject = start();
      const asked = await failForTenMinutes(subject, () => subject.list().fail(refusal));
      expect(asked.length).toBeGreaterThanOrEqual(290); // with random 0: 1, 2, 2, 2 s …
      await subject.pass(2_000);
      subject.list().answer(page('10', []));
      await settled();
      const later = await failForTenMinutes(subject, () => subject.watch().fail(refusal));
      expect(later.length).toBeLessThanOrEqual(44);
    },
  );

  it('comes back no sooner than it is asked to', async () => {
    const {watch, pass, asked} = await startWatching();
    watch().fail(new KubeError('later', {status: 429, reason: 'TooManyRequests', retryAfterMs: 12_000}));
    await pass(11_999);
    expect(asked()).toEqual([]);
    await pass(1);
    expect(asked()).toEqual(['watch']);
  });

  it('does what an ERROR event asks for', async () => {
    const {watch, pass, asked, told} = await startWatching();
    const details = {retryAfterSeconds: 12};
    watch().send({type: 'ERROR', object: {kind: 'Status', code: 429, reason: 'TooManyRequests', details}});
    await pass(11_999);
    expect(asked()).toEqual([]);
    await pass(1);
    expect(asked()).toEqual(['watch']);
    expect(told).toMatchObject([{status: 429, reason: 'TooManyRequests'}]);
  });

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['no code', {kind: 'Status', message: 'oh'}],
  ])('takes an ERROR event that says %s for a fault of the server', async (_what, object) => {
    const {watch, told} = await startWatching();
    watch().send({type: 'ERROR', object});
    await settled();
    expect(told).toMatchObject([{status: 500}]);
  });

  it('tells a problem once, and each other one', async () => {
    const {watch, told, pass} = await startWatching();
    for (const error of [refused, cut, forbidden, forbidden, forbidden, unavailable, forbidden]) {
      watch().fail(error);
      await pass(30_000);
    }
    expect(told).toEqual([refused, forbidden, unavailable, forbidden]);
    watch().send(bookmark('11'), bookmark('12'));
    await settled();
    expect(told.slice(4)).toEqual(['recovered']);
  });

  it('does not take a list that works for a watch that does', async () => {
    const {watch, list, told, pass} = await startWatching();
    for (let round = 0; round < 3; round += 1) {
      watch().fail(gone);
      await pass(30_000);
      list().answer(page('10', []));
      await settled();
    }
    expect(told).toEqual([gone]);
  });

  it('goes on though whoever it tells throws', async () => {
    const clock = createFakeClock();
    const {client, lists, watches, open} = createScriptedClient(clock);
    const fail = (): void => {
      throw new Error('its own fault');
    };
    const store = createStore<KubeObject>({onError: fail});
    const reflector = createReflector({
      client,
      path,
      store,
      clock,
      random: () => 0,
      onProblem: fail,
      onRecovered: fail,
      onUnreadable: fail,
    });
    started.push({reflector, clock, open});
    lists.at(-1)?.fail(refused);
    await settled();
    await clock.advance(1_000);
    lists.at(-1)?.answer(page('10', [{}]));
    await settled();
    watches.at(-1)?.send(null, added('x', '11'));
    await settled();
    expect(store.get('a/x')).toBeDefined();
  });
});

describe('the reflector makes no busy loop', () => {
  const nothing: [string, (subject: Subject, asked: Asked) => void][] = [
    ['that are refused', ({watch}) => watch().fail(unavailable)],
    ['that end at once', ({watch}) => watch().end()],
    ['that bring only what cannot be read', ({watch}) => (watch().send({}), watch().end())],
    ['that say ERROR', ({watch}) => watch().send(errorEvent(500, 'InternalError'))],
    [
      'that say 410, with lists that work',
      ({watch, list}, {kind}) => (kind === 'list' ? list().answer(page('10', [])) : watch().fail(gone)),
    ],
    ['and lists that say 410', ({watch, list}, {kind}) => (kind === 'list' ? list().fail(gone) : watch().fail(gone))],
  ];

  it.each(nothing)('of watches %s', async (_what, fail) => {
    const subject = await startWatching();
    const asked = await failForTenMinutes(subject, (asked) => fail(subject, asked));
    // 600 s with waits of 1, 2, 4, 8 and then 15 s: 43, one more after a first 410, and as many lists where each watch needs one
    expect(asked.filter(({kind}) => kind === 'watch').length).toBeLessThanOrEqual(44);
    expect(asked.length).toBeLessThanOrEqual(2 * 44);
    expect(asked.length).toBeGreaterThanOrEqual(40); // and never stops
  });

  it('of watches that nobody answers: at most one each 2 s', async () => {
    const subject = await startWatching();
    const asked = await failForTenMinutes(subject, () => subject.watch().fail(refused));
    expect(asked.length).toBeLessThanOrEqual(301);
    expect(asked.length).toBeGreaterThanOrEqual(150); // and never stops
  });

  const little: [string, (subject: Subject) => void][] = [
    ['break', ({watch}) => (watch().send(bookmark('11')), watch().fail(cut))],
    ['end', ({watch}) => (watch().send(bookmark('11')), watch().end())],
    ['say 503', ({watch}) => watch().send(bookmark('11'), errorEvent(503, ''))],
  ];

  it.each(little)('of watches that bring an event and %s: one a second', async (_what, fail) => {
    const subject = await startWatching();
    const asked = await failForTenMinutes(subject, () => fail(subject));
    expect(asked.length).toBe(600);
  });

  it('of watches that bring an event and say 410: one list and one watch a second', async () => {
    const subject = await startWatching();
    const {watch, list} = subject;
    const asked = await failForTenMinutes(subject, ({kind}) => {
      if (kind === 'list') list().answer(page('10', []));
      else watch().send(bookmark('11'), errorEvent(410, 'Expired'));
    });
    expect(asked.length).toBeLessThanOrEqual(1_200);
  });

  it('of lists that fail', async () => {
    const subject = start();
    const asked = await failForTenMinutes(subject, () => subject.list().fail(unavailable));
    expect(asked.length).toBeLessThanOrEqual(44);
    expect(asked.length).toBeGreaterThanOrEqual(40);
  });
});

describe('the last activity of the reflector', () => {
  it('is that of the last answer or event, not of an attempt without an answer', async () => {
    const {reflector, clock, watch, list, pass} = start();
    const at = (): number => clock.now() - reflector.lastActivityAt;
    await pass(1_000);
    expect(at()).toBe(1_000);
    list().fail(refused);
    await settled();
    expect(at()).toBe(1_000);
    await pass(1_000);
    list().fail(forbidden);
    await settled();
    expect(at()).toBe(0);
    await pass(10_000);
    list().answer(page('10', []));
    await settled();
    expect(at()).toBe(0);
    await pass(10_000);
    watch().send(bookmark('11'));
    await settled();
    expect(at()).toBe(0);
    await pass(10_000);
    watch().end(); // which a deaf one does, too
    await settled();
    expect(at()).toBe(10_000);
  });
});

describe('stopping the reflector', () => {
  /** Each, and then stop: what afterEach looks at holds here too. */
  const moments: [string, () => Promise<Subject>][] = [
    ['in a list', () => Promise.resolve(start())],
    ['in a watch', () => startWatching()],
    [
      'during a back-off',
      async () => {
        const subject = await startWatching();
        subject.watch().fail(refused);
        await settled();
        return subject;
      },
    ],
  ];

  it.each(moments)('%s leaves no request and no timer, and tells nothing', async (_what, reach) => {
    const {reflector, open, clock, asked, told, pass} = await reach();
    const before = [...told];
    asked();
    reflector.stop();
    reflector.stop();
    await settled();
    expect({requests: open(), timers: clock.pending}).toEqual({requests: 0, timers: 0});
    await pass(3_600_000);
    expect(asked()).toEqual([]);
    expect(told).toEqual(before);
  });

  it('lets no answer in that was on its way', async () => {
    const {reflector, list, names} = start();
    list().answer(page('10', [object('x', '5')]));
    reflector.stop();
    await settled();
    expect(names()).toEqual([]);
    expect(reflector.hasSynced).toBe(false);
  });

  it('lets no event in that was on its way, also when a listener of the one before stops it', async () => {
    const {reflector, watch, store, names, told} = await startWatching();
    store.onChange(() => reflector.stop());
    watch().send(added('y', '11'), added('z', '12'));
    await settled();
    expect(names()).toEqual(['x 5', 'y 11']);
    expect(told).toEqual([]);
  });

  it('rejects for who waits for the first list, and is no unhandled rejection for others', async () => {
    const {reflector} = start();
    const waiting = reflector.synced();
    reflector.stop();
    await expect(waiting).rejects.toThrow(`stopped before the first list of ${path} was in`);
    await expect(reflector.synced()).rejects.toThrow('stopped');
  });

  it('after the first list leaves that known', async () => {
    const {reflector} = await startWatching();
    reflector.stop();
    await reflector.synced();
    expect(reflector.hasSynced).toBe(true);
  });
});
