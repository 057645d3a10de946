import {describe, expect, it} from '@jest/globals';
import {
  fleet,
  loadedReport,
  modelGateway,
  modelRoute,
  secret,
  service,
  statusInput,
  urlBackend,
  world,
} from '../../test/objects.ts';
import {type Reason, reasons} from '../api/conditions.ts';
import type {FleetState} from './fleet.ts';
import {planStatus} from './status.ts';
import type {World} from './world.ts';

type Case = {given?: Partial<World>; state?: Partial<FleetState>};

const auth = {secretRef: {name: 'openai'}};
const local = {name: 'local', serviceRef: {name: 'vllm', port: 8000}};
const routes = (spec: Parameters<typeof modelRoute>[1]): Partial<World> => ({routes: [modelRoute({}, spec)]});
const elsewhere = {gatewayRef: {name: 'shared', namespace: 'platform'}};
const shared = {gateway: {name: 'shared', namespace: 'platform'}};

/** What the operator finds out while it makes a fleet, and hands to the plan as `blocked`: its own tests make them. */
const foundElsewhere: readonly Reason[] = ['NameInUse', 'ConfigTooLarge', 'ApplyFailed'];

const cases: Partial<Record<Reason, Case>> = {
  Accepted: {},
  Invalid: {given: {...routes({backends: [urlBackend({auth})]}), secrets: [secret({values: {apiKey: ' a'}})]}},
  UnsupportedValue: {given: routes({stream: {onCut: 'Continue'}})},
  ModelNameConflict: {given: {routes: [modelRoute(), modelRoute({name: 'b'}, {modelNames: ['chat']})]}},
  GatewayNotFound: {given: {...shared, ...routes(elsewhere), gateways: []}},
  NotAllowedByGateway: {
    given: {...shared, ...routes(elsewhere), gateways: [modelGateway({name: 'shared', namespace: 'platform'})]},
  },
  RefNotPermitted: {given: {...shared, ...routes(elsewhere), gateways: [], watchedNamespaces: ['team-a']}},
  ResolvedRefs: {},
  SecretNotFound: {given: routes({backends: [urlBackend({auth})]})},
  SecretKeyNotFound: {given: {...routes({backends: [urlBackend({auth})]}), secrets: [secret({values: {}})]}},
  BackendNotFound: {given: routes({backends: [local]})},
  PortNotFound: {given: {...routes({backends: [local]}), services: [service({ports: []})]}},
  Programmed: {},
  ConfigRejected: {state: {reports: [loadedReport({hash: 'old', rejected: {hash: 'new', reason: 'no'}})]}},
  Pending: {state: {reports: []}},
  Ready: {},
  NoReadyEndpoints: {given: {...routes({backends: [local]}), services: [service()]}},
  NoReadyProxies: {state: {readyAddresses: []}},
  NotAccepted: {given: routes({stream: {onCut: 'Continue'}})},
};

const told = ({given = {}, state = {}}: Case): (string | undefined)[] => {
  const all = world({gateways: [modelGateway()], routes: [modelRoute()], services: [], ...given});
  const {gateway, routes} = planStatus(statusInput(all, fleet(state)));
  return [gateway, ...routes.values()].flatMap((status) => (status?.conditions ?? []).map(({reason}) => reason));
};

describe('a reason', () => {
  it.each(reasons.filter((reason) => !foundElsewhere.includes(reason)))('%s is told', (reason) => {
    const found = cases[reason];
    expect(found === undefined ? [] : told(found)).toContain(reason);
  });

  it.each(foundElsewhere)('%s is told as it was found', (reason) => {
    const type = reason === 'NameInUse' ? 'Accepted' : 'Programmed';
    const state = {reports: [], blocked: {type, reason, message: 'why'}} as const;
    expect(told({state})).toContain(reason);
  });
});
