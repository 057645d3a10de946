/** The simulator itself: a model server on a socket that does what it is told. */
import {randomUUID} from 'node:crypto';
import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import type {AddressInfo, Socket} from 'node:net';
import {answerOther, answerPost} from './api.ts';
import {BehaviourError, parseBehaviour, type AnswerOverrides, type Behaviour} from './behaviour.ts';
import {control, isControl} from './control.ts';
import {pathOf, readBody, send} from './exchange.ts';
import {createInstructions, type BehaviourSource} from './instructions.ts';
import {misbehave} from './misbehave.ts';
import type {ModelServer} from './model.ts';
import {perform} from './perform.ts';
import {errorAnswer, type Reply} from './reply.ts';
import {createRequestLog, type RecordedRequest} from './requests.ts';

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
};

export type Simulator = {
  /** `http://127.0.0.1:PORT/v1` */
  url: string;
  /** `http://127.0.0.1:PORT` */
  origin: string;
  port: number;
  /** The latest 1,000 requests but those to `/control` and `/health`, oldest first. The records go on filling while a request runs. */
  requests: () => RecordedRequest[];
  /**
   * What POSTs to `/v1/...` get. With `times`: the next ones, after those said earlier with `times`; without, all that nothing
   * with `times` is left for. A request's own `x-simulate` header or `simulate` field goes first.
   */
  behave: (behaviour: BehaviourSource, options?: {times?: number | undefined}) => void;
  /** Proper answers again; requests and `aborted` forgotten. */
  reset: () => void;
  openConnections: () => number;
  activeRequests: () => number;
  /** Since the start. */
  totalConnections: () => number;
  /** Requests whose caller left before the end. */
  aborted: () => number;
  /** Breaks off whatever runs. */
  close: () => Promise<void>;
};

type Connections = {sockets: Set<Socket>; numbers: WeakMap<Socket, number>; total: number; doomed: WeakSet<Socket>};

const trackConnections = (server: Server): Connections => {
  const connections: Connections = {sockets: new Set(), numbers: new WeakMap(), total: 0, doomed: new WeakSet()};
  server.on('connection', (socket) => {
    connections.total += 1;
    connections.sockets.add(socket);
    connections.numbers.set(socket, connections.total);
    socket.on('close', () => connections.sockets.delete(socket));
  });
  return connections;
};

/** A behaviour that the request brings along: in its header, or, as proxies drop strange headers, in its body. */
const ownBehaviour = ({headers, body}: RecordedRequest): Behaviour | undefined => {
  const header = headers['x-simulate'];
  if (typeof header === 'string') {
    try {
      return parseBehaviour(JSON.parse(header));
    } catch (error) {
      if (error instanceof BehaviourError) throw new BehaviourError(`x-simulate: ${error.message}`);
      throw new BehaviourError('x-simulate: not JSON');
    }
  }
  if (typeof body !== 'object' || body === null || !('simulate' in body)) return undefined;
  try {
    return parseBehaviour(body.simulate);
  } catch (error) {
    throw new BehaviourError(`simulate: ${error instanceof Error ? error.message : 'invalid'}`);
  }
};

const overridesOf = (behaviour: Behaviour): AnswerOverrides =>
  behaviour.do === 'hugeEvent' ? {...behaviour, text: ['x'.repeat(behaviour.bytes)]} : behaviour;

const modelServer = (options: SimulatorOptions): ModelServer => ({
  name: options.name ?? 'simulator',
  models: options.models,
  ttftMs: options.ttftMs ?? 0,
  tokensPerSecond: Number.isFinite(options.tokensPerSecond) ? (options.tokensPerSecond ?? 0) : 0,
  tokens: options.tokens ?? 16,
  contextWindow: options.contextWindow,
});

type State = {active: number; aborted: number; closing: boolean};

