/** The simulator itself: a model server on a socket that does what it is told. */
import {createServer, type Server as HttpServer, type ServerOptions} from 'node:http';
import {createServer as createTlsServer} from 'node:https';
import type {AddressInfo} from 'node:net';
import {trackConnections} from './connections.ts';
import {createHandler, type Counters} from './handler.ts';
import type {BehaviourSource} from './instructions.ts';
import type {ModelServer} from './model.ts';
import {createRealtime, isRealtime} from './realtime.ts';
import type {RecordedRequest} from './requests.ts';

export type SimulatorOptions = {
  /** 127.0.0.1 unless given. */
  host?: string | undefined;
  /** A free one unless given. */
  port?: number | undefined;
  models: string[];
  /** From a request to the first token; 0 unless given. */
  ttftMs?: number | undefined;
  /** 0 or Infinity, and unless given: all at once. */
  tokensPerSecond?: number | undefined;
  /** How long an answer is; 16 unless given. */
  tokens?: number | undefined;
  /** What it calls itself in its answers; "simulator" unless given. */
  name?: string | undefined;
  /** In tokens; a longer prompt is refused. Any length unless given. */
  contextWindow?: number | undefined;
  /** Serves with TLS. `requestCert`: only to callers whose certificate `ca` has signed. All in PEM. */
  tls?: {key: string; cert: string; ca?: string | undefined; requestCert?: boolean | undefined} | undefined;
};

export type Simulator = {
  /** `http://127.0.0.1:PORT/v1`, with TLS `https:` */
  url: string;
  /** The same without `/v1`. */
  origin: string;
  port: number;
  /** The latest 1,000 requests but those to `/control` and `/health`, oldest first. The records go on filling while a request runs. */
  requests: () => RecordedRequest[];
  /**
   * What calls of a model get: POSTs, `/v1/responses/{id}`, the handshake of a realtime session. With `times`: the next ones, after those said earlier with `times`; without, all that nothing
   * with `times` is left for. A request's own `x-simulate` header or `simulate` field goes first.
   */
  behave: (behaviour: BehaviourSource, options?: {times?: number | undefined}) => void;
  /** Proper answers again; requests and `aborted` forgotten. */
  reset: () => void;
  openConnections: () => number;
  activeRequests: () => number;
  /** Since the start, those that broke in the TLS handshake included. */
  totalConnections: () => number;
  /** Connections since the start whose caller resumed an earlier TLS session. */
  resumedSessions: () => number;
  /** Requests whose caller left before the end. */
  aborted: () => number;
  /** Breaks off whatever runs. */
  close: () => Promise<void>;
};

const modelServer = (options: SimulatorOptions): ModelServer => ({
  name: options.name ?? 'simulator',
  models: options.models,
  ttftMs: options.ttftMs ?? 0,
  tokensPerSecond: Number.isFinite(options.tokensPerSecond) ? (options.tokensPerSecond ?? 0) : 0,
  tokens: options.tokens ?? 16,
  contextWindow: options.contextWindow,
});

const serverFor = ({tls}: SimulatorOptions): HttpServer => {
  const options: ServerOptions = {keepAliveTimeout: 300_000, requestTimeout: 0, shouldUpgradeCallback: isRealtime};
  return tls === undefined ? createServer(options) : createTlsServer({...options, ...tls});
};

const listening = (server: HttpServer, host: string, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    // A backlog that takes a burst of callers at once.
    server.listen({host, port, backlog: 4096}, () => {
      server.off('error', reject);
      resolve();
    });
  });

/** A host that a URL can name: every address includes the loopback one. */
const reachable = (host: string): string => {
  if (host === '::' || host === '0.0.0.0') return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
};

/** @throws the system's error (`EADDRINUSE` ...) if the address cannot be had */
export const startSimulator = async (options: SimulatorOptions): Promise<Simulator> => {
  const server = serverFor(options);
  const connections = trackConnections(server);
  const counters: Counters = {active: 0, aborted: 0, closing: false};
  const model = modelServer(options);
  const {handle, instructions, log} = createHandler(model, connections, counters);
  server.on('request', handle);
  server.on('upgrade', createRealtime(model, {connections, counters}, {instructions, log}));

  const host = options.host ?? '127.0.0.1';
  await listening(server, host, options.port ?? 0);
  // Only of a server on a pipe it would be a string.
  const {port} = server.address() as AddressInfo;
  const origin = `${options.tls === undefined ? 'http' : 'https'}://${reachable(host)}:${port}`;

  return {
    url: `${origin}/v1`,
    origin,
    port,
    requests: log.list,
    behave: (behaviour, {times} = {}) => instructions.behave(behaviour, times),
    reset: () => {
      instructions.clear();
      log.clear();
      counters.aborted = 0;
    },
    openConnections: connections.open,
    activeRequests: () => counters.active,
    totalConnections: connections.total,
    resumedSessions: connections.resumed,
    aborted: () => counters.aborted,
    close: async () => {
      counters.closing = true;
      const closed = new Promise((resolve) => server.close(resolve));
      await Promise.all([closed, connections.destroyAll()]);
    },
  };
};
