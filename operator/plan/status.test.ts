import {describe, expect, it} from '@jest/globals';
import {
  fleet,
  loadedReport,
  modelGateway,
  modelRoute,
  service,
  slice,
  statusInput,
  urlBackend,
  world,
} from '../../test/objects.ts';
import type {GatewayConfig} from '../../proxy/config/schema.ts';
import {conditionTypes, type ConditionType} from '../api/conditions.ts';
import type {Condition, ModelGatewayStatus, ModelRouteStatus} from '../api/generated.ts';
import type {FleetState, StatusPlan} from './fleet.ts';
import {plan} from './plan.ts';
import {planStatus} from './status.ts';
import type {World} from './world.ts';

const now = '2026-11-21T12:00:00Z';
const later = '2026-11-21T12:05:00Z';

const statusOf = (given: World, state?: FleetState): StatusPlan => planStatus(statusInput(given, state));

const local = {name: 'local', serviceRef: {name: 'vllm', port: 8000}};
const chat = modelRoute({generation: 4});
const models = modelGateway({generation: 2});
const whole = world({
  gateways: [models],
  routes: [chat, modelRoute({name: 'pods', generation: 1}, {backends: [local, urlBackend()]})],
  services: [service()],
  slices: [slice({endpoints: [{addresses: ['10.0.0.1']}, {addresses: ['10.0.0.2'], ready: false}]})],
});

const routeOf = (statuses: StatusPlan, name = 'team-a/chat'): ModelRouteStatus => {
  const status = statuses.routes.get(name);
  if (status === undefined) throw new Error(`no status of ${name}`);
  return status;
};

const gatewayOf = ({gateway}: StatusPlan): ModelGatewayStatus => gateway ?? {};

const said = ({conditions = []}: {conditions?: Condition[]}, type: ConditionType): string => {
  const condition = conditions.find((candidate) => candidate.type === type);
  return `${condition?.status} ${condition?.reason}: ${condition?.message}`;
};

/** The config of before, with something else in it. */
const before = (change: (config: GatewayConfig) => void): GatewayConfig => {
  const config = structuredClone(plan(whole).config);
  change(config);
  return config;
};

