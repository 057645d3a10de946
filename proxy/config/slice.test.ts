import {describe, expect, it} from '@jest/globals';
import {endpointSlice} from '../../test/cluster-objects.ts';
import {readSlice} from './slice.ts';

const plain = {
  namespace: 'team-a',
  serviceName: 'vllm',
  addressType: 'IPv4',
  ports: [{name: 'http', port: 8_000}],
  endpoints: [{addresses: ['10.0.0.1']}],
};
const object = {...endpointSlice({addressType: 'IPv4', endpoints: [{address: '10.0.0.1'}]})};
const [endpoint] = object.endpoints;

describe('an EndpointSlice', () => {
  it.each<[string, object, object]>([
    ['as it is', object, plain],
    ['with fields that nobody here knows', {...object, added: 1, endpoints: [{...endpoint, nodeName: 'n'}]}, plain],
    [
      'with all that matters of an endpoint',
      {
        ...object,
        endpoints: [
          {
            ...endpoint,
            zone: 'a',
            conditions: {ready: false, serving: true, terminating: true},
            hints: {forZones: [{name: 'a'}, {name: 'b'}]},
          },
        ],
      },
      {
        ...plain,
        endpoints: [
          {
            addresses: ['10.0.0.1'],
            zone: 'a',
            hintZones: ['a', 'b'],
            ready: false,
            serving: true,
            terminating: true,
          },
        ],
      },
    ],
    [
      'with null where there is nothing',
      {...object, ports: null, endpoints: null},
      {...plain, ports: [], endpoints: []},
    ],
    [
      'with conditions, zone and hints that are null',
      {...object, endpoints: [{...endpoint, conditions: {ready: null}, zone: null, hints: null}]},
      plain,
    ],
    [
      'with a port without a name',
      {...object, ports: [{name: '', port: 80}]},
      {...plain, ports: [{name: '', port: 80}]},
    ],
    [
      'with ports that no request can go to',
      {...object, ports: [{name: 'dns', port: 53, protocol: 'UDP'}, {name: 'any', port: null}, ...object.ports]},
      plain,
    ],
  ])('is read %s', (_, value, slice) => {
    expect(readSlice(value)).toEqual({slice});
  });

  it.each<[string, unknown, RegExp]>([
    ['no object', null, /object/],
    ['no label', {...object, metadata: {name: 'a', namespace: 'team-a'}}, /metadata\.labels/],
    ['an unknown kind of address', {...object, addressType: 'IPX'}, /addressType/],
    ['endpoints without addresses', {...object, endpoints: [{}]}, /endpoints\.0\.addresses/],
  ])('is not read with %s', (_, value, problem) => {
    expect(readSlice(value)).toEqual({problem: expect.stringMatching(problem)});
  });
});
