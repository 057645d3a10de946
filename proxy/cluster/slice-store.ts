/** The EndpointSlices of one watch, parsed as they come. One that cannot be read counts as it was read last, if ever, and is told once. */
import {keyOf} from '../../kube/store.ts';
import type {KubeObject} from '../../kube/objects.ts';
import type {ReflectorOptions} from '../../kube/reflector.ts';
import type {EndpointSlice} from '../config/endpoint.ts';
import {readSlice} from '../config/slice.ts';

export type SliceStore = ReflectorOptions<KubeObject>['store'] & {
  /** Those of Services that are named, in the same order in every proxy. The same list until something changes. */
  list(): readonly EndpointSlice[];
  get(key: string): EndpointSlice | undefined;
  /** Other Services are named now. */
  renamed(): void;
};

export type SliceListener = {
  /** Of a Service that is named. */
  changed: () => void;
  /** `key`: namespace and name. `isKept`: as it was before. */
  unreadable: (key: string, problem: string, isKept: boolean) => void;
};

export type SliceStoreOptions = SliceListener & {
  /** By its name: the watch may bring slices of others, too. */
  isNamed: (service: string) => boolean;
  /** What is known of a slice from elsewhere. */
  before: (key: string) => EndpointSlice | undefined;
};

/** For a Service that does not say its family: the one that most clusters have. */
const familyRanks: Record<EndpointSlice['addressType'], number> = {IPv4: 0, IPv6: 1, FQDN: 2};

type Entry = [key: string, slice: EndpointSlice];

const byFamilyAndName = ([keyA, a]: Entry, [keyB, b]: Entry): number =>
  familyRanks[a.addressType] - familyRanks[b.addressType] || (keyA < keyB ? -1 : 1);

export function createSliceStore({changed, unreadable, isNamed, before}: SliceStoreOptions): SliceStore {
  let slices = new Map<string, EndpointSlice>();
  const told = new Set<string>();
  let list: readonly EndpointSlice[] | undefined;

  const put = (object: KubeObject, last: EndpointSlice | undefined): void => {
    const key = keyOf(object);
    const read = readSlice(object);
    if ('slice' in read) {
      slices.set(key, read.slice);
      told.delete(key);
      return;
    }
    if (last !== undefined) slices.set(key, last);
    if (!told.has(key)) unreadable(key, read.problem, last !== undefined);
    told.add(key);
  };
  const done = (): void => {
    list = undefined;
    changed();
  };
  const counts = (slice: EndpointSlice | undefined): boolean => slice !== undefined && isNamed(slice.serviceName);
  return {
    list: () =>
      (list ??= [...slices]
        .filter(([, slice]) => counts(slice))
        .sort(byFamilyAndName)
        .map(([, slice]) => slice)),
    get: (key) => slices.get(key),
    renamed() {
      list = undefined;
    },
    replace(objects) {
      const last = slices;
      slices = new Map();
      const keys = new Set(objects.map(keyOf));
      for (const key of told) if (!keys.has(key)) told.delete(key);
      for (const object of objects) put(object, last.get(keyOf(object)) ?? before(keyOf(object)));
      done();
    },
    set(object) {
      const last = slices.get(keyOf(object));
      put(object, last);
      if (counts(last) || counts(slices.get(keyOf(object)))) done();
    },
    delete(key) {
      const last = slices.get(key);
      slices.delete(key);
      told.delete(key);
      if (counts(last)) done();
    },
  };
}