describe('the status of a route', () => {
  it('says all there is to say', () => {
    expect(routeOf(statusOf(whole), 'team-a/pods')).toEqual({
      observedGeneration: 1,
      url: 'http://models.team-a/v1',
      models: 'pods',
      endpoints: '2/3',
      backends: [
        {name: 'local', endpoints: 2, readyEndpoints: 1, resolved: true},
        {name: 'a', endpoints: 1, readyEndpoints: 1, resolved: true},
      ],
      conditions: [
        {type: 'Accepted', reason: 'Accepted', message: 'ModelGateway team-a/models takes it'},
        {type: 'ResolvedRefs', reason: 'ResolvedRefs', message: 'everything that its backends refer to was found'},
        {type: 'Programmed', reason: 'Programmed', message: '1/1 proxy serves generation 1'},
        {type: 'Ready', reason: 'Ready', message: 'http://models.team-a/v1 answers for pods'},
      ].map((condition) => ({...condition, status: 'True', observedGeneration: 1, lastTransitionTime: now})),
    });
  });

  it('has the port of the gateway in its URL', () => {
    const gateways = [modelGateway({}, {service: {port: 8080}})];
    expect(routeOf(statusOf({...whole, gateways})).url).toBe('http://models.team-a:8080/v1');
  });

  it('is there before its gateway is', () => {
    const empty = fleet({replicas: 0, readyReplicas: 0, reports: [], readyAddresses: []});
    const statuses = statusOf({...whole, gateways: []}, empty);
    expect(statuses.gateway).toBeUndefined();
    expect(said(routeOf(statuses), 'Accepted')).toMatch(/^True/);
    expect(said(routeOf(statuses), 'Programmed')).toBe('Unknown Pending: no proxy is ready yet');
    expect(said(routeOf(statuses), 'Ready')).toBe(
      'False NoReadyProxies: no proxy of ModelGateway team-a/models is ready, of 0 that exist: see the conditions of ModelGateway team-a/models',
    );
  });

  it('tells of every problem, in few words', () => {
    const backends = Array.from({length: 64}, (_, index) => ({
      name: `backend-${index}`,
      serviceRef: {name: `service-${index}`, port: 80},
    }));
    const status = routeOf(statusOf({...whole, routes: [modelRoute({}, {backends})]}));
    const missing = (index: number): string =>
      `spec.backends[${index}].serviceRef.name: there is no Service team-a/service-${index}: add it, name another one, or use url`;
    expect(said(status, 'ResolvedRefs')).toBe(
      `False BackendNotFound: ${missing(0)}; ${missing(1)}; ${missing(2)} and 61 more`,
    );
    expect(said(status, 'Ready')).toBe(
      'False NoReadyEndpoints: backend backend-0 lacks what it refers to (see the condition ResolvedRefs); ' +
        'backend backend-1 lacks what it refers to (see the condition ResolvedRefs); ' +
        'backend backend-2 lacks what it refers to (see the condition ResolvedRefs) and 61 more',
    );
    expect(status.endpoints).toBe('0/0');
  });

  it('counts no endpoint of a backend that is not resolved as ready', () => {
    const auth = {secretRef: {name: 'missing'}};
    const routes = [modelRoute({}, {backends: [{...local, auth}, urlBackend({auth}), urlBackend({name: 'b'})]})];
    const status = routeOf(statusOf({...whole, routes}));
    expect(status.backends).toEqual([
      {name: 'local', endpoints: 2, readyEndpoints: 0, resolved: false},
      {name: 'a', endpoints: 1, readyEndpoints: 0, resolved: false},
      {name: 'b', endpoints: 1, readyEndpoints: 1, resolved: true},
    ]);
    expect(status.endpoints).toBe('1/4');
    expect(said(status, 'Ready')).toMatch(/^True/);
  });

  it.each([
    [
      'none',
      [],
      'Service team-a/vllm has 0 of 0 endpoints ready: does its selector match pods, and are they scheduled?',
    ],
    ['none that is ready', [{addresses: ['10.0.0.1'], ready: false}], 'Service team-a/vllm has 0 of 1 endpoints ready'],
  ])('is not ready if there are endpoints: %s', (_, endpoints, message) => {
    const given = {...whole, routes: [modelRoute({}, {backends: [local]})], slices: [slice({endpoints})]};
    expect(said(routeOf(statusOf(given)), 'Ready')).toBe(`False NoReadyEndpoints: backend local: ${message}`);
  });

  it('is that of a route that is left out', () => {
    const younger = modelRoute({name: 'late', generation: 7}, {modelNames: ['chat']});
    const status = routeOf(statusOf({...whole, routes: [chat, younger]}), 'team-a/late');
    expect(conditionTypes.map((type) => said(status, type))).toEqual([
      'False ModelNameConflict: spec.modelNames[0]: the model name "chat" is taken by ModelRoute team-a/chat, which is older: use another name',
      'True ResolvedRefs: everything that its backends refer to was found',
      'False NotAccepted: not served, because it is not accepted (ModelNameConflict): see the condition Accepted',
      'False NotAccepted: not served, because it is not accepted (ModelNameConflict): see the condition Accepted',
    ]);
    expect(status).toMatchObject({observedGeneration: 7, endpoints: '0/1'});
    expect(status.url).toBeUndefined();
  });
});

