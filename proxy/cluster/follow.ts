/** Joins config, credentials and endpoints, as they come from the API server, into what the proxy serves. */
import {join} from 'node:path';
import type {BackendTarget, GatewayConfig} from '../config/schema.ts';
import type {Rejection} from '../engine/gateway.ts';
import type {LiveInput} from '../engine/live.ts';
import type {Fields, Log} from './log.ts';
import type {Boot} from './boot.ts';
import {createCoalescer} from './coalescer.ts';
import {followConfig} from './config-follower.ts';
import {followCredentials} from './credential-follower.ts';
import {joinNamespaces, servicesOf, watchEndpoints, type KnownEndpoints} from './endpoint-watch.ts';
import {createHeldConfig} from './held-config.ts';
import type {Watching} from './named-object.ts';
import {endpointsFile, isPart, writeKnown} from './saved-endpoints.ts';
import {createSaver, type Saver} from './saver.ts';
import {configFile, type LoadedConfig, type ObjectName} from './stored.ts';
import {strandedRoutes} from './stranded-routes.ts';

/** The proxy, as far as it is told what to serve. */
export type Served = {
  update(input: LiveInput & {hash: string}): void;
  rejected(rejection: Rejection): void;
  targets(): BackendTarget[];
};

export type FollowOptions = {
  watching: Watching;
  log: Log;
  gateway: ObjectName;
  /** Unset: the own zone is not known. */
  podIp: string | undefined;
  stateFolder: string;
  /** The proxy already serves what came of it. */
  boot: Boot;
  proxy: Served;
};

export type Following = {
  /** What has to be known before traffic comes. */
  notReady(): string | undefined;
  /** No watch is left after it. Never rejects. */
  stop(): Promise<void>;
};

/** An object in etcd is smaller. */
const longestConfig = 2 * 1_048_576;

const targetsIn = ({routes}: GatewayConfig): BackendTarget[] =>
  routes.flatMap(({backends}) => backends.map(({target}) => target));

const wantsOwnZone = ({config}: LoadedConfig): boolean =>
  config.routes.some(({loadBalancing}) => loadBalancing.zonePreference === 'SameZone');

const isService = (target: BackendTarget): boolean => target.type === 'Service';

function createSavers({stateFolder, log, watching: {clock}}: FollowOptions): {endpoints: Saver; config: Saver} {
  const inState = (name: string) => ({path: join(stateFolder, name), clock, log});
  const {name, longest} = endpointsFile;
  return {
    endpoints: createSaver({...inState(name), what: 'endpoints', longest}),
    config: createSaver({...inState(configFile), what: 'config', longest: longestConfig}),
  };
}

const describeConfig = ({config, hash}: LoadedConfig): Fields => ({
  hash: hash.slice(0, 12),
  generation: config.gateway.generation,
  routes: config.routes.length,
});

