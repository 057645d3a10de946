/** GET /v1/realtime?model=…: a WebSocket between the caller and one endpoint. */
import type {IncomingHttpHeaders, IncomingMessage} from 'node:http';
import type {Socket} from 'node:net';
import type {RequestHandler} from 'express';
import {RequestError} from '../wire/errors.ts';
import {asksForWebSocket, readHandshake, upgradeHeaders} from '../wire/handshake.ts';
import {realtimeApi} from '../wire/relayed-apis.ts';
import {unreadRequest} from '../wire/request.ts';
import {contextOf} from './context.ts';
import {refuseCrossSite} from './cross-site.ts';
import {attemptHandshake} from './handshake-attempt.ts';
import {carry, type CarryDeps} from './carry.ts';
import {findRoute, liveOf} from './routes.ts';

const partsOf = (url: string): {path: string; search: string} => {
  const [path = '', ...search] = url.split('?');
  return {path, search: search.join('?')};
};

/** As Express reads a path. */
const ownPath = /^\/v1\/realtime\/?$/i;

const announcesBody = (headers: IncomingHttpHeaders): boolean =>
  headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';

/** For the server's `upgrade`: what asks for another protocol, or elsewhere, is a request as any other (RFC 9110, 7.8). */
export const isRealtimeHandshake = ({method, httpVersion, headers, url = ''}: IncomingMessage): boolean =>
  method === 'GET' &&
  httpVersion === '1.1' &&
  asksForWebSocket(headers) &&
  !announcesBody(headers) &&
  ownPath.test(partsOf(url).path);

/** A caller has nothing to say before he is answered; what he says all the same is held up to here. */
const mostEarlyBytes = 65_536;

/** Reads on, because only a socket that is read tells that its other end has gone. */
function holdEarly(socket: Socket, left: () => void): () => Buffer[] {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const hold = (chunk: Buffer): void => {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > mostEarlyBytes) socket.pause();
  };
  socket.on('data', hold);
  socket.on('end', left);
  return () => {
    socket.off('data', hold);
    socket.off('end', left);
    if (socket.isPaused()) socket.resume();
    return chunks;
  };
}

export const realtime =
  (deps: CarryDeps): RequestHandler =>
  async (request, response) => {
    const context = contextOf(response);
    context.api = realtimeApi.name;
    if (!isRealtimeHandshake(request))
      throw new RequestError(
        'upgrade_required',
        `${request.path} is a WebSocket: open it with a WebSocket client ("upgrade: websocket" over HTTP/1.1).`,
        {headers: upgradeHeaders},
      );
    refuseCrossSite(request.headers);
    if (deps.isDraining())
      throw new RequestError('shutting_down', 'This proxy is going away; ask again, and another one takes it.', {
        headers: {'retry-after': '1'},
      });
    const {maxBodyBytes} = liveOf(deps.gateway).config.limits;
    const handshake = readHandshake(request.headers, partsOf(request.url).search);
    const {socket} = request;
    const takeEarly = holdEarly(socket, () => response.destroy());
    const attempt = attemptHandshake({handshake, response, socket, takeEarly, maxMessageBytes: maxBodyBytes});
    context.model = handshake.model;
    const match = findRoute(liveOf(deps.gateway), handshake.model);
    const inference = {...unreadRequest(realtimeApi, handshake.model, 'Bytes'), method: 'GET' as const};
    await carry({request, response, inference, match, headers: [], attempt}, deps);
  };
