/** The EndpointSlices of some Services of one namespace, in one watch. What is known stays until there is something newer. */
import {createReflector} from '../../kube/reflector.ts';
import type {EndpointSlice} from '../config/endpoint.ts';
import {isRefusal} from './api-trouble.ts';
import type {Watching} from './named-object.ts';
import {createRefusal, type Refusal} from './refusal.ts';
import {serviceLabel} from '../config/slice.ts';
import {createSliceStore, type SliceListener, type SliceStore} from './slice-store.ts';

export type NamespaceWatch = {
  /** These Services from now on. */
  follow(services: ReadonlySet<string>): void;
  /** Of these Services, as far as they have been listed; undefined before the first list. */
  slices(): readonly EndpointSlice[] | undefined;
  /** Listed with all of these. */
  knows(services: ReadonlySet<string>): boolean;
  /** The API server refuses to list what is followed, and has done so for a while. */
  readonly isRefused: boolean;
  stop(): void;
};

type Watch = {
  /** At least those that are followed. */
  services: ReadonlySet<string>;
  store: SliceStore;
  refusal: Refusal;
  recovered(): void;
  stop(): void;
};

const isWithin = (some: ReadonlySet<string>, all: ReadonlySet<string>): boolean =>
  [...some].every((each) => all.has(each));

const includes = (watch: Watch | undefined, services: ReadonlySet<string>): watch is Watch =>
  watch !== undefined && isWithin(services, watch.services);

const mayNotBeRead = (error: unknown): boolean => isRefusal(error) && (error.status === 403 || error.status === 404);

export function watchNamespace(
  namespace: string,
  {trouble, ...watching}: Watching,
  {changed, unreadable}: SliceListener,
): NamespaceWatch {
  let named: ReadonlySet<string> = new Set();
  /** The one that has its list. */
  let current: Watch | undefined;
  /** The one that is to take its place as soon as it has, too. */
  let next: Watch | undefined;

  const takeOver = (watch: Watch): void => {
    if (next !== watch) return;
    current?.recovered(); // its part of the API server has just answered another
    current?.stop();
    current = watch;
    next = undefined;
    changed();
  };

  const start = (services: ReadonlySet<string>): Watch => {
    const {listeners, stopped} = trouble.of(`endpointslices in ${namespace}`);
    const refusal = createRefusal(watching.clock, changed);
    const store = createSliceStore({
      changed: () => current?.store === store && changed(),
      unreadable,
      isNamed: (service) => named.has(service),
      before: (key) => current?.store.get(key),
    });
    const reflector = createReflector({
      ...watching,
      ...listeners,
      path: `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`,
      query: {labelSelector: `${serviceLabel} in (${[...services].sort().join(',')})`},
      store,
      onProblem(error) {
        listeners.onProblem(error);
        if (mayNotBeRead(error)) refusal.begins();
        else refusal.ends();
      },
      onRecovered() {
        listeners.onRecovered();
        refusal.ends();
      },
    });
    const watch: Watch = {
      services,
      store,
      refusal,
      recovered: listeners.onRecovered,
      stop() {
        reflector.stop();
        refusal.ends();
        stopped();
      },
    };
    reflector.synced().then(
      () => takeOver(watch),
      () => {}, // stopped before
    );
    return watch;
  };

  return {
    follow(services) {
      if (services.size !== named.size || !isWithin(services, named)) {
        named = services;
        current?.store.renamed();
        next?.store.renamed();
      }
      if (includes(next ?? current, services)) return;
      next?.stop();
      next = start(services);
    },
    slices: () => current?.store.list(),
    knows: (services) => includes(current, services),
    get isRefused() {
      return next?.refusal.lasts === true;
    },
    stop() {
      current?.stop();
      next?.stop();
    },
  };
}
