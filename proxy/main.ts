/** The proxy: builds, listens, drains. */
import {randomUUID} from 'node:crypto';
import {gatewayConfigSchema, routeName} from './config/schema.ts';
import {systemClock, type Clock} from './engine/clock.ts';
import {createGateway, type Gateway} from './engine/gateway.ts';
import type {LiveInput} from './engine/live.ts';
import {createMemoryBudget} from './engine/memory.ts';
import {reportRequest} from './server/access-log.ts';
import {createAdminApp} from './server/admin.ts';
import {createApp} from './server/app.ts';
import {noteRefusal} from './server/errors.ts';
import {listen, type Listener} from './server/listen.ts';
import {isRealtimeHandshake} from './server/realtime.ts';
import type {Log} from './telemetry/log.ts';
import {createMetrics, type BackendGauge} from './telemetry/metrics.ts';

export type Address = {host: string; port: number};

export type ProxyOptions = {
  listen: Address;
  admin: Address;
  log: Log;
  clock?: Clock;
  random: () => number;
  /** Between not-ready and not accepting: what a cluster needs to notice. */
  drainGraceMs: number;
  /** From a request's first byte to its last. */
  requestTimeoutMs?: number;
};

export type Proxy = {
  readonly port: number;
  readonly adminPort: number;
  /** Takes effect whole or throws and changes nothing. */
  update(input: LiveInput): void;
  /** A config was refused before it came here. */
  rejected(): void;
  /** Stops as a rollout wants it: not ready, `connection: close`, no new connections, what runs to its end or `drainPeriod`. */
  drain(): Promise<void>;
  /** Stops at once, whatever runs. */
  stopNow(): Promise<void>;
};

const describeBackends = (gateway: Gateway): BackendGauge[] =>
  (gateway.live?.routes ?? []).flatMap(({config, backends}) =>
    backends.map((backend) => ({
      route: routeName(config),
      backend: backend.config.name,
      inFlight: backend.state.inFlight,
      breaker: backend.state.breaker.state,
      endpoints: backend.endpoints.length,
    })),
  );

type Parts = {gateway: Gateway; log: Log; listener: Listener; admin: Listener};

const sleep = (clock: Clock, ms: number): Promise<void> => new Promise((resolve) => void clock.after(ms, resolve));

async function drain({gateway, log, listener, admin}: Parts, clock: Clock, graceMs: number): Promise<void> {
  const drainPeriodMs = gateway.live?.config.limits.drainPeriodMs ?? 0;
  log.info('draining', {running: gateway.running, drainPeriodMs});
  await sleep(clock, graceMs);
  const stopped = listener.stop();
  let next = clock.after(drainPeriodMs, () => {
    log.warn('drain period over', {running: gateway.running});
    gateway.shutDown();
    next = clock.after(1_000, () => listener.closeAll()); // error events have had time to leave
  });
  await stopped;
  next.cancel();
  gateway.close();
  admin.closeAll();
  await admin.stop();
  log.info('stopped');
}

export async function startProxy(options: ProxyOptions, first: LiveInput): Promise<Proxy> {
  const {log, clock = systemClock} = options;
  let draining = false;
  const memory = createMemoryBudget(() => gateway.live?.config.limits.maxBufferedBytes ?? Infinity);
  const engine = {clock, memory, random: options.random};
  const gateway: Gateway = createGateway(engine, {
    clock,
    breakerChanged: (route, backend, state) =>
      log.warn('breaker changed', {route: routeName(route), backend: backend.name, state}),
  });
  const metrics = createMetrics({
    requestsInFlight: () => gateway.running,
    bufferedBytes: () => memory.used,
    backends: () => describeBackends(gateway),
  });
  const isDraining = (): boolean => draining;

  const update = (input: LiveInput): void => {
    gateway.update({...input, config: gatewayConfigSchema.parse(input.config)});
    log.setLevel(input.config.logging.level);
  };
  update(first);

  const app = createApp({
    gateway,
    clock,
    memory,
    random: options.random,
    isDraining,
    log,
    finished: (context, status, callerGone) =>
      reportRequest(log, metrics, {context, status, callerGone, now: clock.now()}),
  });
  const listener = await listen(app, {
    ...options.listen,
    maxHeaderBytes: first.config.limits.maxHeaderBytes,
    requestTimeoutMs: options.requestTimeoutMs ?? 60_000,
    refused(code, response) {
      if (response !== undefined) return noteRefusal(response, code);
      const requestId = randomUUID();
      metrics.refused(code);
      log.info('refused', {code, requestId});
      return requestId;
    },
    upgrades: isRealtimeHandshake,
  });
  const admin = await listen(createAdminApp({gateway, clock, metrics, isDraining}), {
    ...options.admin,
    maxHeaderBytes: 16_384,
    requestTimeoutMs: 10_000,
    refused: () => randomUUID(),
  }).catch(async (error: unknown) => {
    await listener.stop();
    gateway.close();
    throw error;
  });
  listener.setMaxConnections(first.config.limits.maxConnections);

  return {
    port: listener.port,
    adminPort: admin.port,
    update(input) {
      update(input);
      listener.setMaxConnections(input.config.limits.maxConnections);
    },
    rejected: () => metrics.configRejected(),
    drain() {
      draining = true;
      listener.closeAfterAnswers();
      return drain({gateway, log, listener, admin}, clock, options.drainGraceMs);
    },
    async stopNow() {
      listener.closeAll();
      admin.closeAll();
      await Promise.all([listener.stop(), admin.stop()]);
      gateway.close();
    },
  };
}
