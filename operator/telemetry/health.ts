/** The operator's port for the kubelet and Prometheus. */
import {createServer, type Server} from 'node:http';
import type {AddressInfo} from 'node:net';
import express from 'express';
import type {OperatorMetrics} from './metrics.ts';

export type HealthSettings = {
  host: string;
  port: number;
  metrics: OperatorMetrics;
  /** Why the process should be started anew; undefined: it lives. */
  notAlive: () => string | undefined;
  /** What it still waits for; undefined: it is ready. */
  notReady: () => string | undefined;
};

export type Health = {readonly port: number; close(): Promise<void>};

/** Rejects with the system's error, EADDRINUSE among them. */
export function serveHealth({host, port, metrics, notAlive, notReady}: HealthSettings): Promise<Health> {
  const app = express();
  app.disable('x-powered-by').disable('etag');
  const probe = (path: string, problem: () => string | undefined): void => {
    app.get(path, (_request, response) => {
      const reason = problem();
      response
        .status(reason === undefined ? 200 : 503)
        .type('text')
        .send(`${reason ?? 'ok'}\n`);
    });
  };
  probe('/livez', notAlive);
  probe('/readyz', notReady);
  app.get('/metrics', (request, response) => metrics.serve(request, response));
  app.use((_request, response) => {
    response.status(404).type('text').send('There are /livez /readyz /metrics\n');
  });
  const server: Server = createServer(app);
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // As for the proxy: without a host Node takes IPv6 and IPv4, or IPv4 alone where the kernel has no other.
    server.listen({...(host !== '::' && {host}), port}, () => {
      server.off('error', reject).on('error', () => {}); // of one connection, such as EMFILE
      resolve({
        port: (server.address() as AddressInfo).port,
        close: () =>
          new Promise((closed) => {
            server.close(() => closed());
            server.closeAllConnections();
          }),
      });
    });
  });
}