describe('a route is programmed', () => {
  const three = {readyAddresses: ['10.1.0.1', '10.1.0.2', '10.1.0.3'], replicas: 3, readyReplicas: 3};
  const reports = (first: object, second: object, third: object): FleetState['reports'] =>
    [first, second, third].map((report, index) => loadedReport({address: `10.1.0.${index + 1}`, ...report}));
  const old = {hash: 'old'};
  const withoutChat = before((config) => void config.routes.shift());
  const otherGeneration = before(({routes: [first]}) => void (first && (first.generation = 3)));
  const otherDefaults = before(({routes: [first]}) => void (first && (first.requestMs = 1)));
  const otherRoute = before((config) => void config.routes.pop());
  const reordered = before((config) => {
    config.routes = config.routes.map(
      (route) => Object.fromEntries(Object.entries(route).toReversed()) as typeof route,
    );
  });
  const refusal = {hash: 'new', reason: 'routes[0].weight: too big'};

  const cases: Record<string, {state: Partial<FleetState>; expected: string}> = {
    'by all proxies that are ready': {
      state: {...three, reports: reports({}, {}, {})},
      expected: 'True Programmed: 3/3 proxies serve generation 4',
    },
    'by none of those that are not ready': {
      state: {reports: reports({}, old, old), replicas: 3},
      expected: 'True Programmed: 1/1 proxy serves generation 4',
    },
    'by some': {
      state: {...three, reports: reports({}, old, old), published: new Map([['old', withoutChat]])},
      expected: 'Unknown Pending: 1/3 proxies serve generation 4',
    },
    'by those that say so alone': {
      state: {...three, reports: [loadedReport()]},
      expected: 'Unknown Pending: 1/3 proxies serve generation 4',
    },
    'not by those that serve an older generation': {
      state: {...three, reports: reports({}, old, {}), published: new Map([['old', otherGeneration]])},
      expected: 'Unknown Pending: 2/3 proxies serve generation 4',
    },
    'not by those that serve it under other defaults of the gateway': {
      state: {...three, reports: reports({}, old, {}), published: new Map([['old', otherDefaults]])},
      expected: 'Unknown Pending: 2/3 proxies serve generation 4',
    },
    'by those whose config differs in another route': {
      state: {...three, reports: reports({}, old, {}), published: new Map([['old', otherRoute]])},
      expected: 'True Programmed: 3/3 proxies serve generation 4',
    },
    'by those whose config stands in another order': {
      state: {...three, reports: reports({}, old, {}), published: new Map([['old', reordered]])},
      expected: 'True Programmed: 3/3 proxies serve generation 4',
    },
    'not by those whose config nobody remembers': {
      state: {...three, reports: reports({}, old, {})},
      expected: 'Unknown Pending: 2/3 proxies serve generation 4',
    },
    'not by those that wait for its credentials': {
      state: {...three, reports: reports({}, {missingCredentials: ['team-a/chat']}, {})},
      expected: 'Unknown Pending: 2/3 proxies serve generation 4; 1 more waits for its credentials',
    },
    "by those that wait for another route's credentials": {
      state: {...three, reports: reports({}, {missingCredentials: ['team-a/pods']}, {})},
      expected: 'True Programmed: 3/3 proxies serve generation 4',
    },
    'not if proxies refuse it': {
      state: {
        ...three,
        reports: reports({}, {...old, rejected: refusal}, {...old, rejected: refusal}),
        published: new Map([['old', withoutChat]]),
      },
      expected:
        'False ConfigRejected: 2 proxies refuse the new config, so that the one before stays in use: routes[0].weight: too big',
    },
    'not if a proxy refuses it that is therefore not ready': {
      state: {readyAddresses: [], reports: [loadedReport({hash: '', rejected: refusal})]},
      expected:
        'False ConfigRejected: 1 proxy refuses the new config, so that the one before stays in use: routes[0].weight: too big',
    },
    'although proxies refuse a change of another route': {
      state: {
        ...three,
        reports: reports({...old, rejected: refusal}, {...old, rejected: refusal}, {...old, rejected: refusal}),
        published: new Map([['old', otherRoute]]),
      },
      expected: 'True Programmed: 3/3 proxies serve generation 4',
    },
    'not if it is one of those that a proxy refused before': {
      state: {
        ...three,
        reports: reports(old, old, {...old, rejected: {hash: 'other', reason: 'no'}}),
        published: new Map([
          ['old', withoutChat],
          ['other', withoutChat],
        ]),
      },
      expected: 'Unknown Pending: 0/3 proxies serve generation 4',
    },
    'not if the operator cannot write it': {
      state: {
        ...three,
        reports: reports(old, old, old),
        published: new Map([['old', withoutChat]]),
        blocked: {type: 'Programmed', reason: 'ConfigTooLarge', message: 'the config has 950 KB: use fewer routes'},
      },
      expected: 'False ConfigTooLarge: the config has 950 KB: use fewer routes',
    },
    'although the operator cannot write a change of another route': {
      state: {
        ...three,
        reports: reports(old, old, old),
        published: new Map([['old', otherRoute]]),
        blocked: {type: 'Programmed', reason: 'ConfigTooLarge', message: 'the config has 950 KB: use fewer routes'},
      },
      expected: 'True Programmed: 3/3 proxies serve generation 4',
    },
  };
  it.each(Object.entries(cases))('%s', (_, {state, expected}) => {
    const status = routeOf(statusOf(whole, fleet(state)));
    expect(said(status, 'Programmed')).toBe(expected);
    const isServed = expected.startsWith('True') && state.readyAddresses?.length !== 0;
    expect(said(status, 'Ready').startsWith('True')).toBe(isServed);
  });
});

