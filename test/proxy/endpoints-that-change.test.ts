/** Pods come and go while requests wait, and come back as busy as they were. */
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals';
import type {EndpointSlice} from '../../proxy/config/endpoint.ts';
import {startSimulator, type Simulator} from '../../simulator/index.ts';
import {slice} from '../objects.ts';
import {until} from '../until.ts';
import {startHarness, toInput, type Harness, type Setup} from './harness.ts';

const names = ['a', 'b', 'c'] as const;
type Name = (typeof names)[number];

describe('endpoints that change', () => {
  let pods: Record<Name, Simulator>;
  let harness: Harness;

  const at = (...present: Name[]): EndpointSlice[] =>
    present.map((name) =>
      slice({
        addressType: 'FQDN',
        ports: [{name: 'http', port: pods[name].port}],
        endpoints: [{addresses: ['127.0.0.1']}],
      }),
    );
  const setup = (slices: EndpointSlice[], spec: object = {}): Setup => ({
    routes: {
      backends: [{name: 'local', serviceRef: {name: 'vllm', port: 8000}}],
      retry: {maxAttempts: 5},
      ...spec,
    },
    slices,
  });
  /** The same config, other endpoints: as the watch of EndpointSlices brings them. */
  let config: ReturnType<typeof toInput>['config'];
  const move = (...present: Name[]): void => {
    const input = toInput(setup(at(...present)));
    harness.proxy.update({...input, config});
  };
  const ask = (): Promise<Response> =>
    fetch(`${harness.url}/v1/chat/completions`, {
      method: 'POST',
      headers: {'content-type': 'application/json'},
      body: JSON.stringify({model: 'chat', messages: [{role: 'user', content: 'Hi'}]}),
    });
  const asked = async (name: Name): Promise<number> => {
    const answer = await fetch(`${pods[name].origin}/control/requests`);
    return ((await answer.json()) as {requests: object[]}).requests.length;
  };
  const backends = async (): Promise<{endpoints: {address: string; inFlight: number; heldForMs: number}[]}> => {
    const {routes} = (await (await fetch(`${harness.admin}/backends`)).json()) as {
      routes: {backends: {endpoints: {address: string; inFlight: number; heldForMs: number}[]}[]}[];
    };
    return routes[0]!.backends[0]!;
  };

  beforeEach(async () => {
    const started = await Promise.all(
      names.map((name) => startSimulator({host: '127.0.0.1', port: 0, models: ['chat'], name})),
    );
    pods = Object.fromEntries(names.map((name, index) => [name, started[index]!])) as Record<Name, Simulator>;
    const first = setup(at('a'));
    harness = await startHarness(first);
    config = toInput(first).config;
    move('a');
  });

  afterEach(async () => {
    await harness.close();
    await Promise.all(names.map((name) => pods[name].close()));
  });

  it('are looked for anew by a request that goes on: not among those that were there when it began', async () => {
    await fetch(`${pods.a.origin}/control/behaviour`, {
      method: 'POST',
      body: JSON.stringify({do: 'hang', where: 'BeforeHeaders'}),
    });
    const waiting = ask();
    await until(async () => (await asked('a')) > 0, 'a has been asked');
    move('b'); // all pods are others now
    await pods.a.close(); // resets what it had
    const answer = await waiting;
    expect(answer.status).toBe(200);
    expect(await asked('b')).toBe(1);
  });

  it('that come back are as busy as they were, and held as long as they were', async () => {
    await fetch(`${pods.a.origin}/control/behaviour`, {
      method: 'POST',
      body: JSON.stringify({do: 'hang', where: 'BeforeHeaders', times: 1}),
    });
    const controller = new AbortController();
    const waiting = fetch(`${harness.url}/v1/chat/completions`, {
      method: 'POST',
      headers: {'content-type': 'application/json'},
      body: JSON.stringify({model: 'chat', messages: []}),
      signal: controller.signal,
    }).catch(() => undefined);
    await until(async () => (await backends()).endpoints[0]?.inFlight === 1, 'one is in flight');
    move('b');
    expect((await backends()).endpoints.map(({inFlight}) => inFlight)).toEqual([0]);
    move('a', 'b');
    const {endpoints} = await backends();
    expect(endpoints.find(({address}) => address.endsWith(String(pods.a.port)))?.inFlight).toBe(1);
    controller.abort();
    await waiting;
    await until(
      async () => (await backends()).endpoints.every(({inFlight}) => inFlight === 0),
      'what it had is counted off',
    );
  });

  it('by another family of addresses leave the breaker and the count as they are', async () => {
    await fetch(`${pods.a.origin}/control/behaviour`, {
      method: 'POST',
      body: JSON.stringify({do: 'status', status: 503}),
    });
    for (let count = 0; count < 6; count += 1) await (await ask()).text();
    const breakerOf = async (): Promise<string> => {
      const {routes} = (await (await fetch(`${harness.admin}/backends`)).json()) as {
        routes: {backends: {breaker: string}[]}[];
      };
      return routes[0]!.backends[0]!.breaker;
    };
    expect(await breakerOf()).toBe('Open');
    const input = toInput(setup(at('a')));
    const routes = input.config.routes.map((route) => ({
      ...route,
      backends: route.backends.map((backend) => ({
        ...backend,
        target: {...backend.target, ...(backend.target.type === 'Service' && {ipFamily: 'IPv4' as const})},
      })),
    }));
    harness.proxy.update({...input, config: {...input.config, routes}});
    expect(await breakerOf()).toBe('Open');
  });
});
