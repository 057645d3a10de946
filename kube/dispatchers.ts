/**
 * Connections to the API server, kept alive, made anew when the certificates change. HTTP/1.1, where a watch holds its connection for as
 * long as it runs: so watches have their own, as many as there are watches, and requests share a few.
 */
import type {Socket} from 'node:net';
import {createSecureContext} from 'node:tls';
import {buildConnector, Pool} from 'undici';
import type {Credentials, KubeConfig} from './credentials.ts';

export type Purpose = 'request' | 'watch';

export type Dispatchers = {
  /** Throws what OpenSSL says of a certificate or key that cannot be used. The Pool takes what is dispatched in this very tick. */
  get(credentials: Credentials, purpose: Purpose): Pool;
  /** Whatever runs on them is broken off. */
  close(): Promise<void>;
};

type Pair = {certificates: Certificates; pools: Record<Purpose, Pool>};
type Certificates = Pick<Credentials, 'ca' | 'clientCert' | 'clientKey'>;

const requestConnections = 8;
const connectTimeoutMs = 10_000;
/** Below the 90 s of kube-apiserver, so that it is mostly we who close. */
const idleMs = 30_000;
/** After so much silence the kernel asks whether the peer is there, once a second, ten times: so a dead one ends even a quiet watch. */
const probeAfterMs = 20_000;

const areSame = (a: Certificates, b: Certificates): boolean =>
  a.ca === b.ca && a.clientCert === b.clientCert && a.clientKey === b.clientKey;

type Connect = (...parameters: Parameters<buildConnector.connector>) => Socket; // undici's type leaves out what it returns

type Trust = Pick<KubeConfig, 'tlsServerName' | 'insecureSkipTlsVerify'>;

/** `origin`: scheme, host, port. */
export function createDispatchers(origin: string, {tlsServerName, insecureSkipTlsVerify}: Trust = {}): Dispatchers {
  const open = new Set<Pool>();
  const sockets = new Set<Socket>();
  let current: Pair | undefined;
  let isClosed = false;

  const createPair = (certificates: Certificates): Pair => {
    const {ca, clientCert, clientKey} = certificates;
    const connector = buildConnector({
      secureContext: createSecureContext({ca, cert: clientCert, key: clientKey}), // read once, not for each connection
      servername: tlsServerName,
      rejectUnauthorized: insecureSkipTlsVerify !== true,
      allowH2: false,
      timeout: connectTimeoutMs,
      keepAlive: true,
      keepAliveInitialDelay: probeAfterMs,
    }) as Connect;
    const connect: buildConnector.connector = (options, callback) => {
      const socket = connector(options, callback);
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    };
    const createPool = (connections: number | null): Pool => {
      const pool = new Pool(origin, {
        connections,
        connect,
        allowH2: false,
        pipelining: 1,
        headersTimeout: 0, // the limits are the caller's
        bodyTimeout: 0,
        keepAliveTimeout: idleMs,
        keepAliveMaxTimeout: idleMs,
      });
      open.add(pool);
      return pool;
    };
    return {certificates, pools: {request: createPool(requestConnections), watch: createPool(null)}};
  };

  const retire = (pool: Pool): void => {
    const forget = (): void => void open.delete(pool);
    pool.close().then(forget, forget); // after what runs on it; it refuses if it has been destroyed meanwhile
  };

  return {
    get(credentials, purpose) {
      if (current === undefined || (!isClosed && !areSame(current.certificates, credentials))) {
        const old = current;
        current = createPair(credentials);
        if (old !== undefined) Object.values(old.pools).forEach(retire);
      }
      return current.pools[purpose];
    },
    async close() {
      isClosed = true;
      await Promise.all([...open].map((pool) => pool.destroy()));
      open.clear();
      for (const socket of sockets) socket.destroy(new Error('closed')); // those still in the making, which undici leaves alone
    },
  };
}
