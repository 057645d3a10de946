/** The configs that proxies may have loaded, so that a report's hash says what they serve, and no credential goes before its config. */
import {credentialKey, gatewayConfigSchema, type Credentials, type GatewayConfig} from '../../proxy/config/schema.ts';
import type {Clock} from '../../kube/clock.ts';
import {jsonIn} from '../../kube/json.ts';
import type {KubeObject} from '../../kube/objects.ts';
import {readConfigMap, readCredentials} from '../cluster/config-object.ts';
import type {LoadedReport} from '../plan/fleet.ts';

export type Published = {
  /** By hash, the oldest first. */
  configs(key: string): ReadonlyMap<string, GatewayConfig>;
  /** Of these, those that a proxy may still have, or boot with: the oldest first. */
  needed(key: string): readonly GatewayConfig[];
  /** Takes over what is stored, such as an operator before us wrote it. Returns its hash; undefined: there is none. */
  stored(key: string, configMap: KubeObject | undefined): string | undefined;
  add(key: string, hash: string, config: GatewayConfig): void;
  /** All proxies serve this one: none before it is needed. */
  settle(key: string, hash: string): void;
  forget(key: string): void;
};

/** Proxies that are further behind than that are taken to serve something unknown. */
const mostRemembered = 8;
/** A proxy hears of a change within seconds, and the kubelet of a mount within two minutes. What nobody wants any more must not stay. */
const neededForMs = 300_000;

/** Undefined: edited by hand; it is written anew. */
const parse = (text: string): GatewayConfig | undefined => gatewayConfigSchema.safeParse(jsonIn(text)).data;

/** `replacedAt`: undefined of the newest. `isSettled`: no proxy has it any more. */
type Entry = {config: GatewayConfig; replacedAt: number | undefined; isSettled: boolean};

export function createPublished(clock: Pick<Clock, 'now'>): Published {
  const byKey = new Map<string, Map<string, Entry>>();
  const of = (key: string): Map<string, Entry> => {
    const known = byKey.get(key) ?? new Map<string, Entry>();
    byKey.set(key, known);
    return known;
  };
  const add = (key: string, hash: string, config: GatewayConfig): void => {
    const known = of(key);
    if ([...known.keys()].at(-1) === hash) return;
    for (const entry of known.values()) entry.replacedAt ??= clock.now();
    known.delete(hash);
    known.set(hash, {config, replacedAt: undefined, isSettled: false});
    const [oldest] = known.keys();
    if (known.size > mostRemembered && oldest !== undefined) known.delete(oldest);
  };
  const isNeeded = ({replacedAt, isSettled}: Entry): boolean =>
    !isSettled && (replacedAt === undefined || clock.now() - replacedAt < neededForMs);

  return {
    configs: (key) => new Map([...of(key)].map(([hash, {config}]) => [hash, config])),
    needed: (key) => [...of(key).values()].filter(isNeeded).map(({config}) => config),
    stored(key, configMap) {
      const read = configMap === undefined ? undefined : readConfigMap(configMap);
      if (read === undefined || of(key).has(read.hash)) return read?.hash;
      const config = parse(read.text);
      if (config !== undefined) add(key, read.hash, config);
      return read.hash;
    },
    add,
    settle(key, hash) {
      for (const [other, entry] of of(key)) {
        if (other === hash) return;
        entry.isSettled = true;
      }
    },
    forget: (key) => void byKey.delete(key),
  };
}

const namedIn = ({routes}: GatewayConfig): string[] =>
  routes
    .flatMap(({backends}) => backends)
    .flatMap(({auth, tls}) => [auth?.credential, tls?.ca, tls?.cert, tls?.key])
    .flatMap((name) => (name === undefined ? [] : [credentialKey(name)]));

/** Of what is stored, what one of `configs` names: a proxy that boots with an older config finds its credentials. */
export function stillNamed(secret: KubeObject | undefined, configs: readonly GatewayConfig[]): Credentials {
  const stored: Credentials = secret === undefined ? new Map() : readCredentials(secret);
  const named = new Set(configs.flatMap(namedIn));
  return new Map([...stored].filter(([name]) => named.has(name)));
}

/** Whether every ready proxy serves the config with this hash. False without any. */
export const allServe = (hash: string, readyAddresses: readonly string[], reports: readonly LoadedReport[]): boolean =>
  readyAddresses.length > 0 &&
  readyAddresses.every((address) => reports.some((report) => report.address === address && report.hash === hash));
