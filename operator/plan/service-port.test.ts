import {describe, expect, it} from '@jest/globals';
import {slice} from '../../test/objects.ts';
import type {EndpointSlice} from '../../proxy/config/endpoint.ts';
import {resolvePort} from './service-port.ts';

const two = [
  {name: 'http', port: 8000},
  {name: 'metrics', port: 9000},
];

describe('the port of a Service', () => {
  const cases: Record<string, {slices: EndpointSlice[]; port?: number; expected: object}> = {
    'is the one of its number': {slices: [slice({ports: two})], port: 9000, expected: {portName: 'metrics'}},
    'is the only one there is': {slices: [slice()], port: 80, expected: {portName: 'http'}},
    'may have no name': {slices: [slice({ports: [{name: '', port: 8000}]})], expected: {portName: ''}},
    'is the only name in several slices': {
      slices: [slice(), slice({ports: [{name: 'http', port: 8001}]})],
      port: 80,
      expected: {portName: 'http'},
    },
    'is unknown if there are several others': {
      slices: [slice({ports: two})],
      port: 80,
      expected: {
        fault: {
          path: ['serviceRef', 'port'],
          reason: 'PortNotFound',
          message: expect.stringMatching(/no port 80: use one of 8000, 9000$/),
        },
      },
    },
    'is unknown without slices': {
      slices: [],
      expected: {
        fault: {
          path: ['serviceRef', 'name'],
          reason: 'BackendNotFound',
          message: expect.stringMatching(/add an EndpointSlice .* or use url$/),
        },
      },
    },
    'is not that of a Service of the same name elsewhere': {
      slices: [slice({namespace: 'team-b'})],
      expected: {fault: expect.objectContaining({reason: 'BackendNotFound'})},
    },
  };
  it.each(Object.entries(cases))('%s', (_, {slices, port = 8000, expected}) => {
    expect(resolvePort({name: 'vllm', port}, 'team-a', slices)).toEqual(expected);
  });
});
