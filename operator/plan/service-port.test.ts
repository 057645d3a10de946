import {describe, expect, it} from '@jest/globals';
import {service, slice} from '../../test/objects.ts';
import type {EndpointSlice} from '../../proxy/config/endpoint.ts';
import {resolvePort} from './service-port.ts';
import type {ServiceValue} from './world.ts';

const two = [
  {name: 'http', port: 8000},
  {name: 'metrics', port: 9000},
];

describe('the port of a Service that is known by its slices', () => {
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
    expect(resolvePort({name: 'vllm', port}, 'team-a', {slices})).toEqual(expected);
  });
});

describe('the port of a Service in a cluster', () => {
  const cases: Record<string, {services: ServiceValue[]; port?: number; expected: object}> = {
    'is the one of its number, with the family of the Service': {
      services: [service({ports: two, ipFamily: 'IPv6'})],
      port: 9000,
      expected: {portName: 'metrics', ipFamily: 'IPv6'},
    },
    'may have no name': {services: [service({ports: [{name: '', port: 8000}]})], expected: {portName: ''}},
    'is not that of its pods': {
      services: [service({ports: [{name: 'http', port: 80}]})],
      expected: {
        fault: {
          path: ['serviceRef', 'port'],
          reason: 'PortNotFound',
          message: 'Service team-a/vllm has no port 8000: use one of 80',
        },
      },
    },
    'is unknown if there are others': {
      services: [service({ports: two})],
      port: 80,
      expected: {
        fault: expect.objectContaining({message: 'Service team-a/vllm has no port 80: use one of 8000, 9000'}),
      },
    },
    'is unknown if there is none': {
      services: [service({ports: []})],
      expected: {fault: expect.objectContaining({message: 'Service team-a/vllm has no port 8000: it has none'})},
    },
    'is unknown without the Service, whatever slices there are': {
      services: [service({name: 'other'}), service({namespace: 'team-b'})],
      expected: {
        fault: {
          path: ['serviceRef', 'name'],
          reason: 'BackendNotFound',
          message: 'there is no Service team-a/vllm: add it, name another one, or use url',
        },
      },
    },
    'does not exist if the Service is but another name': {
      services: [service({type: 'ExternalName'})],
      expected: {
        fault: {
          path: ['serviceRef', 'name'],
          reason: 'Invalid',
          message: 'Service team-a/vllm is of type ExternalName, which has no pods: use url with its external name',
        },
      },
    },
    'is that of the Service, without endpoints too': {services: [service()], expected: {portName: 'http'}},
  };
  it.each(Object.entries(cases))('%s', (_, {services, port = 8000, expected}) => {
    expect(resolvePort({name: 'vllm', port}, 'team-a', {services, slices: [slice()]})).toEqual(expected);
  });
});
