/** Routes whose backends stand on rungs of their own, and what tests want to see of them. */
import {createServer, type ServerResponse} from 'node:http';
import type {AddressInfo} from 'node:net';
import type {Backend, ModelRouteSpec} from '../../operator/api/generated.ts';
import type {EndpointSlice} from '../../proxy/config/endpoint.ts';
import type {BehaviourSource, Simulator, SimulatorOptions} from '../../simulator/index.ts';
import {slice} from '../objects.ts';
import {startHarness, startUpstream, type Harness, type Setup, type keeper} from './harness.ts';

type Keep = ReturnType<typeof keeper>['keep'];

export type Rung = {
  name: string;
  backend?: Partial<Backend>;
  options?: Partial<SimulatorOptions>;
  /** What it does until told otherwise. */
  behaves?: BehaviourSource;
};

export type Ladder = {proxy: Harness; upstreams: Simulator[]; setup: Setup};

type LadderSetup = Omit<Setup, 'routes'> & {spec?: Partial<ModelRouteSpec>};

/** One model server per rung, the first on rung 0. */
export async function startLadder(
  keep: Keep,
  rungs: readonly Rung[],
  {spec, ...rest}: LadderSetup = {},
): Promise<Ladder> {
  const upstreams: Simulator[] = [];
  for (const {name, options, behaves} of rungs) {
    const upstream = await keep(startUpstream({name, ...options}));
    if (behaves !== undefined) upstream.behave(behaves);
    upstreams.push(upstream);
  }
  const backends = rungs.map(({name, backend}, priority) => ({
    name,
    url: upstreams[priority]?.url ?? '',
    priority,
    ...backend,
  }));
  const setup: Setup = {...rest, routes: {...spec, backends}};
  return {proxy: await keep(startHarness(setup)), upstreams, setup};
}

/** EndpointSlices that make these servers the pods of the Service `pods`. */
export const podsOf = (upstreams: readonly {port: number}[]): EndpointSlice[] =>
  upstreams.map(({port}) =>
    slice({serviceName: 'pods', ports: [{name: 'http', port}], endpoints: [{addresses: ['127.0.0.1']}]}),
  );

/** The backend of {@link podsOf}. */
export const podsBackend = (upstreams: readonly {port: number}[], backend: Partial<Backend> = {}): Backend => ({
  name: 'pods',
  serviceRef: {name: 'pods', port: upstreams[0]?.port ?? 0},
  ...backend,
});

/** A breaker that these tests do not want to meet. */
export const patientBreaker = {consecutiveFailures: 100, minRequests: 1_000};

export type ErrorBody = {
  message: string;
  type: string;
  code: string | null;
  param: string | null;
  backend?: string;
  attempts?: number;
};

export const errorOf = async (response: Response): Promise<ErrorBody> =>
  ((await response.json()) as {error: ErrorBody}).error;

/** The error event that a stream ends with. */
export function lastError(events: readonly string[]): ErrorBody {
  const {error} = JSON.parse(events.at(-1) ?? '{}') as {error?: ErrorBody};
  if (error === undefined) throw new Error(`the stream did not end in an error event: ${events.join(' | ')}`);
  return error;
}

export type LiveView = {
  breaker: string;
  inFlight: number;
  lastError: {message: string} | null;
  endpoints: {address: string; inFlight: number; ejected: boolean; heldForMs: number}[];
};

/** What the admin port says of a backend. */
export async function liveView(proxy: Harness, name: string): Promise<LiveView> {
  const response = await fetch(`${proxy.admin}/backends`);
  const {routes} = (await response.json()) as {routes: {backends: (LiveView & {name: string})[]}[]};
  const view = routes.flatMap(({backends}) => backends).find((backend) => backend.name === name);
  if (view === undefined) throw new Error(`there is no backend ${name}`);
  return view;
}

export type Scripted = {url: string; asked: ServerResponse[]; close(): Promise<void>};

/** A model server whose answers the test writes itself, byte by byte. */
export async function startScripted(): Promise<Scripted> {
  const asked: ServerResponse[] = [];
  const server = createServer((request, response) => {
    request.resume();
    request.once('end', () => asked.push(response));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    asked,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export const streamHead = {'content-type': 'text/event-stream'};

export const chunk = (delta: object, finish_reason: string | null = null): string =>
  `data: ${JSON.stringify({object: 'chat.completion.chunk', choices: [{index: 0, delta, finish_reason}]})}\n\n`;

export const roleChunk = chunk({role: 'assistant', content: ''});

/** Writes, and resolves when the proxy, which runs in this process, has had its turns to read it. */
export async function writeThrough(response: ServerResponse, bytes: string): Promise<void> {
  await new Promise<void>((resolve) => response.write(bytes, () => resolve()));
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

export type Reading = {text(): string; ended: Promise<string>};

/** Reads a stream as it comes. */
export function follow(response: Response): Reading {
  let text = '';
  const decoder = new TextDecoder();
  const read = async (): Promise<string> => {
    for await (const bytes of response.body ?? []) text += decoder.decode(bytes as Uint8Array, {stream: true});
    return text;
  };
  const ended = read();
  ended.catch(() => {}); // a test that does not wait for the end does not care how it comes
  return {text: () => text, ended};
}

export const eventsIn = (text: string): string[] =>
  text
    .split('\n\n')
    .filter((event) => event.startsWith('data: '))
    .map((event) => event.slice('data: '.length));
