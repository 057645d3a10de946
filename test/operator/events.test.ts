/** Events on a real API server, as kubectl reads them. */
import {afterAll, afterEach, beforeAll, describe, expect, it} from '@jest/globals';
import {createKubeClient, type KubeClient} from '../../kube/client.ts';
import type {KubeConfig} from '../../kube/credentials.ts';
import {KubeError} from '../../kube/errors.ts';
import {createEventRecorder, type EventRecord, type EventRecorder} from '../../kube/events.ts';
import {systemClock} from '../../proxy/engine/clock.ts';
import {findAssets} from '../api-server/assets.ts';
import {type ApiServer, startApiServer} from '../api-server/start.ts';

type Event = {metadata: {name: string}; series?: {count: number; lastObservedTime: string}; [field: string]: unknown};

const route = {apiVersion: 'modelroute.dev/v1alpha1', kind: 'ModelRoute', name: 'chat', uid: 'u1'};
const conflict = {
  type: 'Warning',
  reason: 'ModelNameConflict',
  message: 'taken by team-b/chat',
  action: 'Accept',
} as const;

const assets = findAssets((line) => process.stderr.write(line));
const describeWithServer = assets === undefined ? describe.skip : describe;

describeWithServer('events on a real API server', () => {
  let server: ApiServer;
  const clients: KubeClient[] = [];

  beforeAll(async () => {
    server = await startApiServer(assets ?? '');
  }, 120_000);

  afterEach(async () => {
    await Promise.all(clients.splice(0).map((client) => client.close()));
  });

  afterAll(() => server.stop());

  const start = (credentials: Partial<KubeConfig> = {token: server.token}) => {
    const failures: unknown[] = [];
    const {random} = Math;
    const config = {server: server.url, caFile: server.ca, ...credentials};
    const client = createKubeClient({config, clock: systemClock, random});
    clients.push(client);
    const recorder: EventRecorder = createEventRecorder({
      client,
      component: 'modelroute.dev/operator',
      instance: 'operator-0',
      clock: systemClock,
      wallClock: () => new Date(),
      random,
      onFailed: (_, error) => void failures.push(error),
    });
    return {recorder, failures};
  };

  const list = async (path: string): Promise<Event[]> => {
    const {status, body} = await server.request('GET', path);
    expect(status).toBe(200);
    return (body as {items: Event[]}).items;
  };
  const eventsIn = (namespace: string) => list(`/apis/events.k8s.io/v1/namespaces/${namespace}/events`);
  /** As kubectl describe asks. */
  const describedIn = (namespace: string) =>
    list(`/api/v1/namespaces/${namespace}/events?fieldSelector=involvedObject.uid%3Du1,involvedObject.name%3Dchat`);

  const record = (recorder: EventRecorder, namespace: string, changes: Partial<EventRecord> = {}) =>
    recorder.record({object: {...route, namespace}, ...conflict, ...changes});

  it('appear once, with a count', async () => {
    const {recorder, failures} = start();
    record(recorder, 'counted');
    await recorder.flush();
    record(recorder, 'counted');
    await recorder.flush();
    for (let time = 0; time < 5; time += 1) record(recorder, 'counted');
    await recorder.flush();
    expect(failures).toEqual([]);
    const events = await eventsIn('counted');
    expect(events).toEqual([
      expect.objectContaining({
        type: 'Warning',
        reason: 'ModelNameConflict',
        note: 'taken by team-b/chat',
        action: 'Accept',
        regarding: {...route, namespace: 'counted'},
        reportingController: 'modelroute.dev/operator',
        reportingInstance: 'operator-0',
        series: {count: 7, lastObservedTime: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/)},
      }),
    ]);
    expect(await describedIn('counted')).toEqual([
      expect.objectContaining({
        type: 'Warning',
        reason: 'ModelNameConflict',
        message: 'taken by team-b/chat',
        involvedObject: {...route, namespace: 'counted'},
        reportingComponent: 'modelroute.dev/operator',
        series: events[0]?.series,
      }),
    ]);
  });

  it('appear with their count if they happened again before the first was written', async () => {
    const {recorder} = start();
    record(recorder, 'blocker'); // under way while the next wait
    for (let time = 0; time < 3; time += 1) record(recorder, 'waiting');
    await recorder.flush();
    expect((await eventsIn('waiting')).map(({series}) => series?.count)).toEqual([3]);
  });

  it('appear one by one if they differ', async () => {
    const {recorder} = start();
    record(recorder, 'apart');
    record(recorder, 'apart', {message: 'taken by team-c/chat'});
    record(recorder, 'apart', {type: 'Normal', reason: 'Programmed', message: 'loaded by 2 of 2 proxies'});
    await recorder.flush();
    const notes = (await eventsIn('apart')).map(({note, series}) => ({note, series}));
    expect(notes).toHaveLength(3);
    expect(notes).toEqual(
      expect.arrayContaining([
        {note: 'taken by team-b/chat', series: undefined},
        {note: 'taken by team-c/chat', series: undefined},
        {note: 'loaded by 2 of 2 proxies', series: undefined},
      ]),
    );
  });

  it('appear again, with their count, if someone deleted them', async () => {
    const {recorder, failures} = start();
    record(recorder, 'deleted');
    await recorder.flush();
    const [event] = await eventsIn('deleted');
    await server.request('DELETE', `/apis/events.k8s.io/v1/namespaces/deleted/events/${event?.metadata.name}`);
    expect(await eventsIn('deleted')).toEqual([]);
    record(recorder, 'deleted');
    await recorder.flush();
    expect((await eventsIn('deleted')).map(({series}) => series?.count)).toEqual([2]);
    expect(failures).toEqual([]);
  });

  it('are taken with the longest message and the longest name', async () => {
    const {recorder, failures} = start();
    const name = `${'a'.repeat(219)}.${'b'.repeat(33)}`;
    record(recorder, 'long', {object: {...route, namespace: 'long', name}, message: `a${'é'.repeat(1_000)}`});
    await recorder.flush();
    expect(failures).toEqual([]);
    expect((await eventsIn('long')).map(({note}) => note)).toEqual([`a${'é'.repeat(511)}`]);
  });

  it('that may not be written are told and given up at once', async () => {
    const {recorder, failures} = start({token: 'nobody'});
    record(recorder, 'forbidden');
    await recorder.flush();
    const anonymous = start({});
    record(anonymous.recorder, 'forbidden');
    await anonymous.recorder.flush();
    for (const told of [failures, anonymous.failures]) {
      expect(told).toHaveLength(1);
      expect(told[0]).toBeInstanceOf(KubeError);
    }
    expect(failures[0]).toMatchObject({status: 401});
    expect(anonymous.failures[0]).toMatchObject({status: 403});
    expect(anonymous.recorder.numbers()).toEqual({written: 0, failed: 1, dropped: 0});
    expect(await eventsIn('forbidden')).toEqual([]);
  });
});
