import {describe, expect, it} from '@jest/globals';
import type {EndpointSlice} from '../config/endpoint.ts';
import {joinSlices} from './endpoint-slices.ts';

type Conditions = EndpointSlice['endpoints'][number];

const endpoint = (address: string, conditions: Partial<Conditions> = {}): Conditions => ({
  addresses: [address],
  ...conditions,
});

const slice = (endpoints: Conditions[], fields: Partial<EndpointSlice> = {}): EndpointSlice => ({
  namespace: 'team-a',
  serviceName: 'vllm',
  addressType: 'IPv4',
  ports: [{name: 'http', port: 8000}],
  endpoints,
  ...fields,
});

/** `address:port` of each endpoint, and `!` if it is a last resort; undefined: the Service port is not known. */
const joined = (slices: EndpointSlice[], key = 'team-a/vllm:http'): string[] | undefined =>
  joinSlices(slices)
    .get(key)
    ?.map(({address, port, lastResort}) => `${address}:${port}${lastResort === true ? '!' : ''}`);

describe('the endpoints of a Service', () => {
  it.each<[string, EndpointSlice[], string[]]>([
    [
      'of all its slices',
      [slice([endpoint('10.0.0.1')]), slice([endpoint('10.0.0.2'), endpoint('10.0.0.3')])],
      ['10.0.0.1:8000', '10.0.0.2:8000', '10.0.0.3:8000'],
    ],
    [
      'once each, also where two slices hold one while it moves',
      [slice([endpoint('10.0.0.1')]), slice([endpoint('10.0.0.1'), endpoint('10.0.0.2')])],
      ['10.0.0.1:8000', '10.0.0.2:8000'],
    ],
    [
      'on every port that a slice gives the name',
      [slice([endpoint('10.0.0.1')]), slice([endpoint('10.0.0.1')], {ports: [{name: 'http', port: 8001}]})],
      ['10.0.0.1:8000', '10.0.0.1:8001'],
    ],
    ['ready where nothing is said', [slice([endpoint('10.0.0.1')])], ['10.0.0.1:8000']],
    [
      'not those that are not ready',
      [slice([endpoint('10.0.0.1', {ready: false}), endpoint('10.0.0.2', {ready: true})])],
      ['10.0.0.2:8000'],
    ],
    [
      'not those that terminate, while one is ready',
      [slice([endpoint('10.0.0.1', {ready: false, serving: true, terminating: true}), endpoint('10.0.0.2')])],
      ['10.0.0.2:8000'],
    ],
    [
      'not one that terminates and is called ready, as publishNotReadyAddresses does it',
      [slice([endpoint('10.0.0.1', {ready: true, serving: true, terminating: true}), endpoint('10.0.0.2')])],
      ['10.0.0.2:8000'],
    ],
    [
      'those that serve and terminate, where none is ready',
      [
        slice([
          endpoint('10.0.0.1', {ready: false, serving: true, terminating: true}),
          endpoint('10.0.0.2', {ready: false, serving: false, terminating: true}),
          endpoint('10.0.0.3', {ready: false, serving: false}),
          endpoint('10.0.0.4', {ready: false, terminating: true}),
        ]),
      ],
      ['10.0.0.1:8000'],
    ],
    [
      'ready by one slice though another one lags behind',
      [slice([endpoint('10.0.0.1', {ready: false})]), slice([endpoint('10.0.0.1', {ready: true})])],
      ['10.0.0.1:8000'],
    ],
    [
      'those that are not ready, as a last resort, where none serves',
      [
        slice([endpoint('10.0.0.1', {ready: false}), endpoint('10.0.0.2', {ready: false, serving: false})]),
        slice([endpoint('10.0.0.3', {ready: false, serving: false, terminating: false})]),
      ],
      ['10.0.0.1:8000!', '10.0.0.2:8000!', '10.0.0.3:8000!'],
    ],
    [
      'not those that are not ready, while one still serves by another slice',
      [
        slice([endpoint('10.0.0.1', {ready: false, serving: false})]),
        slice([endpoint('10.0.0.2', {ready: false, serving: true, terminating: true})]),
      ],
      ['10.0.0.2:8000'],
    ],
    [
      'none where all terminate and none serves',
      [slice([endpoint('10.0.0.1', {ready: false, serving: false, terminating: true})])],
      [],
    ],
    ['none where a slice is empty', [slice([])], []],
    ['the first of several addresses of one', [slice([{addresses: ['10.0.0.1', '10.0.0.9']}])], ['10.0.0.1:8000']],
    ['not one without an address', [slice([{addresses: []}])], []],
    [
      'of one address family, the first',
      [
        slice([endpoint('10.0.0.1')]),
        slice([endpoint('fd00::1')], {addressType: 'IPv6'}),
        slice([endpoint('10.0.0.2')]),
      ],
      ['10.0.0.1:8000', '10.0.0.2:8000'],
    ],
    [
      'of IPv6 where that is the first',
      [slice([endpoint('fd00::1')], {addressType: 'IPv6'}), slice([endpoint('10.0.0.1')])],
      ['fd00::1:8000'],
    ],
  ])('are those %s', (_, slices, expected) => {
    expect(joined(slices)).toEqual(expected);
  });

  it('are kept apart by port', () => {
    const ports = [
      {name: 'http', port: 8000},
      {name: 'metrics', port: 9090},
    ];
    const slices = [slice([endpoint('10.0.0.1')], {ports})];
    expect(joined(slices)).toEqual(['10.0.0.1:8000']);
    expect(joined(slices, 'team-a/vllm:metrics')).toEqual(['10.0.0.1:9090']);
  });

  it('are a last resort on one port though ready on another', () => {
    const other = {ports: [{name: 'metrics', port: 9090}]};
    const slices = [slice([endpoint('10.0.0.1', {ready: false})]), slice([endpoint('10.0.0.1')], other)];
    expect(joined(slices)).toEqual(['10.0.0.1:8000!']);
    expect(joined(slices, 'team-a/vllm:metrics')).toEqual(['10.0.0.1:9090']);
  });

  it('are kept under the empty name where the port has none', () => {
    expect(joined([slice([endpoint('10.0.0.1')], {ports: [{name: '', port: 80}]})], 'team-a/vllm:')).toEqual([
      '10.0.0.1:80',
    ]);
  });

  it('are kept apart by Service and namespace, each with its own family', () => {
    const slices = [
      slice([endpoint('10.0.0.1')]),
      slice([endpoint('fd00::2')], {serviceName: 'ollama', addressType: 'IPv6'}),
      slice([endpoint('10.0.0.3')], {namespace: 'team-b'}),
    ];
    expect(joined(slices)).toEqual(['10.0.0.1:8000']);
    expect(joined(slices, 'team-a/ollama:http')).toEqual(['fd00::2:8000']);
    expect(joined(slices, 'team-b/vllm:http')).toEqual(['10.0.0.3:8000']);
  });

  it('are unknown, not none, without a slice', () => {
    expect(joined([], 'team-a/vllm:http')).toBeUndefined();
    expect(joined([slice([])], 'team-a/other:http')).toBeUndefined();
  });

  it.each<[string, EndpointSlice['addressType'], string[] | undefined]>([
    ['the second one', 'IPv6', ['fd00::1:8000']],
    ['the first one', 'IPv4', ['10.0.0.1:8000']],
    ['one of which there is no slice', 'FQDN', undefined],
  ])('are of the family that is asked for, be it %s', (_, family, expected) => {
    const slices = [slice([endpoint('10.0.0.1')]), slice([endpoint('fd00::1')], {addressType: 'IPv6'})];
    const table = joinSlices(slices, ({namespace, serviceName}) =>
      `${namespace}/${serviceName}` === 'team-a/vllm' ? family : undefined,
    );
    expect(table.get('team-a/vllm:http')?.map(({address, port}) => `${address}:${port}`)).toEqual(expected);
  });

  it('keep the zones that they are meant for', () => {
    const slices = [slice([endpoint('10.0.0.1', {zone: 'eu-1a', hintZones: ['eu-1a', 'eu-1b']})])];
    expect(joinSlices(slices).get('team-a/vllm:http')).toEqual([
      {address: '10.0.0.1', port: 8000, zone: 'eu-1a', zones: ['eu-1a', 'eu-1b']},
    ]);
  });

  it('keep their zone', () => {
    const [one, two] = joinSlices([slice([endpoint('10.0.0.1', {zone: 'eu-1a'}), endpoint('10.0.0.2')])]).get(
      'team-a/vllm:http',
    )!;
    expect(one).toEqual({address: '10.0.0.1', port: 8000, zone: 'eu-1a'});
    expect(two).toEqual({address: '10.0.0.2', port: 8000});
  });
});
