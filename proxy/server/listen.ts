/** The HTTP server around the app: its limits, what happens to bytes that are no request, and how it stops. */
import {createServer, type IncomingMessage, type Server, type ServerResponse} from 'node:http';
import {Socket, type AddressInfo} from 'node:net';
import type {Duplex} from 'node:stream';
import type {Express} from 'express';
import {createRoster} from '../engine/roster.ts';
import {RequestError, errorBody, type ErrorCode} from '../wire/errors.ts';
import {deferContinue} from './body.ts';
import {messageClassesOf, type MessageClasses} from './prototypes.ts';

export type ListenOptions = {
  host: string;
  port: number;
  maxHeaderBytes: number;
  /** From the first byte of a request to its last. */
  requestTimeoutMs: number;
  /** `response`: of the request whose remainder was refused, if its head had been good. Returns the id to answer with. */
  refused: (code: ErrorCode, response: ServerResponse | undefined) => string;
  /** Somebody has connected. */
  connected?: () => void;
  /** Whether a request may go on in another protocol; without, `Upgrade` is ignored, as RFC 9110, 7.8 allows. */
  upgrades?: (request: IncomingMessage) => boolean;
};

export type Listener = {
  readonly port: number;
  /** For connections made from now on. */
  setLimits(limits: {maxHeaderBytes: number; maxConnections?: number | undefined}): void;
  /** From now on every answer that has not begun says `connection: close`, and is the last on its connection. */
  closeAfterAnswers(): void;
  /** No new connections; idle ones close. Resolves when the last one has. */
  stop(): Promise<void>;
  closeAll(): void;
};

const codeOf = (error: NodeJS.ErrnoException): ErrorCode => {
  if (error.code === 'HPE_HEADER_OVERFLOW') return 'headers_too_large';
  return error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 'request_timeout' : 'malformed_http';
};

const messages: Partial<Record<ErrorCode, string>> = {
  headers_too_large: 'The headers are too large.',
  request_timeout: 'The request did not arrive in time.',
  malformed_http: 'These bytes are no valid HTTP/1.1 request.',
  method_not_allowed: 'This is no forward proxy: it takes no CONNECT.',
};

const statusTexts: Record<number, string> = {
  400: 'Bad Request',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  431: 'Request Header Fields Too Large',
};

function refuse(socket: Duplex, code: ErrorCode, requestId: string): void {
  const error = new RequestError(code, messages[code] ?? 'The request cannot be read.');
  const body = JSON.stringify(errorBody(error));
  const head = `HTTP/1.1 ${error.status} ${statusTexts[error.status]}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nx-request-id: ${requestId}\r\nconnection: close\r\n\r\n`;
  socket.end(head + body);
}

type Answers = {
  /** Those that have not ended, by the order of their requests. */
  runningOn(socket: Duplex): ServerResponse[];
  closeAfter(): void;
};

function trackAnswers(server: Server): Answers {
  const running = createRoster<{response: ServerResponse; nth: number}>();
  let requests = 0;
  let closing = false;
  server.prependListener('request', (_, response) => {
    requests += 1;
    response.on('close', running.add({response, nth: requests}));
    if (closing) response.shouldKeepAlive = false;
  });
  return {
    runningOn: (socket) =>
      running.members
        .filter(({response}) => response.req.socket === socket)
        .sort((one, other) => one.nth - other.nth)
        .map(({response}) => response),
    closeAfter() {
      closing = true;
      for (const {response} of running.members) response.shouldKeepAlive = false;
    },
  };
}

/**
 * Lets the app answer a request whose connection is no longer the server's, as any other: with an error that ends the connection, or
 * with a 101, after which the connection is the app's. Returns how to end all of them.
 */
