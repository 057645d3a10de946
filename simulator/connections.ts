/** The sockets that a simulator has, and what it knows of each. */
import type {Server as HttpServer} from 'node:http';
import type {Server as HttpsServer} from 'node:https';
import type {Socket} from 'node:net';
import type {TLSSocket} from 'node:tls';

export type Connection = {
  /** 1 for the first. */
  number: number;
  /** The TCP connection: only that one can be reset. */
  tcp: Socket;
  /** The next request on it gets a reset. */
  doomed: boolean;
};

export type Connections = {
  /** The connection that a request came on, with or without TLS. */
  of: (socket: Socket) => Connection;
  open: () => number;
  total: () => number;
  resumed: () => number;
  /** Resolves when all have closed. */
  destroyAll: () => Promise<void>;
};

const peerOf = ({remoteAddress, remotePort}: Socket): string => `${remoteAddress} ${remotePort}`;

export const trackConnections = (server: HttpServer | HttpsServer): Connections => {
  const open = new Set<Connection>();
  const bySocket = new WeakMap<Socket, Connection>();
  let total = 0;
  let resumed = 0;

  server.on('connection', (tcp: Socket) => {
    total += 1;
    const connection = {number: total, tcp, doomed: false};
    open.add(connection);
    bySocket.set(tcp, connection);
    tcp.on('close', () => open.delete(connection));
  });
  // Only a server with TLS has these. Which TCP connection lies beneath one is known by its other end alone.
  server.on('secureConnection', (socket: TLSSocket) => {
    if (socket.isSessionReused()) resumed += 1;
    const peer = peerOf(socket);
    for (const connection of open) if (peerOf(connection.tcp) === peer) bySocket.set(socket, connection);
  });

  return {
    of: (socket) => bySocket.get(socket) ?? {number: 0, tcp: socket, doomed: false},
    open: () => open.size,
    total: () => total,
    resumed: () => resumed,
    destroyAll: async () => {
      const closed = [...open].map(({tcp}) => new Promise((resolve) => tcp.once('close', resolve)));
      for (const {tcp} of open) tcp.destroy();
      await Promise.all(closed);
    },
  };
};
