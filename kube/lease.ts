/**
 * At most one of several processes leads: client-go's leader election (https://pkg.go.dev/k8s.io/client-go/tools/leaderelection) on a
 * coordination.k8s.io/v1 Lease. No clock but one's own is believed: a lease has expired when its record has not been seen to change for its
 * duration. A holder stops before that, counting from before it asked, and every write names the version it replaces.
 */
import type {KubeClient} from './client.ts';
import type {Clock, Timer} from './clock.ts';
import {KubeError} from './errors.ts';
import type {KubeObject} from './objects.ts';
import {isRecord, parseObject} from './parse-object.ts';

/** `RenewDeadlineExceeded`: the API server did not confirm in time. */
export type LossReason = 'RenewDeadlineExceeded' | 'AnotherHolder';

export type Elector = {
  start(): void;
  /**
   * Gives the lease up, so that the next one need not wait. To be called when the work that the lease guards has ended. Neither rejects
   * nor calls `onLost`; takes at most `renewDeadlineMs` when the API server does not answer.
   */
  stop(): Promise<void>;
  /** By the clock, and so right even if a timer is late. */
  isLeader(): boolean;
  /** As last seen; '' if nobody. */
  holder(): string;
};

export type ElectorSettings = {
  client: KubeClient;
  namespace: string;
  name: string;
  /** Of this process alone: two with the same one would both lead. */
  identity: string;
  clock: Clock;
  /** For what others read in the lease; nothing here depends on it. */
  wallClock: () => Date;
  /** From 0 to below 1. */
  random: () => number;
  /** 15 s unless given; kept in the lease in whole seconds, rounded up. */
  leaseDurationMs?: number;
  /** 10 s unless given. */
  renewDeadlineMs?: number;
  /** 2 s unless given. */
  retryPeriodMs?: number;
  /** None of these may throw. */
  onElected: () => void;
  /** Stops what the lease guards. It competes again when this has resolved, unless it was stopped. */
  onLost: (reason: LossReason) => void | Promise<void>;
  log: {
    info: (message: string, fields: Record<string, unknown>) => void;
    warn: (message: string, fields: Record<string, unknown>) => void;
  };
};

/** Kubernetes' MicroTime, which takes exactly six digits. */
export const microTime = (date: Date): string => date.toISOString().replace('Z', '000Z');

type LeaseRecord = {
  holderIdentity: string;
  leaseDurationSeconds: number | undefined;
  leaseTransitions: number;
  acquireTime: string | undefined;
  renewTime: string | undefined;
};

/** `at`: when this record was first seen, by our clock. */
type Seen = {lease: KubeObject; record: LeaseRecord; at: number};

/** `sentAt`: when the request that won or kept the lease went out, by our clock. */
type Outcome = {type: 'Holding'; seen: Seen; sentAt: number} | {type: 'Held'; seen: Seen};

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
const count = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);

const specOf = (lease: KubeObject): Record<string, unknown> => (isRecord(lease['spec']) ? lease['spec'] : {});

function parseLease(body: unknown): {lease: KubeObject; record: LeaseRecord} {
  const lease = parseObject(body);
  if (lease === undefined) throw new Error('not a Lease');
  const spec = specOf(lease);
  return {
    lease,
    record: {
      holderIdentity: text(spec['holderIdentity']) ?? '',
      leaseDurationSeconds: count(spec['leaseDurationSeconds']),
      leaseTransitions: count(spec['leaseTransitions']) ?? 0,
      acquireTime: text(spec['acquireTime']),
      renewTime: text(spec['renewTime']),
    },
  };
}

const isAlike = (one: LeaseRecord, other: LeaseRecord): boolean => JSON.stringify(one) === JSON.stringify(other);
const hasStatus = (error: unknown, ...statuses: number[]): boolean =>
  error instanceof KubeError && statuses.includes(error.status);

const typeMeta = {apiVersion: 'coordination.k8s.io/v1', kind: 'Lease'};

type Contest = {
  /** One try to win or keep the lease. */
  contend(last: Seen | undefined, isLeading: boolean, signal: AbortSignal): Promise<Outcome>;
  release(last: Seen, signal: AbortSignal): Promise<void>;
};

