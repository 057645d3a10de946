/** Sends one form to one endpoint, as upstream.ts sends a JSON body, but through http-proxy-middleware. */
import {ServerResponse} from 'node:http';
import {Socket} from 'node:net';
import {Readable} from 'node:stream';
import {createProxyMiddleware} from 'http-proxy-middleware';
import {agentOf} from './agents.ts';
import {attempt} from './attempt.ts';
import {createExchange} from './exchange.ts';
import type {LiveEndpoint} from './live.ts';
import type {Attempt} from './loan.ts';
import {createRelayed, type RelayedHead} from './relayed-head.ts';
import type {Upstream, UpstreamHandler} from './upstream.ts';

type RelayedForm = RelayedHead & {body: readonly Uint8Array[]};

function relay(endpoint: LiveEndpoint, {body, ...head}: RelayedForm, handler: UpstreamHandler): Upstream {
  const exchange = createExchange(handler);
  const proxy = createProxyMiddleware({
    target: endpoint.origin,
    agent: agentOf(endpoint),
    buffer: Readable.from(body),
    selfHandleResponse: true, // what the caller gets is decided elsewhere
    ejectPlugins: true, // they answer errors by themselves, and write to the console
    plugins: [
      (server) => {
        server.on('proxyReq', exchange.begin);
        server.on('proxyRes', exchange.receive);
        server.on('error', exchange.fail);
        server.on('econnreset', exchange.fail);
      },
    ],
  });
  const request = createRelayed(endpoint, head, new Socket());
  const nobody = new ServerResponse(request); // the caller's own would be broken off with every failure
  void proxy(request, nobody, (error) => {
    if (error instanceof Error) exchange.fail(error);
  });
  return exchange;
}

/** `write`: the form with this name of a model; undefined: the caller's own. */
export const relayForm =
  (write: (model: string | undefined) => Uint8Array[]): Attempt =>
  (trip, loan) => {
    const {request, headers} = trip.call;
    const {backend, endpoint} = loan;
    const body = write(backend.config.model);
    const length = body.reduce((sum, piece) => sum + piece.length, 0);
    const form = {
      method: request.method,
      path: request.api.pathAt(backend.basePath),
      headers: [...headers, ...backend.authHeaders, 'content-length', String(length)],
      body,
    };
    return attempt(trip, loan, (handler) => relay(endpoint, form, handler));
  };
