/** The proxy: builds, listens, drains. */
import {createHash, randomUUID} from 'node:crypto';
import {gatewayConfigSchema, routeName, type BackendTarget, type GatewayConfig} from './config/schema.ts';
import {systemClock, type Clock} from './engine/clock.ts';
import {createGateway, type Gateway, type Rejection} from './engine/gateway.ts';
import {targetsOf, type LiveInput} from './engine/live.ts';
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
  /** Why no traffic should come although there is a config; undefined: it may. */
  notReady?: () => string | undefined;
};

/** `hash`: SHA-256 in hex of the text that the config was read from; unset: of the config itself. */
export type ProxyInput = LiveInput & {hash?: string};

export type Proxy = {
  readonly port: number;
  readonly adminPort: number;
  /** Takes effect whole or throws and changes nothing. The very config that is in use is not checked again. */
  update(input: ProxyInput): void;
  /** A config was refused before it came here. */
  rejected(rejection: Rejection): void;
  /** Of all backends, as they are in use: while a credential is missing, not as the config has them. */
  targets(): BackendTarget[];
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
      endpoints: backend.isLastResort ? 0 : backend.endpoints.length,
    })),
  );

type Parts = {gateway: Gateway; log: Log; listener: Listener; admin: Listener; lastConnectionAt: () => number};

const sleep = (clock: Clock, ms: number): Promise<void> => new Promise((resolve) => void clock.after(ms, resolve));

/** How long nobody may have come before nobody is expected any more; and the longest that is waited for that. */
const quietMs = 1_000;
const longestExtraMs = 30_000;

/** A node that is busy sends callers here for longer than the grace period: they must not find a closed port. `latest`: clock time. */
async function untilNobodyComes(lastConnectionAt: () => number, clock: Clock, latest: number): Promise<void> {
  for (;;) {
    const now = clock.now();
    const waitMs = Math.min(lastConnectionAt() + quietMs, latest) - now;
    if (waitMs <= 0) return;
    await sleep(clock, waitMs);
  }
}

async function drain(
  {gateway, log, listener, admin, lastConnectionAt}: Parts,
  clock: Clock,
  graceMs: number,
): Promise<void> {
  const drainPeriodMs = gateway.live?.config.limits.drainPeriodMs ?? 0;
  log.info('draining', {running: gateway.running, drainPeriodMs});
  await sleep(clock, graceMs);
  const graceEnd = clock.now();
  if (graceMs > 0) await untilNobodyComes(lastConnectionAt, clock, graceEnd + Math.min(longestExtraMs, drainPeriodMs));
  const stopped = listener.stop();
  // Of the drain period, whoever came meanwhile: the kubelet kills soon after its end.
  let next = clock.after(graceEnd + drainPeriodMs - clock.now(), () => {
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

const defaultMaxHeaderBytes = 16_384;

type Checked = {given: GatewayConfig; config: GatewayConfig; hash: string};

/** Throws a ZodError. */
function check({config: given, hash}: ProxyInput): Checked {
  const config = gatewayConfigSchema.parse(given);
  return {given, config, hash: hash ?? createHash('sha256').update(JSON.stringify(config)).digest('hex')};
}

type NotReady = {gateway: Gateway; isDraining: () => boolean; more: ProxyOptions['notReady']};

function whyNotReady({gateway, isDraining, more}: NotReady): string | undefined {
  if (isDraining()) return 'draining';
  if (gateway.live !== undefined) return more?.();
  return gateway.rejected === undefined ? 'no config yet' : `no valid config yet: ${gateway.rejected.reason}`;
}

/** Without `first` it listens, is not ready, and answers with an error until the first update. */
export async function startProxy(options: ProxyOptions, first?: ProxyInput): Promise<Proxy> {
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

  let inUse: Checked | undefined;
  const update = (input: ProxyInput): void => {
    const checked = inUse?.given === input.config ? inUse : check(input);
    gateway.update({...input, config: checked.config}, checked.hash);
    inUse = checked;
    log.setLevel(checked.config.logging.level);
  };
  if (first !== undefined) update(first);

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
  let lastConnectionAt = -Infinity;
  const listener = await listen(app, {
    connected() {
      lastConnectionAt = clock.now();
    },
    ...options.listen,
    maxHeaderBytes: defaultMaxHeaderBytes,
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
  const applyLimits = (): void => {
    if (gateway.live !== undefined) listener.setLimits(gateway.live.config.limits);
  };
  applyLimits();
  const notReady = (): string | undefined => whyNotReady({gateway, isDraining, more: options.notReady});
  const admin = await listen(createAdminApp({gateway, clock, metrics, notReady}), {
    ...options.admin,
    maxHeaderBytes: defaultMaxHeaderBytes,
    requestTimeoutMs: 10_000,
    refused: () => randomUUID(),
  }).catch(async (error: unknown) => {
    await listener.stop();
    gateway.close();
    throw error;
  });

  return {
    port: listener.port,
    adminPort: admin.port,
    update(input) {
      update(input);
      applyLimits();
    },
    rejected(rejection) {
      gateway.reject(rejection);
      metrics.configRejected();
    },
    targets: () => (gateway.live === undefined ? [] : targetsOf(gateway.live)),
    drain() {
      draining = true;
      listener.closeAfterAnswers();
      return drain(
        {gateway, log, listener, admin, lastConnectionAt: () => lastConnectionAt},
        clock,
        options.drainGraceMs,
      );
    },
    async stopNow() {
      listener.closeAll();
      admin.closeAll();
      await Promise.all([listener.stop(), admin.stop()]);
      gateway.close();
    },
  };
}
