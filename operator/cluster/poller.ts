/** Asks the proxies of each gateway what they have loaded: often while they do not have what they should, else every minute. */
import {Agent} from 'undici';
import {createBackoff, type Backoff} from '../../kube/backoff.ts';
import type {Clock, Timer} from '../../kube/clock.ts';
import type {LoadedReport} from '../plan/fleet.ts';
import {askLoaded} from './ask-loaded.ts';

export type Fleet = {
  /** IP addresses of its proxies. */
  addresses: readonly string[];
  /** Of the config that they should have. */
  wantedHash: string;
};

export type Poller = {
  /** From now on; what changes is asked at once. `key` names a gateway. */
  watch(key: string, fleet: Fleet): void;
  forget(key: string): void;
  /** Of the proxies that are watched and answer, in the order of their addresses. */
  reports(key: string): readonly LoadedReport[];
  stop(): void;
};

export type PollerSettings = {
  clock: Clock;
  /** From 0 to below 1. */
  random: () => number;
  /** Where proxies have their /loaded; 9090 unless given. */
  port?: number;
  /** A proxy says something else than before, or does not answer any more. */
  onChange: (key: string) => void;
};

type Proxy = {
  readonly key: string;
  readonly address: string;
  wantedHash: string;
  report: LoadedReport | undefined;
  /** In a row. */
  failures: number;
  readonly backoff: Backoff;
  /** Until it is asked again. */
  timer: Timer | undefined;
  state: 'Waits' | 'Queued' | 'Asked' | 'AskedAndToBeAskedAgain' | 'Forgotten';
};

const defaultPort = 9_090;
/** Of all gateways together: a thousand proxies are not to be a thousand sockets. */
const maxAtOnce = 20;
const maxSlowAtOnce = 5;
const backoffMs = {firstMs: 50, longestMs: 5_000};
const settledMs = 60_000;
/** A proxy that is busy, or a packet that is lost, is no news. The next try comes soon, and fails too if the proxy is gone. */
const failuresToLose = 2;

const isAsWanted = ({report, wantedHash}: Proxy): boolean =>
  report !== undefined && report.hash === wantedHash && report.missingCredentials.length === 0;

const isSame = (one: LoadedReport | undefined, other: LoadedReport | undefined): boolean =>
  JSON.stringify(one) === JSON.stringify(other);

export function createPoller({clock, random, port = defaultPort, onChange}: PollerSettings): Poller {
  const fleets = new Map<string, Map<string, Proxy>>();
  const queue: Proxy[] = [];
  /** Those that did not answer last time: on a node that is lost they take their two seconds each, again and again. */
  const slow: Proxy[] = [];
  const agent = new Agent({connections: 1, allowH2: false, headersTimeout: 0, bodyTimeout: 0}); // the deadline is ours
  const stopping = new AbortController();
  let asked = 0;
  let askedOfSlow = 0;

  const later = (proxy: Proxy): void => {
    const waitMs = proxy.failures === 0 && isAsWanted(proxy) ? settledMs * (0.9 + random() / 5) : proxy.backoff.next();
    proxy.state = 'Waits';
    proxy.timer = clock.after(waitMs, () => enqueue(proxy));
  };

  const take = (proxy: Proxy, report: LoadedReport | undefined): void => {
    proxy.failures = report === undefined ? proxy.failures + 1 : 0;
    if (report === undefined && proxy.failures < failuresToLose) return;
    const isNews = !isSame(proxy.report, report);
    proxy.report = report;
    if (isAsWanted(proxy)) proxy.backoff.reset();
    if (isNews) onChange(proxy.key);
  };

  const ask = async (proxy: Proxy): Promise<void> => {
    const isSlow = proxy.failures > 0;
    asked += 1;
    askedOfSlow += Number(isSlow);
    proxy.state = 'Asked';
    const report = await askLoaded(proxy.address, {agent, clock, port}, stopping.signal);
    asked -= 1;
    askedOfSlow -= Number(isSlow);
    if (isForgotten(proxy)) return;
    const again = isToBeAskedAgain(proxy);
    take(proxy, report);
    if (isForgotten(proxy)) return; // by whoever was told
    if (again) enqueue(proxy);
    else later(proxy);
  };

  /** The next of those that wait, if there is room for it. */
  const next = (): Proxy | undefined => {
    if (asked >= maxAtOnce) return undefined;
    return queue.shift() ?? (askedOfSlow < maxSlowAtOnce ? slow.shift() : undefined);
  };

  const work = (): void => {
    for (let proxy = next(); proxy !== undefined; proxy = next()) if (!isForgotten(proxy)) void ask(proxy).then(work);
  };

  const enqueue = (proxy: Proxy): void => {
    proxy.timer?.cancel();
    proxy.state = 'Queued';
    (proxy.failures > 0 ? slow : queue).push(proxy);
    work();
  };

  const askAtOnce = (proxy: Proxy): void => {
    proxy.backoff.reset();
    if (proxy.state === 'Waits') enqueue(proxy);
    else if (proxy.state === 'Asked') proxy.state = 'AskedAndToBeAskedAgain'; // it may answer as it was before
  };

  const add = (key: string, address: string, wantedHash: string): Proxy => {
    const backoff = createBackoff({...backoffMs, random});
    const proxy: Proxy = {
      key,
      address,
      wantedHash,
      report: undefined,
      failures: 0,
      backoff,
      timer: undefined,
      state: 'Waits',
    };
    enqueue(proxy);
    return proxy;
  };

  const remove = (proxy: Proxy): void => {
    proxy.timer?.cancel();
    proxy.state = 'Forgotten';
  };

  return {
    watch(key, {addresses, wantedHash}) {
      if (stopping.signal.aborted) return;
      const known = fleets.get(key) ?? new Map<string, Proxy>();
      const wanted = new Set(addresses);
      for (const proxy of known.values()) if (!wanted.has(proxy.address)) remove(proxy);
      const watched = [...wanted].sort().map((address): [string, Proxy] => {
        const proxy = known.get(address);
        if (proxy === undefined) return [address, add(key, address, wantedHash)];
        if (proxy.wantedHash !== wantedHash) {
          proxy.wantedHash = wantedHash;
          askAtOnce(proxy);
        }
        return [address, proxy];
      });
      fleets.set(key, new Map(watched));
    },
    forget(key) {
      for (const proxy of fleets.get(key)?.values() ?? []) remove(proxy);
      fleets.delete(key);
    },
    reports: (key) =>
      [...(fleets.get(key)?.values() ?? [])].flatMap(({report}) => (report === undefined ? [] : [report])),
    stop() {
      for (const proxies of fleets.values()) for (const proxy of proxies.values()) remove(proxy);
      fleets.clear();
      stopping.abort();
      void agent.destroy();
    },
  };
}

// The state changes while somebody is waited for or told, which the type system does not see.
const isForgotten = ({state}: Proxy): boolean => state === 'Forgotten';
const isToBeAskedAgain = ({state}: Proxy): boolean => state === 'AskedAndToBeAskedAgain';
