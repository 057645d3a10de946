import {generateKeyPairSync} from 'node:crypto';
import {describe, expect, it} from '@jest/globals';
import {createCa, createCertificate} from '../../test/proxy/certificates.ts';
import type {TlsMaterial} from '../config/schema.ts';
import {faultsInTls, toTlsSettings} from './tls-settings.ts';

const ca = createCa();
const {cert, key} = createCertificate('client', {issuer: ca});
const unreadable = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';

const keyWithPassphrase = generateKeyPairSync('ec', {namedCurve: 'P-256'}).privateKey.export({
  type: 'pkcs8',
  format: 'pem',
  cipher: 'aes-256-cbc',
  passphrase: 'x',
});
const weak = createCertificate('weak', {issuer: ca, keys: generateKeyPairSync('rsa', {modulusLength: 512})});

describe('certificates and keys', () => {
  it.each<[string, TlsMaterial]>([
    ['none', {}],
    ['a CA', {ca: ca.cert}],
    ['several CAs with words between them', {ca: `first\n${ca.cert}second\n${createCa('Other').cert}`}],
    ['a client certificate', {cert, key}],
    ['a client certificate with its chain', {ca: ca.cert, cert: cert + ca.cert, key}],
    ['Windows line ends', {ca: ca.cert.replaceAll('\n', '\r\n')}],
  ])('are taken: %s', (_, material) => {
    expect(faultsInTls(material)).toEqual([]);
  });

  it.each<[string, TlsMaterial, string[]]>([
    ['text as a CA', {ca: 'secret-text'}, ['ca holds no certificate in PEM']],
    ['a key as a CA', {ca: key}, ['ca holds no certificate in PEM']],
    ['a CA that is cut', {ca: ca.cert.slice(0, 200)}, ['ca holds no certificate in PEM']],
    ['a CA that is garbage', {ca: unreadable}, ['ca holds a certificate that cannot be read']],
    ['garbage among CAs', {ca: ca.cert + unreadable}, ['ca holds 2 certificates, of which number 2 cannot be read']],
    ['a key of another certificate', {cert, key: ca.key}, ['key holds a private key that does not belong']],
    ['a key with a passphrase', {cert, key: keyWithPassphrase}, ['key holds no private key in PEM, or one with a']],
    ['a certificate as its key', {cert, key: cert}, ['key holds no private key in PEM']],
    [
      'the two swapped',
      {cert: key, key: cert},
      ['cert holds no certificate in PEM', 'key holds no private key in PEM'],
    ],
    ['a key too weak for TLS', {cert: weak.cert, key: weak.key}, ['cert cannot be used for TLS (ee key too small)']],
    ['all wrong', {ca: 'x', cert: 'x', key: 'x'}, ['ca holds', 'cert holds', 'key holds']],
  ])('are refused: %s', (_, material, expected) => {
    const faults = faultsInTls(material).map(({part, problem}) => `${part} ${problem}`);
    expect(faults).toEqual(expected.map((text) => expect.stringContaining(text)));
    expect(faults.join('\n')).not.toMatch(/secret-text|AAAA/);
  });

  it('are read one by one, so that half of a pair is no fault of its own', () => {
    expect([faultsInTls({cert}), faultsInTls({key})]).toEqual([[], []]);
  });
});

describe('the settings', () => {
  it('ask for a name', () => {
    expect(toTlsSettings('a.example', {ca: ca.cert})).toEqual({ca: ca.cert, servername: 'a.example'});
  });

  it('cannot ask for an address, and expect it all the same', () => {
    const {servername, checkServerIdentity} = toTlsSettings('10.0.0.1', {});
    expect(servername).toBeUndefined();
    const certificate = {subjectaltname: 'IP Address:10.0.0.1'} as never;
    expect(checkServerIdentity?.('a.example', certificate)).toBeUndefined();
    expect(checkServerIdentity?.('a.example', {subjectaltname: 'IP Address:10.0.0.2'} as never)).toMatchObject({
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    });
  });
});
