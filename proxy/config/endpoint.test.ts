import {describe, expect, it} from '@jest/globals';
import {isReadyEndpoint, serviceKey} from './endpoint.ts';

describe('the key of a Service port', () => {
  it('tells namespaces, Services and ports apart', () => {
    const keys = [
      serviceKey({namespace: 'a', name: 'b', portName: 'c'}),
      serviceKey({namespace: 'a', name: 'b', portName: ''}),
      serviceKey({namespace: 'a', name: 'c', portName: 'c'}),
      serviceKey({namespace: 'b', name: 'b', portName: 'c'}),
    ];
    expect(new Set(keys).size).toBe(4);
  });
});

describe('an endpoint', () => {
  it.each([
    ['is ready if nothing is said', {}, true],
    ['is ready if it says so', {ready: true, serving: true, terminating: false}, true],
    ['is not if it says so', {ready: false}, false],
    ['is not while it goes', {ready: true, terminating: true}, false],
  ])('%s', (_, conditions, expected) => {
    expect(isReadyEndpoint({addresses: ['10.0.0.1'], ...conditions})).toBe(expected);
  });
});
