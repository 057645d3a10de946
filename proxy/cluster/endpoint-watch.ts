/** The endpoints of all Services that are asked for, one watch for each namespace. What was known last stays, for ever if need be. */
import type {EndpointSlice, EndpointTable} from '../config/endpoint.ts';
import type {BackendTarget} from '../config/schema.ts';
import {joinSlices, type FamilyOf} from '../routing/endpoint-slices.ts';
import type {Log} from './log.ts';
import type {Watching} from './named-object.ts';
import {watchNamespace, type NamespaceWatch} from './namespace-watch.ts';
import type {ObjectName} from './stored.ts';

export type KnownEndpoints = {
  readonly namespaces: ReadonlyMap<string, EndpointTable>;
  /** Of this proxy. */
  readonly ownZone: string | undefined;
};

/** By namespace and name, with the address family to use where that is known. */
export type Services = ReadonlyMap<string, ReadonlyMap<string, EndpointSlice['addressType'] | undefined>>;

export type EndpointWatch = {
  /** These from now on; what is known of others is forgotten. True: they are others than before. */
  follow(services: Services): boolean;
  known(): KnownEndpoints;
  /** All of them have been listed. */
  knows(services: Services): boolean;
  /** Those of all namespaces that the API server does not refuse for good. */
  areListed(): boolean;
  /** Of those that are followed: neither listed, nor refused for good, nor known from before. */
  unknownNamespaces(): string[];
  /** Listed, or known from before. */
  isKnown: (namespace: string) => boolean;
  stop(): void;
};

export type EndpointWatchOptions = {
  watching: Watching;
  log: Log;
  /** From before the start, for namespaces that have not been listed yet. */
  saved: KnownEndpoints;
  /** The Service that the proxies themselves belong to. */
  ownService: ObjectName;
  podIp: string | undefined;
  changed: () => void;
};

type ServiceName = ObjectName & {ipFamily?: EndpointSlice['addressType'] | undefined};

export function servicesOf(targets: readonly (BackendTarget | ServiceName)[]): Services {
  const services = new Map<string, Map<string, EndpointSlice['addressType'] | undefined>>();
  for (const target of targets) {
    if ('url' in target) continue;
    const {namespace, name, ipFamily} = target;
    const names = services.get(namespace) ?? new Map<string, EndpointSlice['addressType'] | undefined>();
    services.set(namespace, names.set(name, ipFamily ?? names.get(name)));
  }
  return services;
}

const textOf = (services: Services): string =>
  JSON.stringify([...services].map(([namespace, names]) => [namespace, [...names]]));

/** All of it in one. Keys of namespaces differ. */
export const joinNamespaces = ({namespaces}: KnownEndpoints): EndpointTable =>
  new Map([...namespaces.values()].flatMap((table) => [...table]));

/** Zone of the pod, by its own entry in the slices of its Service. */
function zoneOf(podIp: string | undefined, {name}: ObjectName, slices: readonly EndpointSlice[]): string | undefined {
  const entries = slices.filter(({serviceName}) => serviceName === name).flatMap(({endpoints}) => endpoints);
  return entries.find(({addresses}) => podIp !== undefined && addresses.includes(podIp))?.zone;
}

/** Joins anew only what has changed. */
function createJoin(): (slices: readonly EndpointSlice[], familyOf: FamilyOf, families: string) => EndpointTable {
  let last: {slices: readonly EndpointSlice[]; families: string; table: EndpointTable} | undefined;
  return (slices, familyOf, families) => {
    if (last?.slices !== slices || last.families !== families)
      last = {slices, families, table: joinSlices(slices, familyOf)};
    return last.table;
  };
}

type Followed = {watch: NamespaceWatch; join: ReturnType<typeof createJoin>};

export function watchEndpoints(options: EndpointWatchOptions): EndpointWatch {
  const {watching, log, saved, ownService, podIp, changed} = options;
  const followed = new Map<string, Followed>();
  /** Until there is something newer. */
  const earlier = new Map(saved.namespaces);
  let services: Services = new Map();
  let {ownZone} = saved;

  const start = (namespace: string): Followed => {
    const unreadable = (slice: string, problem: string, isKept: boolean): void =>
      log.warn('EndpointSlice cannot be read', {slice, problem, inUse: isKept ? 'as it was before' : 'not at all'});
    const watch = watchNamespace(namespace, watching, {changed, unreadable});
    return {watch, join: createJoin()};
  };
  const tableOf = (namespace: string, {watch, join}: Followed): EndpointTable | undefined => {
    const slices = watch.slices();
    if (slices === undefined) return earlier.get(namespace);
    earlier.delete(namespace);
    const families = services.get(namespace);
    return join(slices, ({serviceName}) => families?.get(serviceName), JSON.stringify([...(families ?? [])]));
  };
  const learnOwnZone = (): string | undefined => {
    const slices = followed.get(ownService.namespace)?.watch.slices() ?? [];
    return (ownZone = zoneOf(podIp, ownService, slices) ?? ownZone); // its entry goes before the proxy does
  };

  const isListed = ({watch}: Followed): boolean => watch.knows(new Set());
  const isKnown = (namespace: string): boolean => {
    const entry = followed.get(namespace);
    return earlier.has(namespace) || (entry !== undefined && isListed(entry));
  };

  return {
    follow(next) {
      const before = services;
      services = next;
      for (const [namespace, {watch}] of followed) {
        if (next.has(namespace)) continue;
        watch.stop();
        followed.delete(namespace);
        earlier.delete(namespace);
      }
      for (const [namespace, names] of next) {
        const entry = followed.get(namespace) ?? start(namespace);
        followed.set(namespace, entry);
        entry.watch.follow(new Set(names.keys()));
      }
      return textOf(next) !== textOf(before);
    },
    known: () => ({
      namespaces: new Map(
        [...followed].flatMap(([namespace, entry]) => {
          const table = tableOf(namespace, entry);
          return table === undefined ? [] : [[namespace, table] as const];
        }),
      ),
      ownZone: learnOwnZone(),
    }),
    knows: (wanted) =>
      [...wanted].every(([namespace, names]) => followed.get(namespace)?.watch.knows(new Set(names.keys())) === true),
    areListed: () => [...followed.values()].every((entry) => isListed(entry) || entry.watch.isRefused),
    unknownNamespaces: () =>
      [...followed].flatMap(([namespace, {watch}]) => (isKnown(namespace) || watch.isRefused ? [] : [namespace])),
    isKnown,
    stop() {
      for (const {watch} of followed.values()) watch.stop();
    },
  };
}
