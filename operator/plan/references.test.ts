import {describe, expect, it} from '@jest/globals';
import {modelRoute, urlBackend} from '../../test/objects.ts';
import {referencesOf} from './references.ts';

describe('what a route refers to', () => {
  it('is nothing for an outside URL without credentials', () => {
    expect(referencesOf(modelRoute())).toEqual({secrets: [], services: []});
  });

  it('is each Service and Secret once, by namespace and name', () => {
    const backends = [
      {name: 'a', serviceRef: {name: 'vllm', port: 8000}, auth: {secretRef: {name: 'keys'}}},
      {name: 'b', serviceRef: {name: 'vllm', port: 8001}, tls: {caRef: {name: 'ca'}, clientCertRef: {name: 'client'}}},
      urlBackend({name: 'c', auth: {secretRef: {name: 'keys', key: 'other'}}}),
    ];
    expect(referencesOf(modelRoute({namespace: 'team-b'}, {backends}))).toEqual({
      secrets: ['team-b/keys', 'team-b/ca', 'team-b/client'],
      services: ['team-b/vllm'],
    });
  });
});
