/** What proxies have loaded, asked over real sockets. */
import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';
import {afterEach, describe, expect, it, jest} from '@jest/globals';
import {createPoller, type Poller, type PollerSettings} from '../../operator/cluster/poller.ts';
import {systemClock} from '../../proxy/engine/clock.ts';
import {createFakeClock} from '../fake-clock.ts';
import {until} from '../until.ts';

jest.setTimeout(60_000);

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

const patienceMs = 30_000;
const waitFor = (condition: () => boolean, what: string): Promise<void> => until(condition, what, patienceMs);

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** All of 127.0.0.0/8, each address a proxy of its own. */
type Proxies = {
  port: number;
  /** Of the proxy with this address; unset: of all. */
  answer(answer: Answer, address?: string): void;
  /** Addresses, in the order in which they were asked. */
  asked: string[];
  paths: Set<string | undefined>;
  mostAtOnce(): number;
  open(): number;
};

const report =
  (hash: string, rest: object = {}): Answer =>
  (_request, response) =>
    void response.end(
      JSON.stringify({hash, generation: 1, routes: 1, rejected: null, missingCredentials: [], ...rest}),
    );
const hang: Answer = () => {};
const reset: Answer = ({socket}) => void socket.resetAndDestroy();

const stop = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });

async function startProxies(host = '127.0.0.1'): Promise<Proxies> {
  const asked: string[] = [];
  const paths = new Set<string | undefined>();
  const answers = new Map<string, Answer>();
  let open = 0;
  let atOnce = 0;
  let most = 0;
  const server = createServer((request, response) => {
    const address = request.socket.localAddress ?? '';
    asked.push(address);
    paths.add(request.url);
    atOnce += 1;
    most = Math.max(most, atOnce);
    response.on('close', () => (atOnce -= 1));
    (answers.get(address) ?? answers.get('') ?? report('one'))(request, response);
  });
  server.on('connection', (socket) => {
    open += 1;
    socket.on('close', () => (open -= 1));
  });
  await new Promise<void>((resolve) => server.listen(0, host.includes(':') ? host : '0.0.0.0', resolve));
  closers.push(() => stop(server));
  return {
    port: (server.address() as AddressInfo).port,
    answer: (answer, address = '') => void answers.set(address, answer),
    asked,
    paths,
    mostAtOnce: () => most,
    open: () => open,
  };
}

type Started = {
  poller: Poller;
  changes: string[];
  /** So many answers have come, or have not come in time, and the next try is arranged for: each of these is drawn for. */
  rest: (times: number) => Promise<void>;
};

function startPoller(port: number, {draw = 0.5, ...settings}: Partial<PollerSettings> & {draw?: number} = {}): Started {
  const changes: string[] = [];
  let drawn = 0;
  const poller = createPoller({
    clock: systemClock,
    random: () => {
      drawn += 1;
      return draw;
    },
    port,
    onChange: (key) => changes.push(key),
    ...settings,
  });
  closers.push(() => poller.stop());
  return {poller, changes, rest: (times) => waitFor(() => drawn === times, `${times} answers`)};
}

const key = 'team-a/models';
const [first, second] = ['127.0.0.1', '127.0.0.2'];

/** The first pauses, with this `random`. */
const pausesMs = [75, 150, 300, 600, 1_200, 2_400, 3_750, 3_750];

