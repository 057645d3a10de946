/** The HTTP server around the app: its limits, what happens to bytes that are no request, and how it stops. */
import {createServer, type RequestListener, type Server, type ServerResponse} from 'node:http';
import type {AddressInfo, Socket} from 'node:net';
import type {Duplex} from 'node:stream';
import {RequestError, errorBody, type ErrorCode} from '../wire/errors.ts';
import {deferContinue} from './body.ts';

export type ListenOptions = {
  host: string;
  port: number;
  maxHeaderBytes: number;
  /** From the first byte of a request to its last. */
  requestTimeoutMs: number;
  refused: (code: ErrorCode) => void;
};

export type Listener = {
  readonly port: number;
  setMaxConnections(count: number | undefined): void;
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
};

const statusTexts: Record<number, string> = {
  400: 'Bad Request',
  408: 'Request Timeout',
  431: 'Request Header Fields Too Large',
};

function refuse(socket: Duplex, code: ErrorCode): void {
  const error = new RequestError(code, messages[code] ?? 'The request cannot be read.');
  const body = JSON.stringify(errorBody(error));
  const head = `HTTP/1.1 ${error.status} ${statusTexts[error.status]}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n`;
  socket.end(head + body);
}

/** Answers that have begun, by their socket: into those no other bytes may be written. */
function trackAnswers(server: Server): WeakMap<Duplex, ServerResponse> {
  const answers = new WeakMap<Duplex, ServerResponse>();
  server.prependListener('request', (request, response) => void answers.set(request.socket, response));
  return answers;
}

/** Rejects with the system's error, EADDRINUSE among them. */
export function listen(app: RequestListener, options: ListenOptions): Promise<Listener> {
  const server = createServer({
    maxHeaderSize: options.maxHeaderBytes,
    requestTimeout: options.requestTimeoutMs,
    headersTimeout: Math.min(30_000, options.requestTimeoutMs),
    connectionsCheckingInterval: Math.min(5_000, Math.ceil(options.requestTimeoutMs / 4)),
    keepAliveTimeout: 75_000, // longer than load balancers keep theirs
    insecureHTTPParser: false,
  });
  const answers = trackAnswers(server);
  server.on('request', app);
  server.on('checkContinue', (request, response) => {
    deferContinue(request);
    server.emit('request', request, response);
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const answer = answers.get(socket);
    const begun = answer !== undefined && answer.headersSent && !answer.writableFinished;
    if (error.code === 'ECONNRESET' || !socket.writable || begun) {
      socket.destroy();
      return;
    }
    const code = codeOf(error);
    options.refused(code);
    refuse(socket, code);
  });

  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, () => {
      server.off('error', reject);
      resolve({
        port: (server.address() as AddressInfo).port,
        setMaxConnections(count) {
          server.maxConnections = count ?? Infinity;
        },
        stop: () =>
          new Promise((stopped) => {
            // Connections whose last answer is still on its way become idle later than close() looks.
            const sweep = setInterval(() => server.closeIdleConnections(), 50);
            server.close(() => {
              clearInterval(sweep);
              stopped();
            });
            server.closeIdleConnections();
          }),
        closeAll: () => server.closeAllConnections(),
      });
    });
  });
}