export function follow(options: FollowOptions): Following {
  const {watching, log, gateway, podIp, boot, proxy} = options;
  const savers = createSavers(options);
  let inUse = boot.loaded;
  /** Of what came after the config that is held; told once that one is in use. */
  let laterRejection: Rejection | undefined;
  /** It is told once of each that it waits longer than usual. */
  let waitsFor: LoadedConfig | undefined;
  let credentials = boot.credentials ?? new Map<string, string>();
  let areCredentialsKnown = boot.credentials !== undefined;
  /** What the proxy was given last beside its config. */
  let given = {credentials, endpoints: writeKnown(gateway, boot.known)};
  /** `given` says more than that. */
  let isStale = false;
  /** Traffic waits for those of the first config; later ones must not make a proxy unready. */
  let firstNamespaces: ReadonlySet<string> | undefined;
  let isReady = false;

  const changes = createCoalescer(watching.clock, () => apply());
  const config = createHeldConfig(watching.clock, changes.changed);
  const endpoints = watchEndpoints({
    watching,
    log,
    saved: boot.known,
    ownService: gateway,
    podIp,
    changed: changes.changed,
  });

  const followEndpoints = (): boolean => {
    const configs = [inUse, config.held].filter((each) => each !== undefined);
    const own = configs.some(wantsOwnZone) ? [gateway] : [];
    const named = configs.flatMap((each) => targetsIn(each.config));
    return endpoints.follow(servicesOf([...own, ...proxy.targets(), ...named]));
  };
  const refuse = (rejection: Rejection): void => {
    log.error('config rejected, the last good one stays in use', {...rejection});
    proxy.rejected(rejection);
  };
  const use = (loaded: LoadedConfig, fields: Fields): void => {
    if (loaded.hash !== inUse?.hash || firstNamespaces === undefined)
      log.info('config loaded', {...describeConfig(loaded), ...fields});
    firstNamespaces ??= new Set(servicesOf(targetsIn(loaded.config)).keys());
    inUse = loaded;
    savers.config.save(loaded.gzip, true);
  };

  /** Where nobody knows of any place to send a request to, a refusal is no reason to take requests. */
  const refusedEverywhere = (): string | undefined => {
    const targets = inUse === undefined ? [] : targetsIn(inUse.config);
    const namespaces = [...servicesOf(targets).keys()];
    const isBlind = targets.length > 0 && targets.every(isService) && !namespaces.some(endpoints.isKnown);
    return isBlind ? `endpoints may not be read in ${namespaces.join(', ')}` : undefined;
  };
  const missing = (): string | undefined => {
    const unknown = endpoints.unknownNamespaces().filter((namespace) => firstNamespaces?.has(namespace) !== false);
    if (unknown.length > 0) return `endpoints are not known yet in ${unknown.join(', ')}`;
    return refusedEverywhere() ?? (areCredentialsKnown ? undefined : 'credentials are not known yet');
  };
  /** Once and for all, and not before the proxy has what it waits for. */
  const noteReady = (): void => {
    isReady ||= inUse !== undefined && missing() === undefined;
  };

  /** False: the proxy goes on with what it has. */
  function give(loaded: LoadedConfig, known: KnownEndpoints): boolean {
    try {
      proxy.update({...loaded, credentials, endpoints: joinNamespaces(known), ownZone: known.ownZone});
      return true;
    } catch (error) {
      refuse({hash: loaded.hash, reason: `a fault in ModelRoute: ${String(error)}`});
      return false;
    }
  }

  function isDue(held: LoadedConfig, isOverdue: boolean, known: KnownEndpoints): boolean {
    if (inUse === undefined || endpoints.knows(servicesOf(targetsIn(held.config)))) return true;
    if (!isOverdue) return false;
    const stranded = strandedRoutes(inUse.config, held.config, {
      endpoints: joinNamespaces(known),
      isKnown: (service) => endpoints.knows(servicesOf([service])),
    });
    if (stranded.length > 0 && waitsFor !== held)
      log.warn('config waits: nothing is known yet of the endpoints that routes would have', {
        ...describeConfig(held),
        stranded,
      });
    waitsFor = held;
    return stranded.length === 0;
  }

  /** Services that are named no more are forgotten, which is no news for the proxy; that one is of another family now would be. */
  const forgetUnnamed = (known: KnownEndpoints): void => {
    if (!followEndpoints()) return;
    const left = endpoints.known();
    given = {...given, endpoints: writeKnown(gateway, left)};
    if (isPart(left, known)) return;
    isStale = true;
    changes.changed();
  };

  function apply(): void {
    const known = endpoints.known();
    const next = {credentials, endpoints: writeKnown(gateway, known)};
    const isNew = isStale || next.credentials !== given.credentials || next.endpoints !== given.endpoints;
    [given, isStale] = [next, false];
    const loaded = config.take((held, isOverdue) => isDue(held, isOverdue, known));
    if (loaded !== undefined && give(loaded, known)) use(loaded, {from: 'watch'});
    else if (inUse !== undefined && isNew) give(inUse, known);
    if (loaded !== undefined && laterRejection !== undefined) {
      refuse(laterRejection);
      laterRejection = undefined;
    }
    forgetUnnamed(known);
    noteReady();
    if (inUse !== undefined) savers.endpoints.save(given.endpoints, endpoints.areListed()); // else nothing is followed yet
  }

  if (inUse !== undefined) use(inUse, {from: boot.rejection === undefined ? 'mount' : 'saved'});
  if (boot.rejection !== undefined) proxy.rejected(boot.rejection);
  followEndpoints();
  noteReady();
  const watches = [
    followConfig(gateway, watching, log, {
      loaded(arrived) {
        laterRejection = undefined;
        config.hold(arrived);
        followEndpoints();
        changes.changed();
      },
      rejected(rejection) {
        if (config.held === undefined) refuse(rejection);
        else laterRejection = rejection; // the good one before it comes first
      },
    }),
    followCredentials(gateway, watching, log, (heard) => {
      credentials = heard ?? credentials;
      areCredentialsKnown = true;
      changes.changed();
    }),
  ];

  return {
    notReady: () => (isReady ? undefined : (missing() ?? 'starting')),
    async stop() {
      for (const each of [...watches, endpoints, changes, config]) each.stop();
      await Promise.all([savers.endpoints.stop(), savers.config.stop()]);
    },
  };
}
