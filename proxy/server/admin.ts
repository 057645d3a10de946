/** The admin port: health for the kubelet, the inside for people on this machine. Never a credential. */
import express, {type Express, type RequestHandler} from 'express';
import {routeName} from '../config/schema.ts';
import type {Clock} from '../engine/clock.ts';
import type {Gateway} from '../engine/gateway.ts';
import type {LiveBackend, LiveRoute} from '../engine/live.ts';
import type {Metrics} from '../telemetry/metrics.ts';

export type AdminDeps = {
  gateway: Gateway;
  clock: Clock;
  metrics: Metrics;
  /** Why no traffic should come; undefined: it may. */
  notReady: () => string | undefined;
};

const isLoopback = (address: string): boolean => /^(::1|(::ffff:)?127(\.\d+){3})$/.test(address);

/** By the address that was called: on loopback are those on this machine, and `kubectl port-forward`. */
const onLoopbackOnly: RequestHandler = ({path, socket}, response, next) => {
  if (isLoopback(socket.localAddress ?? '')) return next();
  response
    .status(403)
    .type('text')
    .send(`${path} shows the inside, so it answers on the loopback address only: use kubectl port-forward\n`);
};

const describeBackend = (backend: LiveBackend, now: number): object => ({
  name: backend.config.name,
  rung: backend.priority,
  weight: backend.weight,
  breaker: backend.state.breaker.state,
  opensAgainInMs: Math.round(backend.state.breaker.opensAgainInMs(now)),
  inFlight: backend.state.inFlight,
  lastError: backend.state.lastError ?? null,
  lastResort: backend.isLastResort,
  endpoints: backend.endpoints.map((endpoint) => ({
    address: endpoint.address,
    zone: endpoint.zone,
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

const hasCredentials = ({backends}: LiveRoute): boolean =>
  backends.every(({credentialProblem}) => credentialProblem === undefined);

export function createAdminApp({gateway, clock, metrics, notReady}: AdminDeps): Express {
  const app = express();
  app.disable('x-powered-by').disable('etag').set('json spaces', 2);

  app.get('/livez', (_request, response) => void response.type('text').send('ok\n'));
  app.get('/readyz', (_request, response) => {
    const reason = notReady();
    response
      .status(reason === undefined ? 200 : 503)
      .type('text')
      .send(`${reason ?? 'ok'}\n`);
  });
  app.get('/loaded', (_request, response) => {
    const {live, hash, rejected} = gateway;
    const routes = live?.routes ?? [];
    response.json({
      hash,
      generation: live?.config.gateway.generation ?? null,
      routes: routes.length,
      rejected: rejected ?? null,
      missingCredentials: routes.filter((route) => !hasCredentials(route)).map(({config}) => routeName(config)),
    });
  });
  app.get('/metrics', (request, response) => metrics.serve(request, response));
  app.get(['/config', '/backends'], onLoopbackOnly);
  app.get('/config', (_request, response) => void response.json(gateway.live?.config ?? null));
  app.get('/backends', (_request, response) => {
    const now = clock.now();
    response.json({routes: (gateway.live?.routes ?? []).map((route) => describeRoute(route, now))});
  });
  app.use((_request, response) => {
    response.status(404).type('text').send('There are /livez /readyz /loaded /config /backends /metrics\n');
  });
  return app;
}
