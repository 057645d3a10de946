import {describe, expect, it} from '@jest/globals';
import {modelGateway, modelRoute, urlBackend} from '../../test/objects.ts';
import type {Resource} from '../api/generated.ts';
import {unsupportedIn} from './unsupported.ts';

describe('what this version does not act on', () => {
  const cases: Record<string, {object: Resource; fields: string[]}> = {
    'is nothing in a plain route': {object: modelRoute(), fields: []},
    'is nothing where fields say what happens anyway': {
      object: modelRoute(
        {},
        {backends: [urlBackend({api: 'Anthropic', tls: {}, continueBy: 'Regenerate'})], stream: {onCut: 'Error'}},
      ),
      fields: [],
    },
    'is in each backend': {
      object: modelRoute(
        {},
        {
          backends: [urlBackend(), urlBackend({name: 'b', continueBy: 'Prefill'})],
        },
      ),
      fields: ['spec.backends.1.continueBy'],
    },
    'is in the stream of a route': {
      object: modelRoute({}, {stream: {onCut: 'Continue'}}),
      fields: ['spec.stream.onCut'],
    },
    'is nothing in a gateway that says what happens anyway': {
      object: modelGateway(
        {},
        {
          logging: {level: 'Info', prompts: false},
          tracing: {samplePercent: 5},
          allowedRoutes: {namespaces: {from: 'Selector', selector: {}}},
        },
      ),
      fields: [],
    },
    'is in a gateway': {
      object: modelGateway(
        {},
        {
          defaults: {stream: {onCut: 'Continue'}},
          logging: {prompts: true},
          tracing: {endpoint: 'http://collector:4318'},
        },
      ),
      fields: ['spec.defaults.stream.onCut', 'spec.logging.prompts', 'spec.tracing.endpoint'],
    },
  };
  it.each(Object.entries(cases))('%s', (_, {object, fields}) => {
    expect(unsupportedIn(object).map(({path}) => path.join('.'))).toEqual(fields);
  });

  it('is told with what to write instead', () => {
    const route = modelRoute({}, {stream: {onCut: 'Continue'}});
    expect(unsupportedIn(route)).toEqual([
      {
        object: {kind: 'ModelRoute', namespace: 'team-a', name: 'chat'},
        path: ['spec', 'stream', 'onCut'],
        reason: 'UnsupportedValue',
        message: '"Continue" is not supported yet: use Error, or remove it',
        excludes: 'Route',
      },
    ]);
  });
});
