import {describe, expect, it} from '@jest/globals';
import {modelGateway, modelRoute} from '../../test/objects.ts';
import type {ModelGateway, ModelRoute, ModelRouteSpec} from '../api/generated.ts';
import {attachRefusal} from './attach.ts';

const from = (namespace: string, spec: Partial<ModelRouteSpec> = {}): ModelRoute =>
  modelRoute({namespace}, {gatewayRef: {name: 'models', namespace: 'team-a'}, ...spec});

const all = {namespaces: {from: 'All'}} as const;

describe('a route', () => {
  const cases: Record<
    string,
    {route: ModelRoute; gateway?: ModelGateway; reason?: string; path?: (string | number)[]}
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
    'waits for labels to be known where a selector decides': {
      route: from('team-b'),
      gateway: modelGateway({}, {allowedRoutes: {namespaces: {from: 'Selector', selector: {}}}}),
      reason: 'UnsupportedValue',
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
  it.each(Object.entries(cases))('%s', (_, {route, gateway, reason, path}) => {
    const refusal = attachRefusal(route, gateway);
    expect(refusal?.reason).toBe(reason);
    if (path !== undefined) expect(refusal?.path).toEqual(path);
  });
});