describe('the status of a gateway', () => {
  it('says all there is to say', () => {
    expect(gatewayOf(statusOf(whole))).toEqual({
      observedGeneration: 2,
      url: 'http://models.team-a/v1',
      replicas: 1,
      readyReplicas: 1,
      selector: 'app.kubernetes.io/name=modelroute-proxy,app.kubernetes.io/instance=models',
      configHash: 'new',
      loadedReplicas: 1,
      routes: 2,
      conditions: [
        {type: 'Accepted', reason: 'Accepted', message: 'everything that it says is in effect'},
        {type: 'ResolvedRefs', reason: 'ResolvedRefs', message: 'a gateway refers to nothing that could be missing'},
        {type: 'Programmed', reason: 'Programmed', message: '1/1 proxy serves generation 2'},
        {type: 'Ready', reason: 'Ready', message: '1 proxy is ready'},
      ].map((condition) => ({...condition, status: 'True', observedGeneration: 2, lastTransitionTime: now})),
    });
  });

  it('counts the routes that are accepted', () => {
    const conflict = modelRoute({name: 'late'}, {modelNames: ['chat']});
    expect(gatewayOf(statusOf({...whole, routes: [chat, conflict]})).routes).toBe(1);
  });

  it('has a selector with no proxy at all', () => {
    const gateways = [modelGateway({}, {replicas: 0})];
    const none = fleet({replicas: 0, readyReplicas: 0, reports: [], readyAddresses: []});
    const status = gatewayOf(statusOf({...whole, gateways}, none));
    expect(status).toMatchObject({replicas: 0, selector: expect.stringContaining('instance=models')});
    expect(said(status, 'Ready')).toBe('False NoReadyProxies: no proxy is ready, of 0 that exist: spec.replicas is 0');
  });

  it('says where to look if no proxy comes up', () => {
    expect(said(gatewayOf(statusOf(whole, fleet({readyAddresses: []}))), 'Ready')).toBe(
      'False NoReadyProxies: no proxy is ready, of 1 that exist: look at its pods with kubectl -n team-a describe pods ' +
        '-l app.kubernetes.io/name=modelroute-proxy,app.kubernetes.io/instance=models',
    );
  });

  it('says what it asks for in vain, and stays ready', () => {
    const gateways = [modelGateway({}, {logging: {prompts: true}})];
    const status = gatewayOf(statusOf({...whole, gateways}));
    expect(said(status, 'Accepted')).toBe(
      'False UnsupportedValue: spec.logging.prompts: true is not supported yet: use false, or remove it. Everything else is in effect',
    );
    expect(said(status, 'Ready')).toMatch(/^True/);
    expect(status.url).toBe('http://models.team-a/v1');
  });

  const blocked = {reason: 'NameInUse', message: 'Service team-a/models belongs to somebody else: rename it'} as const;

  it("says what keeps it out, and so do its routes'", () => {
    const statuses = statusOf(whole, fleet({blocked: {...blocked, type: 'Accepted'}}));
    for (const status of [gatewayOf(statuses), routeOf(statuses)]) {
      expect(said(status, 'Accepted')).toBe(
        'False NameInUse: Service team-a/models belongs to somebody else: rename it',
      );
      expect(said(status, 'Programmed')).toMatch(/^False NotAccepted: .*NameInUse/);
      expect(said(status, 'Ready')).toMatch(/^False NotAccepted: .*NameInUse/);
      expect(status.url).toBeUndefined();
    }
    expect(gatewayOf(statuses).routes).toBe(0);
  });

  it.each<[string, Partial<FleetState>, string]>([
    [
      'the newest config is not everywhere',
      {
        readyAddresses: ['10.1.0.1', '10.1.0.2'],
        reports: [loadedReport(), loadedReport({address: '10.1.0.2', hash: 'old'})],
      },
      'Unknown Pending: 1/2 proxies serve generation 2',
    ],
    [
      'a proxy refuses it',
      {reports: [loadedReport({hash: 'old', rejected: {hash: 'new', reason: 'no'}})]},
      'False ConfigRejected: 1 proxy refuses the new config, so that the one before stays in use: no',
    ],
    [
      'the operator may not make an object',
      {blocked: {type: 'Programmed', reason: 'ApplyFailed', message: 'may not create deployments'}},
      'False ApplyFailed: may not create deployments',
    ],
    ['no proxy is ready', {readyAddresses: []}, 'Unknown Pending: no proxy is ready yet'],
  ])('says that it is not programmed if %s', (_, state, expected) => {
    expect(said(gatewayOf(statusOf(whole, fleet(state))), 'Programmed')).toBe(expected);
  });
});

describe('lastTransitionTime', () => {
  const first = statusOf(whole);
  const again = (state: FleetState, given: World = whole): StatusPlan => {
    const routes = given.routes.map((route) => ({...route, status: routeOf(first, `team-a/${route.metadata.name}`)}));
    const gateway = {...models, status: gatewayOf(first)};
    return planStatus({...statusInput(given, state), routes, gateway, now: later});
  };

  it('stays while the status does, whatever else changes', () => {
    const two = fleet({
      replicas: 2,
      readyAddresses: ['10.1.0.1', '10.1.0.2'],
      reports: [loadedReport(), loadedReport({address: '10.1.0.2'})],
    });
    const status = routeOf(again(two));
    expect(said(status, 'Programmed')).toBe('True Programmed: 2/2 proxies serve generation 4');
    expect(status.conditions?.map(({lastTransitionTime}) => lastTransitionTime)).toEqual([now, now, now, now]);
  });

  it('moves with the status of that type alone', () => {
    const status = routeOf(again(fleet({readyAddresses: []})));
    expect(status.conditions?.map(({lastTransitionTime}) => lastTransitionTime)).toEqual([now, now, later, later]);
  });
});
