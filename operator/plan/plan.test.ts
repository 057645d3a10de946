import {describe, expect, it} from '@jest/globals';
import {modelGateway, modelRoute, secret, service, slice, urlBackend, world} from '../../test/objects.ts';
import {gatewayConfigSchema} from '../../proxy/config/schema.ts';
import {plan} from './plan.ts';
import type {Problem, World} from './world.ts';

const auth = {secretRef: {name: 'openai'}};
const local = {name: 'local', serviceRef: {name: 'vllm', port: 8000}};

const routeNames = (given: World): string[] => plan(given).config.routes.map(({name}) => name);
const said = ({object, path, reason, excludes}: Problem): string =>
  `${object.name} ${path.join('.')} ${reason} ${excludes}`;

const rich = world({
  gateways: [
    modelGateway(
      {generation: 4},
      {defaults: {retry: {maxAttempts: 9}}, limits: {maxConnections: 5}, logging: {level: 'Warn'}},
    ),
  ],
  routes: [
    modelRoute(
      {name: 'z', generation: 2},
      {
        modelNames: ['z', 'zz-*'],
        backends: [
          local,
          urlBackend({
            name: 'cloud',
            url: 'https://api.example/openai/v1/',
            model: 'big',
            priority: 1,
            weight: 0,
            contextWindow: 128_000,
            maxConcurrentRequests: 7,
            auth,
            timeouts: {firstToken: '5s'},
          }),
        ],
      },
    ),
    modelRoute({name: 'a'}),
  ],
  secrets: [secret()],
  slices: [slice()],
});

describe('the plan', () => {
  it('is a config that the contract takes', () => {
    const {config} = plan(rich);
    expect(gatewayConfigSchema.parse(config)).toEqual(config);
  });

  it('says everything that a backend is', () => {
    const {config, credentials, problems} = plan(rich);
    const timeouts = {connectMs: 2000, firstTokenMs: 60_000, tokenIdleMs: 30_000};
    expect(problems).toEqual([]);
    expect(config.routes[1]).toMatchObject({
      name: 'z',
      namespace: 'team-a',
      generation: 2,
      modelNames: ['z', 'zz-*'],
      retry: {maxAttempts: 9},
    });
    expect(config.routes[1]?.backends).toEqual([
      {
        name: 'local',
        target: {type: 'Service', namespace: 'team-a', name: 'vllm', portName: 'http', path: '/v1'},
        api: 'OpenAI',
        priority: 0,
        weight: 1,
        timeouts,
      },
      {
        name: 'cloud',
        target: {type: 'Url', url: 'https://api.example/openai/v1'},
        model: 'big',
        api: 'OpenAI',
        priority: 1,
        weight: 0,
        contextWindow: 128_000,
        maxConcurrentRequests: 7,
        auth: {
          headerName: 'authorization',
          prefix: 'Bearer ',
          credential: {namespace: 'team-a', name: 'openai', key: 'apiKey', uid: 'uid-1', resourceVersion: '7'},
        },
        timeouts: {...timeouts, firstTokenMs: 5000},
      },
    ]);
    expect([...credentials]).toEqual([['team-a/openai/uid-1/7/apiKey', 'sk-1']]);
  });

  it('says what the gateway is', () => {
    const {gateway, limits, logging} = plan(rich).config;
    expect({gateway, limits, logging}).toMatchObject({
      gateway: {namespace: 'team-a', name: 'models', generation: 4},
      limits: {maxConnections: 5},
      logging: {level: 'warn'},
    });
  });

  it('is the same for the same world, in whatever order it was gathered', () => {
    const shuffled = {...rich, routes: rich.routes.toReversed()};
    expect(JSON.stringify(plan(shuffled).config)).toBe(JSON.stringify(plan(rich).config));
  });

  it('holds no credential', () => {
    expect(JSON.stringify(plan(rich).config)).not.toContain('sk-1');
  });

  it('leaves out the routes of other gateways', () => {
    const other = modelRoute({name: 'other', namespace: 'team-b'});
    expect(routeNames(world({routes: [modelRoute(), other]}))).toEqual(['chat']);
  });

  it('is made of the routes without gatewayRef if it is the default gateway', () => {
    const shared = {namespace: 'platform', name: 'shared'};
    const gateways = [modelGateway(shared, {allowedRoutes: {namespaces: {from: 'All'}}})];
    const named = modelRoute({name: 'named'}, {gatewayRef: {name: 'models'}});
    const given = world({gateway: shared, gateways, defaultGateway: shared, routes: [modelRoute(), named]});
    expect(routeNames(given)).toEqual(['chat']);
  });

  it('has the port name and the family of a Service in a cluster', () => {
    const services = [service({ports: [{name: 'api', port: 8000}], ipFamily: 'IPv6'})];
    const {config} = plan(world({routes: [modelRoute({}, {backends: [local]})], services}));
    expect(config.routes[0]?.backends[0]?.target).toEqual({
      type: 'Service',
      namespace: 'team-a',
      name: 'vllm',
      portName: 'api',
      ipFamily: 'IPv6',
      path: '/v1',
    });
  });

  it.each([
    ['/', ''],
    ['/v1/', '/v1'],
    ['/openai/v1', '/openai/v1'],
  ])('takes the path %s for "%s"', (path, expected) => {
    const backend = {...local, serviceRef: {...local.serviceRef, path}};
    const {config} = plan(world({routes: [modelRoute({}, {backends: [backend]})], slices: [slice()]}));
    expect(config.routes[0]?.backends[0]?.target).toMatchObject({path: expected});
  });
});

