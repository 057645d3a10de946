import {describe, expect, it} from '@jest/globals';
import {slice} from '../../test/objects.ts';
import {proxyAddresses, readSecretObject, readService} from './read-objects.ts';

const metadata = {name: 'vllm', namespace: 'team-a', uid: 'u', resourceVersion: '7'};

describe('a Service', () => {
  it('is read with its ports by name, and the first of its families', () => {
    const spec = {ports: [{name: 'http', port: 80, targetPort: 'web'}, {port: 81}], ipFamilies: ['IPv6', 'IPv4']};
    expect(readService({metadata, spec})).toEqual({
      namespace: 'team-a',
      name: 'vllm',
      type: 'ClusterIP',
      ports: [
        {name: 'http', port: 80},
        {name: '', port: 81},
      ],
      ipFamily: 'IPv6',
    });
  });

  it('whose port is open for UDP and TCP is read with the one that requests can go to', () => {
    const spec = {
      ports: [
        {name: 'h3', port: 443, protocol: 'UDP'},
        {name: 'https', port: 443, protocol: 'TCP'},
      ],
    };
    expect(readService({metadata, spec}).ports).toEqual([{name: 'https', port: 443}]);
  });

  it('without ports has none', () => {
    expect(readService({metadata, spec: {type: 'ExternalName', externalName: 'a.example'}})).toEqual({
      namespace: 'team-a',
      name: 'vllm',
      type: 'ExternalName',
      ports: [],
    });
  });

  it('of a form that is not known has none', () => {
    expect(readService({metadata, spec: {type: 'Tunnel', ports: 'all'}})).toMatchObject({type: 'ClusterIP', ports: []});
  });
});

describe('a Secret', () => {
  it('is read with its values decoded, and the version they are of', () => {
    expect(readSecretObject({metadata, data: {apiKey: Buffer.from('sk-ü').toString('base64')}})).toEqual({
      namespace: 'team-a',
      name: 'vllm',
      uid: 'u',
      resourceVersion: '7',
      values: {apiKey: 'sk-ü'},
    });
  });

  it('shows where a value is no text', () => {
    const {values} = readSecretObject({metadata, data: {apiKey: Buffer.from([0x73, 0xff, 0xfe]).toString('base64')}});
    expect(values['apiKey']).toBe('s\ufffd\ufffd');
  });

  it('without data has no values', () => {
    expect(readSecretObject({metadata}).values).toEqual({});
  });
});

describe("a gateway's proxies", () => {
  it('are the ready ones and those that are not, each once, without those that go', () => {
    const endpoints = [
      {addresses: ['10.0.0.1'], ready: true},
      {addresses: ['10.0.0.2'], ready: false},
      {addresses: ['10.0.0.3'], ready: false, serving: true, terminating: true},
      {addresses: ['10.0.0.4']},
    ];
    expect(proxyAddresses([slice({endpoints}), slice({endpoints: [{addresses: ['10.0.0.1'], ready: true}]})])).toEqual({
      ready: ['10.0.0.1', '10.0.0.4'],
      all: ['10.0.0.1', '10.0.0.2', '10.0.0.4'],
    });
  });

  it('have one address each where the Service has two families', () => {
    const six = slice({addressType: 'IPv6', endpoints: [{addresses: ['fd00::1']}]});
    expect(proxyAddresses([six, slice()]).all).toEqual(['10.0.0.1']);
    expect(proxyAddresses([six]).all).toEqual(['fd00::1']);
  });

  it('are none without slices', () => {
    expect(proxyAddresses([])).toEqual({ready: [], all: []});
  });
});
