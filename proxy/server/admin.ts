/** The admin port: health for the kubelet, the inside for people. Never a credential. */
import express, {type Express} from 'express';
import {routeName} from '../config/schema.ts';
import type {Clock} from '../engine/clock.ts';
import type {Gateway} from '../engine/gateway.ts';
import type {LiveBackend, LiveRoute} from '../engine/live.ts';
import type {Metrics} from '../telemetry/metrics.ts';

export type AdminDeps = {gateway: Gateway; clock: Clock; metrics: Metrics; isDraining: () => boolean};

const describeBackend = (backend: LiveBackend, now: number): object => ({
  name: backend.config.name,
  rung: backend.priority,
  weight: backend.weight,
  breaker: backend.state.breaker.state,
  opensAgainInMs: Math.round(backend.state.breaker.opensAgainInMs(now)),
  inFlight: backend.state.inFlight,
  lastError: backend.state.lastError ?? null,
  endpoints: backend.endpoints.map((endpoint) => ({
    address: endpoint.address,
    inFlight: endpoint.inFlight,
    connections: endpoint.connections.open,
    latencyMs: Math.round(endpoint.latencyMs),
    ejected: endpoint.isEjected(now),
    heldForMs: Math.max(0, Math.round(endpoint.heldUntil - now)),
  })),
});

const describeRoute = ({config, backends}: LiveRoute, now: number): object => ({
  route: routeName(config),
  models: config.modelNames,
  backends: backends.map((backend) => describeBackend(backend, now)),
});

export function createAdminApp({gateway, clock, metrics, isDraining}: AdminDeps): Express {
  const app = express();
  app.disable('x-powered-by').disable('etag').set('json spaces', 2);

  const notReady = (): string | undefined => {
    if (isDraining()) return 'draining';
    return gateway.live === undefined ? 'no valid config yet' : undefined;
  };
  app.get('/livez', (_request, response) => void response.type('text').send('ok\n'));
  app.get('/readyz', (_request, response) => {
    const reason = notReady();
    response
      .status(reason === undefined ? 200 : 503)
      .type('text')
      .send(`${reason ?? 'ok'}\n`);
  });
  app.get('/loaded', (_request, response) => {
    const {live, hash} = gateway;
    response.json({hash, generation: live?.config.gateway.generation ?? null, routes: live?.routes.length ?? 0});
  });
  app.get('/config', (_request, response) => void response.json(gateway.live?.config ?? null));
  app.get('/backends', (_request, response) => {
    const now = clock.now();
    response.json({routes: (gateway.live?.routes ?? []).map((route) => describeRoute(route, now))});
  });
  app.get('/metrics', (request, response) => metrics.serve(request, response));
  app.use((_request, response) => {
    response.status(404).type('text').send('There are /livez /readyz /loaded /config /backends /metrics\n');
  });
  return app;
}
