/** A backend that speaks WebSocket, and callers of it. */
import {createServer, type IncomingMessage} from 'node:http';
import type {AddressInfo, Socket} from 'node:net';
import {WebSocket, WebSocketServer, type ClientOptions} from 'ws';
import {until} from '../until.ts';

export type Heard = {
  messages: string[];
  /** Of the close frame; 1006: there was none. */
  closed: {code: number; reason: string} | undefined;
};

/** One end of a WebSocket, with what has come in. */
export type End = Heard & {
  socket: WebSocket;
  untilHeard(message: string): Promise<void>;
  untilClosed(): Promise<{code: number; reason: string}>;
};

function listenTo(socket: WebSocket): End {
  const end: End = {
    socket,
    messages: [],
    closed: undefined,
    untilHeard: (message) => until(() => end.messages.includes(message), `to hear ${message}: ${end.messages.join()}`),
    async untilClosed() {
      await until(() => end.closed !== undefined, 'the close');
      return end.closed!;
    },
  };
  socket.on('message', (data: Buffer) => end.messages.push(data.toString()));
  socket.on('close', (code, reason) => {
    end.closed = {code, reason: reason.toString()};
  });
  socket.on('error', () => {}); // 'close' follows
  return end;
}

export type RealtimeBackend = {
  /** With its `/v1`. */
  url: string;
  handshakes: IncomingMessage[];
  sessions: End[];
  session(number: number): Promise<End>;
  openConnections(): number;
  close(): Promise<void>;
};

type Answer = (request: IncomingMessage, socket: Socket, accept: () => void) => void;

/** `answer`: to a handshake; accepts it unless told otherwise. */
export async function startRealtimeBackend(answer: Answer = (_, __, accept) => accept()): Promise<RealtimeBackend> {
  const handshakes: IncomingMessage[] = [];
  const sessions: End[] = [];
  const connections = new Set<Socket>();
  const server = createServer((_request, response) => void response.writeHead(404).end());
  const sockets = new WebSocketServer({noServer: true});
  server.on('connection', (socket) => {
    connections.add(socket);
    socket.on('close', () => connections.delete(socket));
  });
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    socket.on('error', () => {}); // 'close' follows
    handshakes.push(request);
    let accepted = false;
    answer(request, socket, () => {
      accepted = true;
      sockets.handleUpgrade(request, socket, head, (session) => void sessions.push(listenTo(session)));
    });
    if (accepted) return;
    socket.on('end', () => socket.end());
    socket.resume(); // who does not read hears of no end
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    handshakes,
    sessions,
    async session(number) {
      await until(() => sessions.length >= number, `session ${number} at the backend`);
      return sessions[number - 1]!;
    },
    openConnections: () => connections.size,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of connections) socket.destroy();
      }),
  };
}

export type Opened = End & {status: number; headers: IncomingMessage['headers']; body: string; close(): Promise<void>};

export type Handshake = {query?: string; protocols?: string[]; options?: ClientOptions};

/** Resolves with a session, or with the answer that refused it. */
export function openRealtime(
  port: number,
  {query = 'model=chat', protocols = [], options}: Handshake = {},
): Promise<Opened> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/realtime?${query}`, protocols, options);
  const end = listenTo(socket);
  const close = (): Promise<void> => {
    socket.terminate();
    return Promise.resolve();
  };
  return new Promise((resolve, reject) => {
    let headers: IncomingMessage['headers'] = {};
    socket.on('upgrade', (response) => ({headers} = response));
    socket.on('open', () => resolve(Object.assign(end, {status: 101, headers, body: '', close})));
    socket.on('error', reject);
    socket.on('unexpected-response', (_, response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () =>
        resolve(Object.assign(end, {status: response.statusCode!, headers: response.headers, body, close})),
      );
    });
  });
}

/** A handshake as bytes. */
export const rawHandshake = (path = '/v1/realtime?model=chat', headers = ''): string =>
  `GET ${path} HTTP/1.1\r\nhost: models\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n` +
  `sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n${headers}\r\n`;

/** A masked text frame of less than 126 bytes. */
export const rawFrame = (text: string): Buffer => {
  const mask = [1, 2, 3, 4];
  const payload = Buffer.from(text).map((byte, index) => byte ^ mask[index % 4]!);
  return Buffer.from([0x81, 0x80 | payload.length, ...mask, ...payload]);
};