/** The requests; all state is the caller's. They throw what the client throws. */
function createContest(settings: ElectorSettings, leaseDurationMs: number): Contest {
  const {client, namespace, name, identity, clock, wallClock} = settings;
  const collection = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;
  const path = `${collection}/${name}`;

  const read = async (last: Seen | undefined, signal: AbortSignal): Promise<Seen | undefined> => {
    const body = await client.request({method: 'GET', path, signal}).catch((error: unknown) => {
      if (hasStatus(error, 404)) return undefined;
      throw error;
    });
    if (body === undefined) return undefined;
    const parsed = parseLease(body);
    return {...parsed, at: last !== undefined && isAlike(last.record, parsed.record) ? last.at : clock.now()};
  };

  const replace = async ({lease}: Seen, record: LeaseRecord, signal: AbortSignal): Promise<Seen> => {
    const spec = {...specOf(lease), ...record};
    const body = await client.request({method: 'PUT', path, body: {...lease, spec}, signal});
    return {...parseLease(body), at: clock.now()};
  };

  const ours = (last: LeaseRecord | undefined): LeaseRecord => {
    const now = microTime(wallClock());
    const kept = last?.holderIdentity === identity;
    return {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(leaseDurationMs / 1_000),
      leaseTransitions: last === undefined ? 0 : last.leaseTransitions + (kept ? 0 : 1),
      acquireTime: (kept ? last.acquireTime : undefined) ?? now,
      renewTime: now,
    };
  };

  const take = async (last: Seen, signal: AbortSignal): Promise<Outcome> => {
    const sentAt = clock.now();
    return {type: 'Holding', seen: await replace(last, ours(last.record), signal), sentAt};
  };

  const create = async (signal: AbortSignal): Promise<Outcome> => {
    const sentAt = clock.now();
    const lease = {...typeMeta, metadata: {name, namespace}, spec: ours(undefined)};
    const body = await client.request({method: 'POST', path: collection, body: lease, signal});
    return {type: 'Holding', seen: {...parseLease(body), at: clock.now()}, sentAt};
  };

  const isHeldByAnother = ({record, at}: Seen): boolean => {
    const {holderIdentity, leaseDurationSeconds} = record;
    const lastsMs = leaseDurationSeconds === undefined ? leaseDurationMs : leaseDurationSeconds * 1_000;
    return holderIdentity !== '' && holderIdentity !== identity && clock.now() < at + lastsMs;
  };

  return {
    async contend(last, isLeading, signal) {
      if (isLeading && last !== undefined) {
        const renewed = await take(last, signal).catch((error: unknown) => {
          if (hasStatus(error, 404, 409)) return undefined; // changed or deleted since: look at it
          throw error;
        });
        if (renewed !== undefined) return renewed;
      }
      const seen = await read(last, signal);
      const known = seen ?? last; // who saw it held before it was deleted waits all the same: its holder has not heard of it yet
      if (known !== undefined && isHeldByAnother(known)) return {type: 'Held', seen: known};
      return seen === undefined ? create(signal) : take(seen, signal);
    },
    async release(last, signal) {
      const now = microTime(wallClock());
      const free = {holderIdentity: '', leaseDurationSeconds: 1, acquireTime: now, renewTime: now};
      const give = (seen: Seen): Promise<Seen | undefined> =>
        replace(seen, {...free, leaseTransitions: seen.record.leaseTransitions}, signal).catch((error: unknown) => {
          if (!hasStatus(error, 409)) throw error; // 409: a renewal whose answer did not come, or someone's label
          return read(undefined, signal);
        });
      let seen: Seen | undefined = last;
      while (seen?.record.holderIdentity === identity) seen = await give(seen);
    },
  };
}

/** As client-go has it, between the tries of who does not hold the lease. */
const jitterFactor = 1.2;

function checkTimes(leaseDurationMs: number, renewDeadlineMs: number, retryPeriodMs: number): void {
  if (leaseDurationMs <= renewDeadlineMs) throw new Error('leaseDurationMs must be greater than renewDeadlineMs');
  if (renewDeadlineMs <= retryPeriodMs * jitterFactor)
    throw new Error(`renewDeadlineMs must be greater than retryPeriodMs × ${jitterFactor}`);
  if (retryPeriodMs <= 0) throw new Error('retryPeriodMs must be greater than 0');
}