describe('what cannot be resolved', () => {
  const cases: Record<string, {given: World; problems: string[]; served: string[]}> = {
    'a missing Secret leaves out that backend alone': {
      given: world({
        routes: [modelRoute({}, {backends: [urlBackend(), urlBackend({name: 'b', auth})]}), modelRoute({name: 'x'})],
      }),
      problems: ['chat spec.backends.1.auth.secretRef.name SecretNotFound Backend'],
      served: ['chat: a', 'x: a'],
    },
    'a missing Service leaves out that backend alone': {
      given: world({routes: [modelRoute({}, {backends: [local, urlBackend()]})]}),
      problems: ['chat spec.backends.0.serviceRef.name BackendNotFound Backend'],
      served: ['chat: a'],
    },
    'a backend that lacks both is told both': {
      given: world({routes: [modelRoute({}, {backends: [{...local, auth}]})]}),
      problems: [
        'chat spec.backends.0.serviceRef.name BackendNotFound Backend',
        'chat spec.backends.0.auth.secretRef.name SecretNotFound Backend',
      ],
      served: ['chat: '],
    },
    'a name conflict leaves out the younger route alone': {
      given: world({routes: [modelRoute(), modelRoute({name: 'b'}, {modelNames: ['chat']})]}),
      problems: ['b spec.modelNames.0 ModelNameConflict Route'],
      served: ['chat: a'],
    },
    'a gateway that does not take a route leaves out that route alone, and its names are free': {
      given: world({
        gateway: {namespace: 'p', name: 'g'},
        gateways: [modelGateway({namespace: 'p', name: 'g'})],
        routes: [
          modelRoute({}, {gatewayRef: {namespace: 'p', name: 'g'}}),
          modelRoute({namespace: 'p'}, {gatewayRef: {name: 'g'}}),
        ],
      }),
      problems: ['chat spec.gatewayRef.namespace NotAllowedByGateway Route'],
      served: ['chat: a'],
    },
    'a field that is not supported yet leaves out its backend': {
      given: world({
        routes: [modelRoute({}, {backends: [urlBackend(), urlBackend({name: 'b', continueBy: 'Prefill'})]})],
      }),
      problems: ['chat spec.backends.1.continueBy UnsupportedValue Backend'],
      served: ['chat: a'],
    },
    'a field that is not supported yet leaves out its route': {
      given: world({routes: [modelRoute({}, {stream: {onCut: 'Continue'}}), modelRoute({name: 'x'})]}),
      problems: ['chat spec.stream.onCut UnsupportedValue Route'],
      served: ['x: a'],
    },
    'a field of the gateway that is not supported yet leaves out nothing': {
      given: world({gateways: [modelGateway({}, {logging: {prompts: true}})], routes: [modelRoute()]}),
      problems: ['models spec.logging.prompts UnsupportedValue Nothing'],
      served: ['chat: a'],
    },
  };
  it.each(Object.entries(cases))('%s', (_, {given, problems, served}) => {
    const planned = plan(given);
    expect(planned.problems.map(said)).toEqual(problems);
    expect(
      planned.config.routes.map(({name, backends}) => `${name}: ${backends.map((backend) => backend.name).join()}`),
    ).toEqual(served);
  });

  it('takes its credentials with it', () => {
    const backends = [urlBackend({auth})];
    const excluded = modelRoute({}, {backends, stream: {onCut: 'Continue'}});
    expect(plan(world({routes: [excluded], secrets: [secret()]})).credentials.size).toBe(0);
  });
});
