import {describe, expect, it} from '@jest/globals';
import {modelGateway, modelRoute} from '../../test/objects.ts';
import type {ModelGateway, ModelRoute} from '../api/generated.ts';
import {gatewayNames} from './gateway-of.ts';
import {nameText} from './metadata.ts';

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
