import {describe, expect, it} from '@jest/globals';
import {
  fleet,
  modelGateway,
  modelRoute,
  secret,
  service,
  slice,
  statusInput,
  urlBackend,
  world,
} from '../../test/objects.ts';
import type {FleetState} from './fleet.ts';
import {plan} from './plan.ts';
import {planStatus} from './status.ts';
import type {World} from './world.ts';

const auth = {secretRef: {name: 'openai'}};
const local = {name: 'local', serviceRef: {name: 'vllm', port: 8000}};
const cloud = urlBackend({name: 'cloud', auth});
const models = modelGateway();

/** What `kubectl describe` says of the route that is wrong, without the conditions that are True. */
const described = (given: World, route = 'team-a/chat', state?: FleetState): string[] =>
  (planStatus(statusInput(given, state)).routes.get(route)?.conditions ?? [])
    .filter(({status}) => status !== 'True')
    .map(({type, reason, message}) => `${type} ${reason}: ${message}`);

const cluster = (given: Partial<World>): World => world({gateways: [models], services: [], ...given});
const withLocal = modelRoute({}, {backends: [local, urlBackend()]});
const withCloud = modelRoute({}, {backends: [urlBackend(), cloud]});

const old = {creationTimestamp: '2026-01-01T00:00:00Z'};
const young = {creationTimestamp: '2026-02-01T00:00:00Z'};
const shared = {gatewayRef: {name: 'shared', namespace: 'platform'}};
const platform = {gateway: {namespace: 'platform', name: 'shared'}};
const sharedGateway = (allowedRoutes: object) => [
  modelGateway({name: 'shared', namespace: 'platform'}, {allowedRoutes}),
];

const leftOut = (reason: string): string[] => [
  `Programmed NotAccepted: not served, because it is not accepted (${reason}): see the condition Accepted`,
  `Ready NotAccepted: not served, because it is not accepted (${reason}): see the condition Accepted`,
];

describe('what one object lacks, in its status', () => {
  const cases: Record<string, {given: World; expected: string[]}> = {
    'a Service': {
      given: cluster({routes: [withLocal]}),
      expected: [
        'ResolvedRefs BackendNotFound: spec.backends[0].serviceRef.name: there is no Service team-a/vllm: add it, name another one, or use url',
      ],
    },
    'a port of it': {
      given: cluster({routes: [withLocal], services: [service({ports: [{name: 'http', port: 80}]})]}),
      expected: [
        'ResolvedRefs PortNotFound: spec.backends[0].serviceRef.port: Service team-a/vllm has no port 8000: use one of 80',
      ],
    },
    'a Service with pods': {
      given: cluster({routes: [withLocal], services: [service({type: 'ExternalName'})]}),
      expected: [
        'ResolvedRefs Invalid: spec.backends[0].serviceRef.name: Service team-a/vllm is of type ExternalName, which has no pods: use url with its external name',
      ],
    },
    'a Secret': {
      given: cluster({routes: [withCloud]}),
      expected: [
        'ResolvedRefs SecretNotFound: spec.backends[1].auth.secretRef.name: there is no Secret team-a/openai: add it with the key "apiKey"',
      ],
    },
    'a key of it': {
      given: cluster({routes: [withCloud], secrets: [secret({values: {token: 'hidden'}})]}),
      expected: [
        'ResolvedRefs SecretKeyNotFound: spec.backends[1].auth.secretRef.key: Secret team-a/openai has no key "apiKey" (it has token): add it, or name another key',
      ],
    },
    'something under the key': {
      given: cluster({routes: [withCloud], secrets: [secret({values: {apiKey: ''}})]}),
      expected: [
        'ResolvedRefs SecretKeyNotFound: spec.backends[1].auth.secretRef.key: key "apiKey" of Secret team-a/openai is empty: put the credential there',
      ],
    },
    'text under the key': {
      given: cluster({routes: [withCloud], secrets: [secret({values: {apiKey: 'hidden\uFFFD\u0000'}})]}),
      expected: [
        'ResolvedRefs Invalid: spec.backends[1].auth.secretRef.key: key "apiKey" of Secret team-a/openai holds bytes that are not text: put the credential there as text',
      ],
    },
    'a gateway': {
      given: cluster({...platform, gateways: [], routes: [modelRoute({}, shared)]}),
      expected: [
        "Accepted GatewayNotFound: spec.gatewayRef.name: there is no ModelGateway platform/shared: add one, or remove gatewayRef to use the namespace's own",
        ...leftOut('GatewayNotFound'),
      ],
    },
    'the right to attach': {
      given: cluster({...platform, gateways: sharedGateway({}), routes: [modelRoute({}, shared)]}),
      expected: [
        'Accepted NotAllowedByGateway: spec.gatewayRef.namespace: ModelGateway platform/shared takes no routes of namespace team-a: set its spec.allowedRoutes.namespaces.from to All, or remove gatewayRef',
        ...leftOut('NotAllowedByGateway'),
      ],
    },
    'the labels to attach': {
      given: cluster({
        ...platform,
        gateways: sharedGateway({namespaces: {from: 'Selector', selector: {matchLabels: {team: 'nobody'}}}}),
        namespaceLabels: new Map([['team-a', {team: 'red'}]]),
        routes: [modelRoute({}, shared)],
      }),
      expected: [
        'Accepted NotAllowedByGateway: spec.gatewayRef.namespace: ModelGateway platform/shared takes no routes of namespace team-a: give the namespace labels that its spec.allowedRoutes.namespaces.selector matches, or remove gatewayRef',
        ...leftOut('NotAllowedByGateway'),
      ],
    },
    'the right to a name': {
      given: cluster({
        gateways: [modelGateway({}, {allowedRoutes: {modelNames: ['gpt-*']}})],
        routes: [modelRoute({}, {modelNames: ['gpt-4', 'llama']})],
      }),
      expected: [
        'Accepted NotAllowedByGateway: spec.modelNames[1]: ModelGateway team-a/models does not allow the model name "llama": use one under gpt-*, or add it to its spec.allowedRoutes.modelNames',
        ...leftOut('NotAllowedByGateway'),
      ],
    },
    'a name of its own in its namespace': {
      given: cluster({routes: [modelRoute({...young}), modelRoute({name: 'first', ...old}, {modelNames: ['chat']})]}),
      expected: [
        'Accepted ModelNameConflict: metadata.name: the model name "chat" is taken by ModelRoute team-a/first, which is older: use another name',
        ...leftOut('ModelNameConflict'),
      ],
    },
    'a name of its own across namespaces': {
      given: cluster({
        ...platform,
        gateways: sharedGateway({namespaces: {from: 'All'}}),
        routes: [
          modelRoute({...young}, {...shared, modelNames: ['gpt-4']}),
          modelRoute({namespace: 'team-b', ...old}, {...shared, modelNames: ['gpt-*']}),
        ],
      }),
      expected: [
        'Accepted ModelNameConflict: spec.modelNames[0]: the model name "gpt-4" is taken by ModelRoute team-b/chat by its "gpt-*", which is older: use another name',
        ...leftOut('ModelNameConflict'),
      ],
    },
  };
  it.each(Object.entries(cases))('%s', (_, {given, expected}) => {
    expect(described(given)).toEqual(expected);
    expect(JSON.stringify([...planStatus(statusInput(given)).routes])).not.toContain('hidden');
    expect(JSON.stringify([...plan(given).credentials])).not.toContain('hidden');
  });
});