const createHandler = (model: ModelServer, connections: Connections, state: State) => {
  const instructions = createInstructions();
  const log = createRequestLog();

  const replyTo = (record: RecordedRequest, path: string): Reply => {
    const behaviour = ownBehaviour(record) ?? instructions.next(record);
    const call = {
      server: model,
      id: randomUUID().replaceAll('-', ''),
      createdSeconds: Math.floor(Date.now() / 1000),
      overrides: overridesOf(behaviour),
    };
    return misbehave(answerPost(path, record.text, call), behaviour);
  };

  /** Counts the request in until its response closes; what it returns is called when the simulator itself ends it. */
  const follow = (record: RecordedRequest, response: ServerResponse): (() => void) => {
    let ended = false;
    state.active += 1;
    response.once('close', () => {
      state.active -= 1;
      record.endedAt = Date.now();
      record.status = response.headersSent ? response.statusCode : undefined;
      record.callerLeft = !ended && !state.closing;
      if (record.callerLeft) state.aborted += 1;
    });
    return () => {
      ended = true;
    };
  };

  const answerRecorded = async (record: RecordedRequest, request: IncomingMessage, response: ServerResponse) => {
    const ending = follow(record, response);
    if (connections.doomed.has(request.socket)) {
      ending();
      request.socket.resetAndDestroy();
      return;
    }
    response.setHeader('x-request-id', `req_${randomUUID().replaceAll('-', '')}`);
    response.once('finish', ending);
    const body = await readBody(request);
    if (body.kind === 'CallerLeft') return;
    if (body.kind === 'TooLarge') return send(response, errorAnswer(413, {message: 'The request is too large.'}));
    log.setBody(record, body.text);
    const path = pathOf(request);
    if (record.method !== 'POST') return send(response, answerOther(record.method, path, model));
    const reply = replyTo(record, path);
    if (reply.afterwards === 'ResetOnNextRequest') {
      response.once('finish', () => connections.doomed.add(request.socket));
    }
    await perform(reply, response, ending);
  };

  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = pathOf(request);
    if (isControl(path)) return control(request, response, {instructions, log, state: describe});
    if (path === '/health') return send(response, answerOther(request.method ?? '', path, model));
    const record = log.add(request, connections.numbers.get(request.socket) ?? 0);
    await answerRecorded(record, request, response);
  };

  const describe = (): object => ({
    ...model,
    behaviour: instructions.describe(),
    requests: log.list().length,
    activeRequests: state.active,
    openConnections: connections.sockets.size,
    totalConnections: connections.total,
    aborted: state.aborted,
  });

  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    serve(request, response).catch((error: unknown) => {
      if (response.headersSent) {
        response.destroy();
        return;
      }
      const message = error instanceof Error ? error.message : String(error);
      const status = error instanceof BehaviourError ? 400 : 500;
      send(response, errorAnswer(status, {message, code: 'invalid_behaviour'}));
    });
  };

  return {handle, instructions, log};
};

const listening = (server: Server, host: string, port: number): Promise<void> =>
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
  const server = createServer({keepAliveTimeout: 300_000, requestTimeout: 0});
  const connections = trackConnections(server);
  const state: State = {active: 0, aborted: 0, closing: false};
  const {handle, instructions, log} = createHandler(modelServer(options), connections, state);
  server.on('request', handle);

  const host = options.host ?? '127.0.0.1';
  await listening(server, host, options.port ?? 0);
  // Only of a server on a pipe it would be a string.
  const {port} = server.address() as AddressInfo;
  const origin = `http://${reachable(host)}:${port}`;

  return {
    url: `${origin}/v1`,
    origin,
    port,
    requests: log.list,
    behave: (behaviour, {times} = {}) => instructions.behave(behaviour, times),
    reset: () => {
      instructions.clear();
      log.clear();
      state.aborted = 0;
    },
    openConnections: () => connections.sockets.size,
    activeRequests: () => state.active,
    totalConnections: () => connections.total,
    aborted: () => state.aborted,
    close: () =>
      new Promise((resolve) => {
        state.closing = true;
        server.close(() => resolve());
        for (const socket of connections.sockets) socket.destroy();
      }),
  };
};
