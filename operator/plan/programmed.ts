/** What the proxies say that they have loaded, against what is wanted. */
import {type GatewayConfig, type RouteConfig, routeName} from '../../proxy/config/schema.ts';
import {configRejected, pending, programmed} from '../api/conditions.ts';
import type {FleetState, LoadedReport} from './fleet.ts';
import {sameValue} from './same-value.ts';
import type {Finding} from './status-conditions.ts';

export type Proxies = {
  /** How many are ready. */
  ready: number;
  /** Of those, how many serve the newest config. */
  loaded: number;
  /** Whether the route is served as it is wanted, whatever else the proxies' configs hold. */
  ofRoute(wanted: RouteConfig, generation: number): Finding;
  /** Whether the newest config is loaded. */
  ofGateway(generation: number): Finding;
};

const counted = (count: number, ready: number, generation: number): string =>
  `${count}/${ready} ${ready === 1 ? 'proxy serves' : 'proxies serve'} generation ${generation}`;

const rejection = (refusing: readonly LoadedReport[]): Finding | undefined => {
  const [first] = refusing;
  if (first?.rejected === undefined) return undefined;
  const who = refusing.length === 1 ? '1 proxy refuses' : `${refusing.length} proxies refuse`;
  const message = `${who} the new config, so that the one before stays in use: ${first.rejected.reason}`;
  return {status: 'False', reason: configRejected, message};
};

/** What the operator could not do is why something is not loaded, not why something is. */
const notLoaded = (message: string, {blocked}: FleetState, refusing: readonly LoadedReport[]): Finding => {
  if (blocked?.type === 'Programmed') {
    const {reason, message: why} = blocked;
    return {status: reason === pending ? 'Unknown' : 'False', reason, message: why};
  }
  return rejection(refusing) ?? {status: 'Unknown', reason: pending, message};
};

export const proxiesOf = (fleet: FleetState, config: GatewayConfig): Proxies => {
  const {wantedHash, readyAddresses, reports, published} = fleet;
  const isReady = new Set(readyAddresses);
  const latest = [...new Map(reports.map((report) => [report.address, report])).values()];
  const readyReports = latest.filter(({address}) => isReady.has(address));
  const ready = isReady.size;
  const configs = new Map([...published, [wantedHash, config]]);
  const routesOf = new Map(
    [...configs].map(([hash, {routes}]) => [hash, new Map(routes.map((route) => [routeName(route), route]))]),
  );
  const holds = (hash: string | undefined, wanted: RouteConfig): boolean =>
    hash !== undefined && sameValue(routesOf.get(hash)?.get(routeName(wanted)), wanted);
  const loaded = readyReports.filter(({hash}) => hash === wantedHash).length;
  const isEverywhere = (count: number): boolean => ready > 0 && count === ready;
  return {
    ready,
    loaded,
    ofRoute(wanted, generation) {
      const holding = readyReports.filter(({hash}) => holds(hash, wanted));
      const waiting = holding.filter(({missingCredentials}) => missingCredentials.includes(routeName(wanted))).length;
      const serving = holding.length - waiting;
      const message = counted(serving, ready, generation);
      if (isEverywhere(serving)) return {status: 'True', reason: programmed, message};
      const refusing = latest.filter(({rejected}) => holds(rejected?.hash, wanted));
      const why = waiting > 0 ? `; ${waiting} more ${waiting === 1 ? 'waits' : 'wait'} for its credentials` : '';
      return notLoaded(ready === 0 ? 'no proxy is ready yet' : `${message}${why}`, fleet, refusing);
    },
    ofGateway(generation) {
      const refusing = latest.filter(({rejected}) => rejected?.hash === wantedHash);
      const message = counted(loaded, ready, generation);
      if (isEverywhere(loaded) && fleet.blocked?.type !== 'Programmed')
        return {status: 'True', reason: programmed, message};
      return notLoaded(ready === 0 ? 'no proxy is ready yet' : message, fleet, refusing);
    },
  };
};