describe('what was missing and appears', () => {
  it.each<[string, Partial<World>]>([
    ['a Service', {routes: [withLocal], services: [service()], slices: [slice()]}],
    ['a Secret', {routes: [withCloud], secrets: [secret()]}],
    [
      'a gateway',
      {...platform, gateways: sharedGateway({namespaces: {from: 'All'}}), routes: [modelRoute({}, shared)]},
    ],
  ])('leaves nothing to say: %s', (_, given) => {
    expect(described(cluster(given))).toEqual([]);
  });
});

describe('64 backends', () => {
  it('are all told of, and served', () => {
    const backends = Array.from({length: 64}, (_, index) => ({
      name: `b${index}`,
      serviceRef: {name: `vllm-${index}`, port: 8000},
    }));
    const names = backends.map(({serviceRef}) => serviceRef.name);
    const given = cluster({
      routes: [modelRoute({}, {backends})],
      services: names.map((name) => service({name})),
      slices: names.map((serviceName) => slice({serviceName})),
    });
    const status = planStatus(statusInput(given)).routes.get('team-a/chat');
    expect([status?.endpoints, status?.backends?.length]).toEqual(['64/64', 64]);
    expect(described(given)).toEqual([]);
  });
});

describe('names at the length limit', () => {
  const namespace = 'n'.repeat(63);
  const gateway = {namespace, name: 'g'.repeat(63)};
  const modelName = (index: number): string => `${index}`.padEnd(256, 'm');
  const backends = Array.from({length: 64}, (_, index) => ({
    name: `${index}`.padEnd(63, 'b'),
    serviceRef: {name: `s${index}`.padEnd(63, 's'), port: 8000},
    auth: {secretRef: {name: 'x'.repeat(253), key: 'k'.repeat(253)}},
  }));
  const keys = Array.from({length: 500}, (_, index) => [`${index}`.padEnd(253, 'k'), 'hidden']);
  const given = world({
    gateway,
    gateways: [
      modelGateway(gateway, {allowedRoutes: {modelNames: Array.from({length: 64}, (_, index) => modelName(index))}}),
    ],
    routes: [
      modelRoute(
        {namespace, name: 'r'.repeat(253)},
        {
          gatewayRef: {name: gateway.name},
          modelNames: Array.from({length: 64}, (_, index) => modelName(index)),
          backends,
        },
      ),
      modelRoute({namespace, name: 'q'.repeat(253)}, {gatewayRef: {name: gateway.name}, modelNames: ['z'.repeat(256)]}),
    ],
    services: [],
    secrets: [secret({namespace, name: 'x'.repeat(253), values: Object.fromEntries(keys) as Record<string, string>})],
  });

  it('fit into what is told of them', () => {
    const {gateway: gatewayStatus, routes} = planStatus(statusInput(given));
    const statuses = [gatewayStatus, ...routes.values()];
    const messages = statuses.flatMap((status) => (status?.conditions ?? []).map(({message}) => message));
    expect(Math.max(...messages.map((message) => message.length))).toBeLessThanOrEqual(8000);
    const broken = [...routes.values()][0]?.conditions?.find(({type}) => type === 'ResolvedRefs');
    expect(broken?.message).toMatch(/^spec\.backends\[0\]\.serviceRef\.name: .* and 125 more$/);
    expect(messages.join()).toContain('and 495 more): add it, or name another key');
    expect(gatewayStatus?.selector?.length).toBeLessThanOrEqual(1024);
    expect(gatewayStatus?.url).toBe(`http://${gateway.name}.${namespace}/v1`);
  });

  it('fit into the message of what is served', () => {
    const [route] = given.routes;
    const served = {
      ...given,
      routes: route === undefined ? [] : [{...route, spec: {...route.spec, backends: [urlBackend()]}}],
    };
    const ready = planStatus(statusInput(served, fleet())).routes.values().next().value?.conditions?.at(-1);
    expect(ready).toMatchObject({status: 'True', message: expect.stringMatching(/ and 59 more$/)});
  });
});