function handOver(server: Server, answers: Answers, classes: MessageClasses): () => void {
  const handedOver = new Set<Socket>();
  server.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    stream.on('error', () => {}); // 'close' follows
    // No socket where a body is still to come; and an answer to an earlier request may still be on its way.
    if (!(stream instanceof Socket) || answers.runningOn(stream).length > 0) {
      stream.destroy();
      return;
    }
    const socket = stream;
    handedOver.add(socket);
    socket.once('close', () => handedOver.delete(socket));
    if (head.length > 0) socket.unshift(head);
    const response = new classes.ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket);
    response.once('finish', () => {
      if (response.statusCode !== 101) socket.destroySoon();
    });
    server.emit('request', request, response);
  });
  return () => {
    for (const socket of handedOver) socket.destroy();
  };
}

/**
 * How long a connection stays, once it is to close, after an answer whose head went out before that was known: its caller may have sent
 * the next request already, and would see a reset.
 */
const lingerMs = 1_000;

/** Of callers that come at once: Node's own 511 makes the rest of a burst wait a second for the next try of their kernel. */
const backlog = 4_096;

/** Rejects with the system's error, EADDRINUSE among them. */
export function listen(app: Express, options: ListenOptions): Promise<Listener> {
  const classes = messageClassesOf(app);
  const server = createServer({
    ...classes,
    maxHeaderSize: options.maxHeaderBytes,
    requestTimeout: options.requestTimeoutMs,
    headersTimeout: Math.min(30_000, options.requestTimeoutMs),
    connectionsCheckingInterval: Math.min(5_000, Math.ceil(options.requestTimeoutMs / 4)),
    keepAliveTimeout: 75_000, // longer than load balancers keep theirs
    insecureHTTPParser: false,
    requireHostHeader: false, // the app refuses it, with an error to read
    shouldUpgradeCallback: options.upgrades ?? (() => false),
  });
  const answers = trackAnswers(server);
  server.on('request', app);
  if (options.connected !== undefined) server.on('connection', options.connected);
  const endHandedOver = handOver(server, answers, classes);
  server.on('checkContinue', (request, response) => {
    deferContinue(request);
    server.emit('request', request, response);
  });
  server.on('checkExpectation', (request, response) => server.emit('request', request, response)); // RFC 9110, 10.1.1: may be ignored
  server.on('connect', (_, socket) => {
    socket.on('error', () => {}); // the server has let go of it; 'close' follows
    socket.once('finish', () => socket.destroy());
    refuse(socket, 'method_not_allowed', options.refused('method_not_allowed', undefined));
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const [running, ...behind] = answers.runningOn(socket);
    // Bytes written now would stand inside an answer that has begun, or be taken for that to a request that is already whole.
    const isTaken = running !== undefined && (running.headersSent || running.req.complete || behind.length > 0);
    const isGone = error.code === 'ECONNRESET' || (running !== undefined && error.code === 'HPE_INVALID_EOF_STATE');
    if (isGone || !socket.writable || isTaken) {
      socket.destroy();
      return;
    }
    const code = codeOf(error);
    refuse(socket, code, options.refused(code, running));
  });

  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // Without a host Node takes every address of both families, or of IPv4 where the machine has no IPv6.
    const host = options.host === '::' ? {} : {host: options.host};
    server.listen({port: options.port, ...host, backlog}, () => {
      server.off('error', reject);
      server.on('error', () => {}); // a connection that could not be accepted (EMFILE): lost for its caller, not the end of all others
      resolve({
        port: (server.address() as AddressInfo).port,
        setLimits({maxHeaderBytes, maxConnections = Infinity}) {
          Object.assign(server, {maxHeaderSize: maxHeaderBytes}); // read for each new connection, though no type says so
          server.maxConnections = maxConnections;
        },
        closeAfterAnswers() {
          Object.assign(server, {keepAliveTimeout: lingerMs, keepAliveTimeoutBuffer: 0}); // read at the end of each answer
          answers.closeAfter();
        },
        stop: () => new Promise((stopped) => void server.close(() => stopped())),
        closeAll() {
          server.closeAllConnections();
          endHandedOver();
        },
      });
    });
  });
}
