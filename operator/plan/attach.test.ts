import {describe, expect, it} from '@jest/globals';
import {modelGateway, modelRoute} from '../../test/objects.ts';
import type {LabelSelector, ModelGateway, ModelRoute, ModelRouteSpec} from '../api/generated.ts';
import {attachRefusal, type AttachContext} from './attach.ts';

const from = (namespace: string, spec: Partial<ModelRouteSpec> = {}): ModelRoute =>
  modelRoute({namespace}, {gatewayRef: {name: 'models', namespace: 'team-a'}, ...spec});

const selecting = (selector: LabelSelector): ModelGateway =>
  modelGateway({}, {allowedRoutes: {namespaces: {from: 'Selector', selector}}});

const all = {namespaces: {from: 'All'}} as const;

describe('a route', () => {
  const cases: Record<
    string,
    {route: ModelRoute; gateway?: ModelGateway; context?: AttachContext; reason?: string; path?: (string | number)[]}
  > = {
    "attaches to its namespace's own gateway that nobody wrote": {route: modelRoute()},
    "attaches to its namespace's own gateway by name": {route: modelRoute({}, {gatewayRef: {name: 'models'}})},
    'does not attach to another gateway that nobody wrote': {
      route: modelRoute({}, {gatewayRef: {name: 'shared'}}),
      reason: 'GatewayNotFound',
      path: ['spec', 'gatewayRef', 'name'],
    },
    'does not attach to a gateway of another namespace that nobody wrote': {
      route: from('team-b'),
      reason: 'GatewayNotFound',
    },
    'attaches to a gateway of its namespace': {route: from('team-a'), gateway: modelGateway()},
    'does not attach across namespaces unless allowed': {
      route: from('team-b'),
      gateway: modelGateway(),
      reason: 'NotAllowedByGateway',
      path: ['spec', 'gatewayRef', 'namespace'],
    },
    'attaches across namespaces if allowed': {route: from('team-b'), gateway: modelGateway({}, {allowedRoutes: all})},
    'attaches if its namespace has the labels': {
      route: from('team-b'),
      gateway: selecting({matchLabels: {team: 'red'}}),
      context: {namespaceLabels: new Map([['team-b', {team: 'red'}]])},
    },
    'attaches by the name of its namespace where labels are not known': {
      route: from('team-b'),
      gateway: selecting({matchLabels: {'kubernetes.io/metadata.name': 'team-b'}}),
    },
    'attaches to a selector without requirements': {route: from('team-b'), gateway: selecting({})},
    'does not attach if its namespace has other labels': {
      route: from('team-b'),
      gateway: selecting({matchLabels: {team: 'red'}}),
      context: {namespaceLabels: new Map([['team-b', {team: 'blue'}]])},
      reason: 'NotAllowedByGateway',
      path: ['spec', 'gatewayRef', 'namespace'],
    },
    'does not attach inside a namespace that the selector leaves out': {
      route: from('team-a'),
      gateway: selecting({matchLabels: {team: 'red'}}),
      reason: 'NotAllowedByGateway',
    },
    'goes to the default gateway without a gatewayRef': {
      route: modelRoute({namespace: 'team-b'}),
      gateway: modelGateway({}, {allowedRoutes: all}),
      context: {defaultGateway: {namespace: 'team-a', name: 'models'}},
    },
    'does not attach to a default gateway that nobody wrote': {
      route: modelRoute(),
      context: {defaultGateway: {namespace: 'team-a', name: 'models'}},
      reason: 'GatewayNotFound',
      path: ['spec', 'gatewayRef'],
    },
    "attaches to its namespace's own gateway by name beside a default one": {
      route: modelRoute({}, {gatewayRef: {name: 'models'}}),
      context: {defaultGateway: {namespace: 'platform', name: 'shared'}},
    },
    'does not attach to where nobody looks': {
      route: from('team-b'),
      context: {watchedNamespaces: ['team-b']},
      reason: 'RefNotPermitted',
      path: ['spec', 'gatewayRef', 'namespace'],
    },
    'attaches with a name that is allowed': {
      route: from('team-a', {modelNames: ['gpt-4', 'gpt-5*']}),
      gateway: modelGateway({}, {allowedRoutes: {modelNames: ['gpt-*']}}),
    },
    'does not attach with a name that is not': {
      route: from('team-a', {modelNames: ['gpt-4', 'llama']}),
      gateway: modelGateway({}, {allowedRoutes: {modelNames: ['gpt-*']}}),
      reason: 'NotAllowedByGateway',
      path: ['spec', 'modelNames', 1],
    },
    'does not attach with its own name if that is not allowed': {
      route: from('team-a'),
      gateway: modelGateway({}, {allowedRoutes: {modelNames: ['gpt-*']}}),
      reason: 'NotAllowedByGateway',
      path: ['metadata', 'name'],
    },
  };
  it.each(Object.entries(cases))('%s', (_, {route, gateway, context = {}, reason, path}) => {
    const refusal = attachRefusal(route, gateway, context);
    expect(refusal?.reason).toBe(reason);
    if (path !== undefined) expect(refusal?.path).toEqual(path);
  });

  const shared = {namespace: 'platform', name: 'shared'};
  type Told = {route: ModelRoute; gateway?: ModelGateway; context?: AttachContext; message: string};
  const told: Record<string, Told> = {
    'a default gateway is missing': {
      route: modelRoute(),
      context: {defaultGateway: shared},
      message:
        'there is no ModelGateway platform/shared, which routes without gatewayRef go to: add it, or name another in spec.gatewayRef',
    },
    'its gateway is missing beside a default one': {
      route: from('team-b'),
      context: {defaultGateway: shared},
      message: 'there is no ModelGateway team-a/models: add one, or remove gatewayRef to use platform/shared',
    },
    'its gateway is where nobody looks': {
      route: from('team-b'),
      context: {watchedNamespaces: ['team-b', 'team-c']},
      message:
        'ModelGateway team-a/models is in a namespace that this operator does not watch: use one of team-b, team-c, or remove gatewayRef',
    },
    'the selector leaves out its namespace': {
      route: from('team-b'),
      gateway: selecting({matchLabels: {team: 'red'}}),
      message:
        'ModelGateway team-a/models takes no routes of namespace team-b: ' +
        'give the namespace labels that its spec.allowedRoutes.namespaces.selector matches, or remove gatewayRef',
    },
    'the default gateway leaves out its namespace': {
      route: modelRoute({namespace: 'team-b'}),
      gateway: modelGateway(),
      context: {defaultGateway: {namespace: 'team-a', name: 'models'}},
      message:
        'ModelGateway team-a/models takes no routes of namespace team-b: ' +
        'set its spec.allowedRoutes.namespaces.from to All, or name another in spec.gatewayRef',
    },
  };
  it.each(Object.entries(told))('is told what to do if %s', (_, {route, gateway, context = {}, message}) => {
    expect(attachRefusal(route, gateway, context)?.message).toBe(message);
  });
});