describe('proxies', () => {
  it('are asked at once, each for itself', async () => {
    const proxies = await startProxies();
    proxies.answer(report('other', {rejected: {hash: 'one', reason: 'because'}, missingCredentials: ['a/b']}), second);
    const {poller, changes} = startPoller(proxies.port);
    expect(poller.reports(key)).toEqual([]);
    poller.watch(key, {addresses: [second, first], wantedHash: 'one'});
    await waitFor(() => poller.reports(key).length === 2, 'both');
    expect(poller.reports(key)).toEqual([
      {address: first, hash: 'one', missingCredentials: []},
      {address: second, hash: 'other', rejected: {hash: 'one', reason: 'because'}, missingCredentials: ['a/b']},
    ]);
    expect(changes).toEqual([key, key]);
    expect(proxies.paths).toEqual(new Set(['/loaded']));
  });

  it('may have IPv6 addresses', async () => {
    const proxies = await startProxies('::1');
    const {poller} = startPoller(proxies.port);
    poller.watch(key, {addresses: ['::1'], wantedHash: 'one'});
    await waitFor(() => poller.reports(key).length === 1, 'its report');
    expect(poller.reports(key)).toMatchObject([{address: '::1'}]);
  });

  it('that have what they should are asked once a minute', async () => {
    const proxies = await startProxies();
    const clock = createFakeClock();
    const {poller, changes, rest} = startPoller(proxies.port, {clock});
    poller.watch(key, {addresses: [first], wantedHash: 'one'});
    for (let time = 1; time <= 3; time += 1) {
      await rest(time);
      await clock.advance(59_999);
      expect(proxies.asked).toHaveLength(time);
      await clock.advance(1);
    }
    await rest(4);
    expect(changes).toEqual([key]);
  });

  it('are not all asked in the same moment of a minute', async () => {
    for (const [draw, waitMs] of [
      [0, 54_000],
      [0.999, 65_988],
    ] as const) {
      const proxies = await startProxies();
      const clock = createFakeClock();
      const {poller, rest} = startPoller(proxies.port, {clock, draw});
      poller.watch(key, {addresses: [first], wantedHash: 'one'});
      await rest(1);
      await clock.advance(waitMs - 1);
      expect(proxies.asked).toHaveLength(1);
      await clock.advance(1);
      await rest(2);
    }
  });

  it.each([
    ['have another config', report('old')],
    ['lack a credential', report('one', {missingCredentials: ['a/b']})],
    ['do not answer', reset],
  ] as [string, Answer][])('that %s are asked after pauses that grow, until all is well', async (_title, answer) => {
    const proxies = await startProxies();
    proxies.answer(answer);
    const clock = createFakeClock();
    const {poller, rest} = startPoller(proxies.port, {clock});
    poller.watch(key, {addresses: [first], wantedHash: 'one'});
    let times = 1;
    for (const pauseMs of pausesMs) {
      await rest(times);
      await clock.advance(pauseMs - 1);
      expect(clock.pending).toBe(1);
      expect(proxies.asked).toHaveLength(times);
      await clock.advance(1);
      times += 1;
    }
    await rest(times);
    proxies.answer(report('one'));
    await clock.advance(3_750);
    await rest(times + 1);
    expect(poller.reports(key)).toEqual([{address: first, hash: 'one', missingCredentials: []}]);
    await clock.advance(59_999);
    expect(proxies.asked).toHaveLength(times + 1);
  });

  it('are asked at once when they should have another config, and soon again', async () => {
    const proxies = await startProxies();
    const clock = createFakeClock();
    const {poller, changes, rest} = startPoller(proxies.port, {clock});
    poller.watch(key, {addresses: [first], wantedHash: 'one'});
    await rest(1);
    poller.watch(key, {addresses: [first], wantedHash: 'two'});
    await rest(2);
    proxies.answer(report('two'));
    await clock.advance(pausesMs[0] ?? 0);
    await rest(3);
    expect(poller.reports(key)).toMatchObject([{hash: 'two'}]);
    expect(changes).toEqual([key, key]);
  });

  it('are asked once more if they were being asked when the config changed', async () => {
    const proxies = await startProxies();
    const held: ServerResponse[] = [];
    proxies.answer((_request, response) => void held.push(response));
    const clock = createFakeClock();
    const {poller, rest} = startPoller(proxies.port, {clock});
    poller.watch(key, {addresses: [first], wantedHash: 'one'});
    await waitFor(() => held.length === 1, 'the first');
    poller.watch(key, {addresses: [first], wantedHash: 'two'});
    proxies.answer(report('two'));
    held[0]?.end(JSON.stringify({hash: 'one'}));
    await rest(1); // for the second alone
    expect(poller.reports(key)).toMatchObject([{hash: 'two'}]);
  });

  it('are not asked again because the same is said of them again', async () => {
    const proxies = await startProxies();
    const clock = createFakeClock();
    const {poller, rest} = startPoller(proxies.port, {clock});
    for (let time = 0; time < 3; time += 1) {
      poller.watch(key, {addresses: [first], wantedHash: 'one'});
      await rest(1);
    }
  });

  it('that come are asked, those that go are forgotten', async () => {
    const proxies = await startProxies();
    const clock = createFakeClock();
    const {poller, changes, rest} = startPoller(proxies.port, {clock});
    poller.watch(key, {addresses: [first], wantedHash: 'one'});
    await rest(1);
    poller.watch(key, {addresses: [second], wantedHash: 'one'});
    expect(poller.reports(key)).toEqual([]);
    await rest(2);
    expect(proxies.asked).toEqual([first, second]);
    expect(poller.reports(key)).toMatchObject([{address: second}]);
    poller.forget(key);
    expect(poller.reports(key)).toEqual([]);
    expect(clock.pending).toBe(0);
    expect(changes).toEqual([key, key]);
  });

  it('that are forgotten while they are asked say nothing', async () => {
    const proxies = await startProxies();
    const held: ServerResponse[] = [];
    proxies.answer((_request, response) => void held.push(response));
    const {poller, changes} = startPoller(proxies.port);
    poller.watch(key, {addresses: [first], wantedHash: 'one'});
    await waitFor(() => held.length === 1, 'the first');
    poller.forget(key);
    poller.watch('team-b/models', {addresses: [second], wantedHash: 'one'});
    await waitFor(() => held.length === 2, 'the second');
    for (const response of held) response.end(JSON.stringify({hash: 'one'}));
    await waitFor(() => poller.reports('team-b/models').length === 1, 'the other gateway');
    expect(changes).toEqual(['team-b/models']);
    expect(poller.reports(key)).toEqual([]);
  });

  it('of all gateways together are asked at most 20 at a time', async () => {
    const proxies = await startProxies();
    const held: ServerResponse[] = [];
    proxies.answer((_request, response) => void held.push(response));
    const {poller} = startPoller(proxies.port);
    const addresses = (from: number): string[] => Array.from({length: 30}, (_, index) => `127.0.0.${from + index}`);
    poller.watch('a/models', {addresses: addresses(1), wantedHash: 'one'});
    poller.watch('b/models', {addresses: addresses(101), wantedHash: 'one'});
    await waitFor(() => held.length === 20, 'as many as may be');
    for (let answered = 0; answered < 60; answered += 1) {
      await waitFor(() => held.length > 0, 'the next');
      held.shift()?.end(JSON.stringify({hash: 'one'}));
    }
    await waitFor(() => poller.reports('b/models').length === 30, 'all');
    expect(poller.reports('a/models')).toHaveLength(30);
    expect(proxies.mostAtOnce()).toBe(20);
  });
});

