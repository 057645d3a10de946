/**
 * Keep-alive connections to one origin, one undici Client each, the most recently used first. A Pool would do the same, but does not
 * tell whether a request went out on a connection that had been used before, which is what makes a reset mean nothing.
 */
import {Client} from 'undici';

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

export function createConnections(origin: string): Connections {
  const idle: Client[] = [];
  const all = new Set<Client>();
  let closed = false;

  const forget = (client: Client): void => {
    all.delete(client);
    const at = idle.indexOf(client);
    if (at !== -1) idle.splice(at, 1);
    if (!client.destroyed) void client.destroy();
  };

  const open = (): Client => {
    const client = new Client(origin, {
      pipelining: 1,
      allowH2: false,
      headersTimeout: 0, // the limits are the watchdog's: on content, not on headers or bytes
      bodyTimeout: 0,
      connectTimeout: 0,
      keepAliveTimeout: idleMs,
      keepAliveMaxTimeout: idleMs,
    });
    all.add(client);
    client.on('disconnect', () => forget(client));
    return client;
  };

  const lend = (client: Client, reused: boolean): Connection => ({
    client,
    reused,
    release() {
      if (closed || !all.has(client)) forget(client);
      else idle.push(client);
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