export function createElector(settings: ElectorSettings): Elector {
  const {identity, clock, random, onElected, onLost, log} = settings;
  const {leaseDurationMs = 15_000, renewDeadlineMs = 10_000, retryPeriodMs = 2_000} = settings;
  checkTimes(leaseDurationMs, renewDeadlineMs, retryPeriodMs);
  const contest = createContest(settings, leaseDurationMs);
  let last: Seen | undefined;
  let leads = false;
  /** By the clock. */
  let leadsUntil = -Infinity;
  let deadline: Timer | undefined;
  let retry: Timer | undefined;
  /** While set, what was lost may still be at work. */
  let stopping: Promise<void> | undefined;
  let stopped: Promise<void> | undefined;
  let loop = Promise.resolve();
  let giveUp = (_why: string): void => {};
  let wake = (): void => {};

  const holder = (): string => last?.record.holderIdentity ?? '';

  const lose = (reason: LossReason): void => {
    leads = false;
    deadline?.cancel();
    log.warn('lost the lease', {identity, reason, holder: holder()});
    stopping = Promise.resolve(onLost(reason));
    giveUp('lost the lease');
  };

  const hold = (sentAt: number): void => {
    const until = sentAt + renewDeadlineMs;
    if (stopped !== undefined || clock.now() >= until) return;
    leadsUntil = until;
    deadline?.cancel();
    deadline = clock.after(until - clock.now(), () => lose('RenewDeadlineExceeded'));
    if (leads) return;
    leads = true;
    log.info('holds the lease', {identity});
    onElected();
  };

  const accept = (outcome: Outcome): void => {
    const {holderIdentity} = outcome.seen.record;
    if (holderIdentity !== holder()) log.info('the lease has a new holder', {holderIdentity});
    last = outcome.seen;
    if (outcome.type === 'Holding') hold(outcome.sentAt);
    else if (leads) lose('AnotherHolder');
  };

  /** Leaves time for a second try before the deadline, and ends even if the client does not listen to its signal. */
  const limited = async <T>(ask: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    const controller = new AbortController();
    const {promise: givenUp, reject} = Promise.withResolvers<never>();
    giveUp = (why) => {
      reject(new Error(why));
      controller.abort();
    };
    const timer = clock.after(renewDeadlineMs / 2, () => giveUp(`no answer within ${renewDeadlineMs / 2} ms`));
    return Promise.race([ask(controller.signal), givenUp]).finally(() => timer.cancel());
  };

  /** Ends early when it is stopped: whoever does that says that the work has ended, and may do it from within `onLost`. */
  const rest = (begin: (rested: () => void) => void): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve;
      begin(resolve);
    });

  const compete = async (): Promise<void> => {
    for (;;) {
      const work = stopping;
      if (work !== undefined) await rest((rested) => void work.then(rested));
      stopping = undefined;
      if (stopped !== undefined) return;
      await limited((signal) => contest.contend(last, leads, signal)).then(accept, (error: unknown) => {
        // 409: someone else was faster
        if (!hasStatus(error, 409)) log.warn('no answer about the lease', {identity, error: String(error)});
      });
      if (stopped !== undefined) return;
      const retryMs = leads ? retryPeriodMs : retryPeriodMs * (1 + jitterFactor * random());
      await rest((rested) => void (retry = clock.after(retryMs, rested)));
    }
  };

  const end = async (): Promise<void> => {
    leads = false;
    deadline?.cancel();
    retry?.cancel();
    wake();
    await loop;
    const held = last;
    if (held?.record.holderIdentity !== identity) return;
    await limited((signal) => contest.release(held, signal)).catch((error: unknown) =>
      log.warn('could not release the lease', {identity, error: String(error)}),
    );
  };

  return {
    start() {
      loop = compete();
    },
    stop: () => (stopped ??= end()),
    isLeader: () => leads && clock.now() < leadsUntil,
    holder,
  };
}
