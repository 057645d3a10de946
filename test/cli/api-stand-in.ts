/** Lists and watches over HTTPS, with objects that stay as they are: for what a real API server refuses to hold. */
import {once} from 'node:events';
import type {IncomingMessage, ServerResponse} from 'node:http';
import {createServer} from 'node:https';
import type {AddressInfo} from 'node:net';
import {createCa, createCertificate} from '../proxy/certificates.ts';

export type ApiStandIn = {
  port: number;
  /** PEM. */
  ca: string;
  /** Of requests, as `Bearer …`. */
  authorizations: Set<string | undefined>;
  close(): Promise<void>;
};

/** `collections`: objects by the path of their collection. */
export async function startApiStandIn(collections: Record<string, object[]>): Promise<ApiStandIn> {
  const issuer = createCa();
  const {cert, key} = createCertificate('127.0.0.1', {names: ['127.0.0.1'], issuer});
  const authorizations = new Set<string | undefined>();
  const answer = ({url = '', headers}: IncomingMessage, response: ServerResponse): void => {
    authorizations.add(headers.authorization);
    const {pathname, searchParams} = new URL(url, 'https://127.0.0.1');
    response.writeHead(200, {'content-type': 'application/json'});
    if (searchParams.has('watch'))
      response.flushHeaders(); // nothing ever changes
    else
      response.end(
        JSON.stringify({kind: 'List', metadata: {resourceVersion: '1'}, items: collections[pathname] ?? []}),
      );
  };
  const server = createServer({cert, key}, answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    ca: issuer.cert,
    authorizations,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
