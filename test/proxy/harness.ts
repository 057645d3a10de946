/** A real proxy on real sockets, in front of whatever a test names. */
import {Writable} from 'node:stream';
import type {ModelGatewaySpec, ModelRouteSpec} from '../../operator/api/generated.ts';
import {plan} from '../../operator/plan/plan.ts';
import type {SecretValue} from '../../operator/plan/world.ts';
import type {EndpointSlice} from '../../proxy/config/endpoint.ts';
import type {Clock} from '../../proxy/engine/clock.ts';
import type {LiveInput} from '../../proxy/engine/live.ts';
import {startProxy, type Proxy} from '../../proxy/main.ts';
import {joinSlices} from '../../proxy/routing/endpoint-slices.ts';
import {createLog, type Log, type LogLevel} from '../../proxy/telemetry/log.ts';
import {startSimulator, type Simulator, type SimulatorOptions} from '../../simulator/index.ts';
import {modelGateway, modelRoute, world} from '../objects.ts';

export type Setup = {
  /** One route named `chat`, or several by name. */
  routes: Partial<ModelRouteSpec> | Record<string, Partial<ModelRouteSpec>>;
  gateway?: ModelGatewaySpec;
  secrets?: SecretValue[];
  slices?: EndpointSlice[];
  clock?: Clock;
  random?: () => number;
  requestTimeoutMs?: number;
  drainGraceMs?: number;
};

export type LogLine = {level: string; message: string; [field: string]: unknown};

export type Harness = {
  /** `http://127.0.0.1:PORT`, without `/v1`. */
  url: string;
  port: number;
  admin: string;
  proxy: Proxy;
  log: LogLine[];
  /** The `request` lines of the log. */
  requests(): LogLine[];
  update(setup: Setup): void;
  close(): Promise<void>;
};

const isOneRoute = (routes: Setup['routes']): routes is Partial<ModelRouteSpec> => Array.isArray(routes.backends);

/** What the plan makes of it; a problem in a test's own setup is an error. */
export function toInput({routes, gateway, secrets = [], slices = []}: Setup): LiveInput {
  const byName = isOneRoute(routes) ? {chat: routes} : routes;
  const {config, credentials, problems} = plan(
    world({
      gateways: gateway === undefined ? [] : [modelGateway({}, gateway)],
      routes: Object.entries(byName).map(([name, spec]) => modelRoute({name}, spec)),
      secrets,
      slices,
    }),
  );
  if (problems.length > 0) throw new Error(problems.map(({message}) => message).join('\n'));
  return {config, credentials, endpoints: joinSlices(slices)};
}

/** The product's own log, but a line is there as soon as it is said. */
function logTo(lines: LogLine[]): Log {
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      for (const line of chunk.toString().split('\n')) if (line !== '') lines.push(JSON.parse(line) as LogLine);
      done();
    },
  });
  const log = createLog(stream, false);
  const atOnce =
    (level: LogLevel): Log['info'] =>
    (message, fields) => {
      log[level](message, fields);
      log.flush();
    };
  return {...log, error: atOnce('error'), warn: atOnce('warn'), info: atOnce('info'), debug: atOnce('debug')};
}

/** The product's own log, and what it has said so far. */
export function linesOf(): {log: Log; lines: LogLine[]} {
  const lines: LogLine[] = [];
  return {log: logTo(lines), lines};
}

export async function startHarness(setup: Setup): Promise<Harness> {
  const log: LogLine[] = [];
  const proxy = await startProxy(
    {
      listen: {host: '127.0.0.1', port: 0},
      admin: {host: '127.0.0.1', port: 0},
      log: logTo(log),
      random: setup.random ?? Math.random,
      drainGraceMs: setup.drainGraceMs ?? 0,
      ...(setup.clock === undefined ? {} : {clock: setup.clock}),
      ...(setup.requestTimeoutMs === undefined ? {} : {requestTimeoutMs: setup.requestTimeoutMs}),
    },
    toInput(setup),
  );
  return {
    url: `http://127.0.0.1:${proxy.port}`,
    port: proxy.port,
    admin: `http://127.0.0.1:${proxy.adminPort}`,
    proxy,
    log,
    requests: () => log.filter(({message}) => message === 'request'),
    update: (next) => proxy.update(toInput(next)),
    close: () => proxy.stopNow(),
  };
}

/** A model server that answers at once, under the name `chat`. */
export const startUpstream = (options: Partial<SimulatorOptions> = {}): Promise<Simulator> =>
  startSimulator({models: ['chat'], tokens: 5, ...options});

export const chatBody = (fields: object = {}): string =>
  JSON.stringify({model: 'chat', messages: [{role: 'user', content: 'Hi'}], ...fields});

/** fetch breaks a stream off whose response nobody holds once that is collected as garbage: here all are held. */
const responses: Response[] = [];

export const post = async (
  url: string,
  body: string,
  {
    path = '/v1/chat/completions',
    ...init
  }: Omit<RequestInit, 'headers'> & {headers?: Record<string, string>; path?: string} = {},
): Promise<Response> => {
  const response = await fetch(`${url}${path}`, {
    method: 'POST',
    body,
    ...init,
    headers: {'content-type': 'application/json', ...init.headers},
  });
  responses.push(response);
  return response;
};

/** The data of each event of a stream, until it ends. */
export async function readEvents(response: Response): Promise<string[]> {
  const text = await response.text();
  return text
    .split('\n\n')
    .filter((event) => event.startsWith('data: '))
    .map((event) => event.slice('data: '.length));
}

/** Keeps what a test opens, to be closed after it, the last one first: `const {keep, closeAll} = keeper(); afterEach(closeAll);` */
export function keeper(): {
  keep: <Opened extends {close(): Promise<void>}>(opening: Promise<Opened>) => Promise<Opened>;
  closeAll: () => Promise<void>;
} {
  const opened: {close(): Promise<void>}[] = [];
  return {
    async keep(opening) {
      const each = await opening;
      opened.unshift(each);
      return each;
    },
    async closeAll() {
      for (const each of opened.splice(0)) await each.close();
    },
  };
}
