import {describe, expect, it} from '@jest/globals';
import {modelGateway, modelRoute} from '../../test/objects.ts';
import type {ModelGateway, ModelRoute} from '../api/generated.ts';
import {gatewayNames, gatewayOf, isMadeOnDemand} from './gateway-of.ts';
import {nameText} from './metadata.ts';
import type {ObjectName} from './world.ts';

describe('the gateways of files', () => {
  const shared = {gatewayRef: {name: 'shared', namespace: 'platform'}};
  const cases: Record<string, {routes: ModelRoute[]; gateways?: ModelGateway[]; expected: string[]}> = {
    "are the namespace's own if no route says otherwise": {
      routes: [modelRoute(), modelRoute({name: 'b'})],
      expected: ['team-a/models'],
    },
    'are the one that all routes name': {
      routes: [modelRoute({}, shared), modelRoute({namespace: 'team-b'}, shared)],
      expected: ['platform/shared'],
    },
    'are in the namespace of the route if only a name is given': {
      routes: [modelRoute({}, {gatewayRef: {name: 'mine'}})],
      expected: ['team-a/mine'],
    },
    'are several if the routes name several': {
      routes: [modelRoute(), modelRoute({namespace: 'team-b'}), modelRoute({}, shared)],
      expected: ['team-a/models', 'team-b/models', 'platform/shared'],
    },
    'are the only one written if there is no route': {
      routes: [],
      gateways: [modelGateway({name: 'shared', namespace: 'platform'})],
      expected: ['platform/shared'],
    },
    'are that of the default namespace if there is nothing': {routes: [], expected: ['default/models']},
  };
  it.each(Object.entries(cases))('%s', (_, {routes, gateways = [], expected}) => {
    expect(gatewayNames(routes, gateways).map(nameText)).toEqual(expected);
  });
});

describe('the gateway of a route', () => {
  const shared = {namespace: 'platform', name: 'shared'};
  const own = {namespace: 'team-a', name: 'models'};
  const named = modelRoute({}, {gatewayRef: {name: 'mine'}});
  const namesOwn = modelRoute({}, {gatewayRef: {name: 'models'}});

  type Case = {route: ModelRoute; defaultGateway?: ObjectName; gateway: string; onDemand: boolean};
  const cases: Record<string, Case> = {
    "is its namespace's own": {route: modelRoute(), gateway: 'team-a/models', onDemand: true},
    'is the default one': {
      route: modelRoute(),
      defaultGateway: shared,
      gateway: 'platform/shared',
      onDemand: false,
    },
    'is the one that it names': {route: named, gateway: 'team-a/mine', onDemand: false},
    'is the one that it names, whatever the default': {
      route: named,
      defaultGateway: shared,
      gateway: 'team-a/mine',
      onDemand: false,
    },
    "is its namespace's own by name, whatever the default": {
      route: namesOwn,
      defaultGateway: shared,
      gateway: 'team-a/models',
      onDemand: true,
    },
    "is not made on demand if it is everybody's": {
      route: modelRoute(),
      defaultGateway: own,
      gateway: 'team-a/models',
      onDemand: false,
    },
    "is not made on demand if it is everybody's, by name either": {
      route: namesOwn,
      defaultGateway: own,
      gateway: 'team-a/models',
      onDemand: false,
    },
    'is not made on demand in another namespace': {
      route: modelRoute({namespace: 'team-b'}, {gatewayRef: own}),
      gateway: 'team-a/models',
      onDemand: false,
    },
  };
  it.each(Object.entries(cases))('%s', (_, {route, defaultGateway, gateway, onDemand}) => {
    expect(nameText(gatewayOf(route, defaultGateway))).toBe(gateway);
    expect(isMadeOnDemand(route, defaultGateway)).toBe(onDemand);
  });
});
