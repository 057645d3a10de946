/** Real certificates, made in the test: X.509 v3 (RFC 5280) with P-256 keys, written by hand, because Node can read but not issue them. */
import {generateKeyPairSync, sign, type KeyObject} from 'node:crypto';
import {isIP} from 'node:net';

export type Certificate = {
  /** PEM. */
  cert: string;
  key: string;
  name: string;
  privateKey: KeyObject;
};

export type CertificateOptions = {
  /** What it is for: names and IPv4 addresses. */
  names?: string[];
  /** Who signs it; unset: itself. */
  issuer?: Certificate;
  isCa?: boolean;
  keys?: {privateKey: KeyObject; publicKey: KeyObject};
  notBefore?: Date;
  notAfter?: Date;
};

const tlv = (tag: number, ...contents: Uint8Array[]): Buffer => {
  const content = Buffer.concat(contents);
  const size = content.length;
  if (size < 0x80) return Buffer.concat([Buffer.from([tag, size]), content]);
  const long = size < 0x100 ? [0x81, size] : [0x82, size >> 8, size & 0xff];
  return Buffer.concat([Buffer.from([tag, ...long]), content]);
};

const sequence = (...contents: Uint8Array[]): Buffer => tlv(0x30, ...contents);
const oid = (hex: string): Buffer => tlv(0x06, Buffer.from(hex, 'hex'));
const octets = (content: Uint8Array): Buffer => tlv(0x04, content);

const ecdsaWithSha256 = sequence(oid('2a8648ce3d040302'));

const nameOf = (name: string): Buffer => sequence(tlv(0x31, sequence(oid('550403'), tlv(0x0c, Buffer.from(name)))));

const generalizedTime = (date: Date): Buffer =>
  tlv(0x18, Buffer.from(date.toISOString().replaceAll(/[-:T]|\.\d+/g, '')));

const alternative = (name: string): Buffer =>
  isIP(name) === 4 ? tlv(0x87, Buffer.from(name.split('.').map(Number))) : tlv(0x82, Buffer.from(name));

const alternatives = (names: readonly string[]): Buffer =>
  sequence(oid('551d11'), octets(sequence(...names.map(alternative))));

const basicConstraints = (isCa: boolean): Buffer =>
  sequence(oid('551d13'), octets(sequence(...(isCa ? [tlv(0x01, Buffer.from([0xff]))] : []))));

const extensionsOf = ({names = [], isCa = false}: CertificateOptions): Buffer =>
  sequence(basicConstraints(isCa), ...(names.length > 0 ? [alternatives(names)] : []));

const pem = (der: Buffer): string =>
  `-----BEGIN CERTIFICATE-----\n${(der.toString('base64').match(/.{1,64}/g) ?? []).join('\n')}\n-----END CERTIFICATE-----\n`;

let serial = 0;

const hourMs = 3_600_000;

export function createCertificate(name: string, options: CertificateOptions = {}): Certificate {
  const {issuer, keys = generateKeyPairSync('ec', {namedCurve: 'P-256'})} = options;
  const {privateKey, publicKey} = keys;
  const {notBefore = new Date(Date.now() - hourMs), notAfter = new Date(Date.now() + hourMs)} = options;
  const body = sequence(
    tlv(0xa0, tlv(0x02, Buffer.from([2]))), // v3
    tlv(0x02, Buffer.from([1, (serial += 1) >> 8, serial & 0xff])),
    ecdsaWithSha256,
    nameOf(issuer?.name ?? name),
    sequence(generalizedTime(notBefore), generalizedTime(notAfter)),
    nameOf(name),
    publicKey.export({type: 'spki', format: 'der'}),
    tlv(0xa3, extensionsOf(options)),
  );
  const signature = sign('sha256', body, issuer?.privateKey ?? privateKey);
  const certificate = sequence(body, ecdsaWithSha256, tlv(0x03, Buffer.from([0]), signature));
  return {
    cert: pem(certificate),
    key: privateKey.export({type: 'pkcs8', format: 'pem'}),
    name,
    privateKey,
  };
}

export const createCa = (name = 'Test CA'): Certificate => createCertificate(name, {isCa: true});
