import {describe, expect, it} from '@jest/globals';
import {slice} from '../../test/objects.ts';
import type {EndpointSlice} from '../../proxy/config/endpoint.ts';
import type {BackendTarget} from '../../proxy/config/schema.ts';
import {countAddresses, countEndpoints, slicesByService} from './endpoint-counts.ts';

const target = (fields: {portName?: string; ipFamily?: 'IPv4' | 'IPv6'} = {}): BackendTarget => ({
  type: 'Service',
  namespace: 'team-a',
  name: 'vllm',
  portName: 'http',
  path: '/v1',
  ...fields,
});

const at = (address: string, conditions: Partial<EndpointSlice['endpoints'][number]> = {}) => ({
  addresses: [address],
  ...conditions,
});

const two = [
  {name: 'http', port: 8000},
  {name: 'metrics', port: 9000},
];

describe('the endpoints of a Service', () => {
  const cases: Record<string, {slices: EndpointSlice[]; target?: BackendTarget; known: number; ready: number}> = {
    'are none without slices': {slices: [], known: 0, ready: 0},
    'are none of another Service': {slices: [slice({serviceName: 'other'})], known: 0, ready: 0},
    'are none of another namespace': {slices: [slice({namespace: 'team-b'})], known: 0, ready: 0},
    'are none of another port': {slices: [slice()], target: target({portName: 'grpc'}), known: 0, ready: 0},
    'are ready unless they say otherwise, and not while they go': {
      slices: [
        slice({
          endpoints: [
            at('10.0.0.1'),
            at('10.0.0.2', {ready: true}),
            at('10.0.0.3', {ready: false}),
            at('10.0.0.4', {ready: true, terminating: true}),
          ],
        }),
      ],
      known: 4,
      ready: 2,
    },
    'are those of one port': {slices: [slice({ports: two})], known: 1, ready: 1},
    'count once in several slices, ready if one says so': {
      slices: [
        slice({endpoints: [at('10.0.0.1', {ready: false}), at('10.0.0.2')]}),
        slice({endpoints: [at('10.0.0.1'), at('10.0.0.2', {ready: false})]}),
      ],
      known: 2,
      ready: 2,
    },
    'count once for each port of the name': {
      slices: [slice(), slice({ports: [{name: 'http', port: 8001}]})],
      known: 2,
      ready: 2,
    },
    'are those of its family': {
      slices: [slice(), slice({addressType: 'IPv6', endpoints: [at('fd00::1'), at('fd00::2')]})],
      target: target({ipFamily: 'IPv6'}),
      known: 2,
      ready: 2,
    },
    'are those of the first family if none is said': {
      slices: [slice(), slice({addressType: 'IPv6', endpoints: [at('fd00::1'), at('fd00::2')]})],
      known: 1,
      ready: 1,
    },
    'are one of a URL': {
      slices: [],
      target: {type: 'Url', url: 'https://a.example'},
      known: 1,
      ready: 1,
    },
  };
  it.each(Object.entries(cases))('%s', (_, {slices, target: of = target(), known, ready}) => {
    expect(countEndpoints(of, slicesByService(slices))).toEqual({endpoints: known, readyEndpoints: ready});
  });

  it('are its addresses while its port is not known', () => {
    const slices = slicesByService([
      slice({ports: two, endpoints: [at('10.0.0.1'), at('10.0.0.2')]}),
      slice(),
      slice({addressType: 'IPv6', endpoints: [at('fd00::1')]}),
    ]);
    expect([countAddresses('team-a/vllm', slices), countAddresses('team-a/other', slices)]).toEqual([2, 0]);
  });
});