describe('a proxy that has answered', () => {
  it.each([
    ['resets the connection', reset],
    ['answers 404', (_request, response) => void response.writeHead(404).end('{"hash":"two"}')],
    ['answers nonsense', (_request, response) => void response.end('ok')],
    ['answers without end', (_request, response) => void response.write(`"${'x'.repeat(1_048_576)}`)],
    ['redirects', (_request, response) => void response.writeHead(307, {location: '/other'}).end('{"hash":"two"}')],
  ] as [string, Answer][])(
    'keeps its report if it %s once, and loses it if it does so twice',
    async (_title, answer) => {
      const proxies = await startProxies();
      const clock = createFakeClock();
      const {poller, changes, rest} = startPoller(proxies.port, {clock});
      poller.watch(key, {addresses: [first], wantedHash: 'one'});
      await rest(1);
      proxies.answer(answer);
      await clock.advance(60_000);
      await rest(2);
      expect(poller.reports(key)).toHaveLength(1);
      expect(changes).toHaveLength(1);
      await clock.advance(pausesMs[0] ?? 0);
      await rest(3);
      expect(poller.reports(key)).toEqual([]);
      expect(changes).toHaveLength(2);
      expect(proxies.paths).toEqual(new Set(['/loaded']));
      proxies.answer(report('one'));
      await clock.advance(pausesMs[1] ?? 0);
      await rest(4);
      expect(poller.reports(key)).toHaveLength(1);
      expect(changes).toHaveLength(3);
    },
  );

  it('is waited for 2 s', async () => {
    const proxies = await startProxies();
    proxies.answer(hang);
    const clock = createFakeClock();
    const {poller, rest} = startPoller(proxies.port, {clock});
    poller.watch(key, {addresses: [first], wantedHash: 'one'});
    await waitFor(() => proxies.open() === 1 && proxies.asked.length === 1, 'the first');
    await clock.advance(1_999);
    expect(proxies.open()).toBe(1);
    await clock.advance(1);
    await waitFor(() => proxies.open() === 0, 'the connection to be closed');
    await rest(1);
  });
});

describe('a poller that is stopped', () => {
  it('leaves no timer and no connection, and asks nobody', async () => {
    const proxies = await startProxies();
    proxies.answer(hang, second);
    const clock = createFakeClock();
    const {poller, changes} = startPoller(proxies.port, {clock});
    poller.watch(key, {addresses: [first, second], wantedHash: 'one'});
    await waitFor(() => poller.reports(key).length === 1 && proxies.asked.length === 2, 'one report');
    poller.stop();
    poller.watch(key, {addresses: ['127.0.0.3'], wantedHash: 'one'});
    await waitFor(() => clock.pending === 0 && proxies.open() === 0, 'the end');
    expect(proxies.asked).toHaveLength(2);
    expect(changes).toEqual([key]);
  });
});
