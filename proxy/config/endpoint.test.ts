import {describe, expect, it} from '@jest/globals';
import {serviceKey} from './endpoint.ts';

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
