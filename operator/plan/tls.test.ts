import {describe, expect, it} from '@jest/globals';
import {secret, urlBackend} from '../../test/objects.ts';
import type {Backend, BackendTls} from '../api/generated.ts';
import {resolveTls} from './tls.ts';
import type {SecretValue, World} from './world.ts';

const ca = secret({name: 'ca', uid: 'uid-ca', values: {'ca.crt': 'CA', other: 'OTHER'}});
const client = secret({name: 'client', uid: 'uid-client', values: {'tls.crt': 'CERT', 'tls.key': 'KEY'}});

const resolve = (
  tls: BackendTls,
  {
    secrets = [ca, client],
    backend = {},
    faultsInTls,
  }: {
    secrets?: SecretValue[];
    backend?: Partial<Backend>;
    faultsInTls?: World['faultsInTls'];
  } = {},
) => resolveTls({...urlBackend(backend), tls}, {namespace: 'team-a', secrets, ...(faultsInTls && {faultsInTls})});

const name = (secretName: string, key: string) => ({
  namespace: 'team-a',
  name: secretName,
  key,
  uid: `uid-${secretName}`,
  resourceVersion: '7',
});

describe('TLS to a backend', () => {
  it.each<[string, BackendTls, Partial<Backend>, string]>([
    ['the host of its URL', {}, {url: 'https://api.example:8443/v1'}, 'api.example'],
    ['the address in its URL', {}, {url: 'https://[::1]:8443/v1'}, '::1'],
    ['what serverName says', {serverName: 'b.example'}, {url: 'https://api.example/v1'}, 'b.example'],
  ])('expects %s', (_, tls, backend, serverName) => {
    expect(resolve(tls, {backend})).toEqual({config: {tls: {serverName}}, credentials: [], faults: []});
  });

  it('expects the name of its Service in the cluster', () => {
    const backend = {name: 'a', serviceRef: {name: 'vllm', port: 8443}, tls: {}};
    expect(resolveTls(backend, {namespace: 'team-a', secrets: []}).config).toEqual({
      tls: {serverName: 'vllm.team-a.svc'},
    });
  });

  it('takes certificates and keys by name, under the keys that cert-manager writes', () => {
    expect(resolve({caRef: {name: 'ca'}, clientCertRef: {name: 'client'}})).toEqual({
      config: {
        tls: {
          serverName: 'a.example',
          ca: name('ca', 'ca.crt'),
          cert: name('client', 'tls.crt'),
          key: name('client', 'tls.key'),
        },
      },
      credentials: [
        ['team-a/ca/uid-ca/7/ca.crt', 'CA'],
        ['team-a/client/uid-client/7/tls.crt', 'CERT'],
        ['team-a/client/uid-client/7/tls.key', 'KEY'],
      ],
      faults: [],
    });
  });

  it('takes the CA from the key that the route names', () => {
    expect(resolve({caRef: {name: 'ca', key: 'other'}})).toMatchObject({
      credentials: [['team-a/ca/uid-ca/7/other', 'OTHER']],
    });
  });

  it.each<[string, BackendTls, SecretValue[], string[]]>([
    [
      'Secrets that are not there',
      {caRef: {name: 'ca'}, clientCertRef: {name: 'client'}},
      [],
      [
        'tls.caRef.name SecretNotFound there is no Secret team-a/ca: add it with the key "ca.crt"',
        'tls.clientCertRef.name SecretNotFound there is no Secret team-a/client: add it, of type kubernetes.io/tls',
      ],
    ],
    [
      'a CA under another key',
      {caRef: {name: 'client'}},
      [client],
      [
        'tls.caRef.key SecretKeyNotFound Secret team-a/client has no key "ca.crt" (it has tls.crt, tls.key): add it, or name another key',
      ],
    ],
    [
      'half a client certificate',
      {clientCertRef: {name: 'client'}},
      [secret({name: 'client', values: {'tls.crt': 'CERT'}})],
      [
        'tls.clientCertRef.name SecretKeyNotFound Secret team-a/client has no key "tls.key" (it has tls.crt): add it, or name another Secret',
      ],
    ],
    [
      'bytes that are no text',
      {caRef: {name: 'ca'}},
      [secret({name: 'ca', values: {'ca.crt': '\u0000\uFFFD'}})],
      [
        'tls.caRef.key Invalid key "ca.crt" of Secret team-a/ca holds bytes that are not text: put the certificates to trust there as text',
      ],
    ],
    [
      'nothing in it',
      {caRef: {name: 'ca'}},
      [secret({name: 'ca', values: {'ca.crt': '\n'}})],
      [
        'tls.caRef.key SecretKeyNotFound key "ca.crt" of Secret team-a/ca is empty: put the certificates to trust there',
      ],
    ],
  ])('is refused with %s', (_, tls, secrets, expected) => {
    const {faults} = resolve(tls, {secrets});
    expect(faults.map(({path, reason, message}) => `${path.join('.')} ${reason} ${message}`)).toEqual(expected);
  });

  it('is refused with what cannot be read as certificates and keys', () => {
    const faultsInTls: World['faultsInTls'] = (material) => {
      expect(material).toEqual({ca: 'CA', cert: 'CERT', key: 'KEY'});
      return [
        {part: 'ca', problem: 'is wrong'},
        {part: 'key', problem: 'does not belong'},
      ];
    };
    const {faults} = resolve({caRef: {name: 'ca'}, clientCertRef: {name: 'client'}}, {faultsInTls});
    expect(faults).toEqual([
      {path: ['tls', 'caRef', 'key'], reason: 'Invalid', message: 'key "ca.crt" of Secret team-a/ca is wrong'},
      {
        path: ['tls', 'clientCertRef', 'name'],
        reason: 'Invalid',
        message: 'key "tls.key" of Secret team-a/client does not belong',
      },
    ]);
  });
});
