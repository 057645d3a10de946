/** A request for http-proxy-middleware to send. It passes on whatever stands in the one that it is given, so that is never the caller's own. */
import {IncomingMessage, type IncomingHttpHeaders} from 'node:http';
import type {Socket} from 'node:net';
import type {LiveEndpoint} from './live.ts';

/** `headers`: flat. */
export type RelayedHead = {method: string; path: string; headers: readonly string[]};

function foldHeaders(flat: readonly string[]): IncomingHttpHeaders {
  const folded: Record<string, string | string[]> = {};
  for (let index = 0; index + 1 < flat.length; index += 2) {
    const [name = '', value = ''] = flat.slice(index, index + 2);
    const known = folded[name.toLowerCase()];
    folded[name.toLowerCase()] = known === undefined ? value : [known, value].flat();
  }
  return folded;
}

export function createRelayed(
  {origin}: LiveEndpoint,
  {method, path, headers}: RelayedHead,
  socket: Socket,
): IncomingMessage {
  const request = new IncomingMessage(socket);
  request.method = method;
  request.url = path;
  request.httpVersion = '1.1';
  request.httpVersionMajor = 1;
  request.httpVersionMinor = 1;
  request.headers = {...foldHeaders(headers), host: new URL(origin).host};
  return request;
}
