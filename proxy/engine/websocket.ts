/**
 * Opens one WebSocket at one endpoint, through http-proxy-middleware. It believes to hold the caller's socket; what it holds is one of
 * ours, so that the caller hears nothing of a refusal, and every byte can be looked at on its way.
 */
import type {ClientRequest, IncomingMessage} from 'node:http';
import type {Socket} from 'node:net';
import {Duplex} from 'node:stream';
import {createProxyMiddleware} from 'http-proxy-middleware';
import type {ReplyHeaders} from '../wire/headers.ts';
import {agentOf} from './agents.ts';
import {createExchange} from './exchange.ts';
import type {LiveEndpoint} from './live.ts';
import {createRelayed, type RelayedHead} from './relayed-head.ts';
import type {UpstreamHandler} from './upstream.ts';

/** The backend's end of an open WebSocket. */
export type BackendSocket = {
  /** False: it is full; wait for `drained`. */
  write(bytes: Uint8Array): boolean;
  end(): void;
  destroy(): void;
};

export type BackendListener = {
  /** `taken` lets the next one come. */
  take(chunk: Uint8Array, taken: () => void): void;
  drained(): void;
  /** It says nothing any more. */
  ended(cause: Error | undefined): void;
  /** The connection is gone, both ways. */
  closed(): void;
};

/** `onHead` to `onEnd` are of an answer that is no 101. After `onOpen` none of the others follows. */
export type HandshakeHandler = UpstreamHandler & {
  /** Undefined: this is no answer to the handshake. */
  onOpen(headers: ReplyHeaders, socket: BackendSocket): BackendListener | undefined;
};

type StandIn = {
  stream: Duplex;
  listen(listener: BackendListener): void;
  ended(cause: Error | undefined): void;
};

/** What stands where http-proxy-middleware expects the caller's socket. The first that it writes is the head of its own 101. */
function createStandIn(): StandIn {
  let listener: BackendListener | undefined;
  let headIsOut = false;
  const ended = (cause: Error | undefined): void => listener?.ended(cause);
  const stream = new Duplex({
    read: () => listener?.drained(),
    write(chunk: Buffer, _encoding, taken) {
      if (headIsOut && listener !== undefined) return listener.take(chunk, taken);
      headIsOut = true;
      taken();
    },
    final(done) {
      ended(undefined);
      done();
    },
  });
  const itself = (): Duplex => stream;
  return {
    stream: Object.assign(stream, {setTimeout: itself, setNoDelay: itself, setKeepAlive: itself}),
    listen(next) {
      listener = next;
    },
    ended,
  };
}

/** Returns how to give it up before it is open. */
export function openWebSocket(
  endpoint: LiveEndpoint,
  head: RelayedHead,
  caller: Socket,
  handler: HandshakeHandler,
): () => void {
  const exchange = createExchange(handler);
  const standIn = createStandIn();

  const open = ({headers}: IncomingMessage, socket: Socket): void => {
    try {
      const listener = handler.onOpen(headers, {
        write: (bytes) => standIn.stream.push(bytes),
        end: () => void standIn.stream.push(null),
        destroy: () => void socket.destroy(),
      });
      if (listener === undefined) return void socket.destroy();
      exchange.handOver();
      standIn.listen(listener);
      socket.once('close', () => listener.closed());
    } catch (error) {
      socket.destroy();
      handler.onBug(error);
    }
  };
  const begin = (request: ClientRequest): void => {
    exchange.begin(request);
    // Both before those of http-proxy-middleware, which would write the answer to its caller.
    request.on('response', (reply) => {
      standIn.stream.destroy();
      exchange.receive(reply);
    });
    request.on('upgrade', open);
  };
  const proxy = createProxyMiddleware({
    target: endpoint.origin,
    agent: agentOf(endpoint),
    ws: true,
    ejectPlugins: true, // they answer errors by themselves, and write to the console
    plugins: [
      (server) => {
        server.on('proxyReqWs', begin);
        server.on('error', (cause) => {
          exchange.fail(cause);
          standIn.ended(cause);
        });
      },
    ],
  });
  // It asks a socket for no more than a stream that may be told of time-outs.
  proxy.upgrade(createRelayed(endpoint, head, caller), standIn.stream as unknown as Socket, Buffer.alloc(0));
  return () => exchange.abort();
}
