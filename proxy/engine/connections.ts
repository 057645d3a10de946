/**
 * Keep-alive connections to one origin, one undici Client each, the most recently used first. A Pool would do the same, but does not
 * tell whether a request went out on a connection that had been used before, which is what makes a reset mean nothing.
 */
import {isIP, type Socket} from 'node:net';
import {connect, createSecureContext, type ConnectionOptions} from 'node:tls';
import {Client, buildConnector} from 'undici';
import type {TlsSettings} from './tls-settings.ts';

export type Connection = {
  readonly client: Client;
  /** It has carried a request before this one. */
  readonly reused: boolean;
  /** The answer is complete: the connection may carry the next request. */
  release(): void;
  /** Closes it; a request on it ends in an error. */
  destroy(): void;
};

export type Connections = {
  /** `fresh`: never one that was used before. */
  take(fresh: boolean): Connection;
  readonly open: number;
  /** No idle connection stays; what runs goes on to its end. */
  close(): void;
};

/** Longer than common servers keep theirs, so it is mostly they who close; their `keep-alive: timeout` is honoured. */
const idleMs = 30_000;

type Connector = (...parameters: Parameters<buildConnector.connector>) => Socket; // its type leaves out what it returns

/** undici's own remembers a TLS session only until the next garbage collection, and which alert ended a connection not at all. */
function createTlsConnector(tls: TlsSettings): Connector {
  const {servername, checkServerIdentity} = tls;
  const settings: ConnectionOptions = {
    secureContext: createSecureContext(tls), // certificates are read once
    ALPNProtocols: ['http/1.1'],
    ...(checkServerIdentity && {checkServerIdentity}),
  };
  let session: Buffer | undefined;
  return ({hostname, port}, callback) => {
    const socket = connect({
      ...settings,
      host: hostname,
      port: Number(port === '' ? 443 : port),
      servername: servername ?? (isIP(hostname) === 0 ? hostname : ''),
      ...(session && {session}),
    });
    let connected = false;
    return socket
      .setNoDelay(true)
      .setKeepAlive(true, 60_000)
      .on('session', (next) => {
        session = next;
      })
      .once('secureConnect', () => {
        connected = true;
        callback(null, socket);
      })
      .on('error', (cause) => {
        socket.destroy(); // or undici would take the end that follows an alert for the cause
        if (connected) return;
        session = undefined;
        callback(cause, null);
      });
  };
}

const createConnector = (origin: string, tls: TlsSettings | undefined): Connector =>
  origin.startsWith('https:')
    ? createTlsConnector(tls ?? {})
    : (buildConnector({allowH2: false, timeout: 0}) as Connector);

export function createConnections(origin: string, tls?: TlsSettings): Connections {
  const idle: Client[] = [];
  /** With the socket of each, once it has begun to connect. */
  const all = new Map<Client, {socket?: Socket}>();
  const connector = createConnector(origin, tls);
  let closed = false;

  const forget = (client: Client): void => {
    const entry = all.get(client);
    if (entry === undefined) return;
    all.delete(client);
    const at = idle.indexOf(client);
    if (at !== -1) idle.splice(at, 1);
    if (!client.destroyed) void client.destroy();
    // undici lets go of a connection that is still being made only when that has succeeded or the system has given up
    entry.socket?.destroy();
  };

  const open = (): Client => {
    const entry: {socket?: Socket} = {};
    const client = new Client(origin, {
      pipelining: 1,
      headersTimeout: 0, // the limits are the watchdog's: on content, not on headers or bytes
      bodyTimeout: 0,
      keepAliveTimeout: idleMs,
      keepAliveMaxTimeout: idleMs,
      connect(options, callback) {
        entry.socket = connector(options, callback);
      },
    });
    all.set(client, entry);
    client.on('disconnect', () => forget(client));
    return client;
  };

  const lend = (client: Client, reused: boolean): Connection => ({
    client,
    reused,
    release() {
      if (closed) forget(client);
      else if (all.has(client)) idle.push(client);
    },
    destroy: () => forget(client),
  });

  return {
    take(fresh) {
      const client = fresh ? undefined : idle.pop();
      return client === undefined ? lend(open(), false) : lend(client, true);
    },
    get open() {
      return all.size;
    },
    close() {
      closed = true;
      for (const client of idle.splice(0)) forget(client);
    },
  };
}
