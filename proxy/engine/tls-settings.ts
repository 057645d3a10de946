/** How TLS is spoken to a backend: certificates and names as Node's `tls` takes them, checked before the first connection needs them. */
import {createPrivateKey, X509Certificate, type KeyObject} from 'node:crypto';
import {isIP} from 'node:net';
import {checkServerIdentity, createSecureContext, type PeerCertificate} from 'node:tls';
import type {TlsMaterial} from '../config/schema.ts';

/** May be spread into the options of `tls.connect` and of an `https.Agent`. */
export type TlsSettings = TlsMaterial & {
  servername?: string;
  checkServerIdentity?: (host: string, certificate: PeerCertificate) => Error | undefined;
};

export type TlsMaterialFault = {part: keyof TlsMaterial; problem: string};

const certificatesIn = (pem: string): string[] =>
  pem.match(/-----BEGIN [A-Z0-9 ]*CERTIFICATE-----[^-]*-----END [A-Z0-9 ]*CERTIFICATE-----/g) ?? [];

const certificateOf = (pem: string): X509Certificate | undefined => {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
};

/** Node itself ignores certificates to trust that it cannot read, and would then trust nobody. */
function certificateProblem(pem: string): string | undefined {
  const certificates = certificatesIn(pem);
  if (certificates.length === 0)
    return 'holds no certificate in PEM: put "-----BEGIN CERTIFICATE-----" and what follows there';
  const bad = certificates.findIndex((certificate) => certificateOf(certificate) === undefined);
  if (bad === -1) return undefined;
  const what =
    certificates.length === 1
      ? 'a certificate that'
      : `${certificates.length} certificates, of which number ${bad + 1}`;
  return `holds ${what} cannot be read: put it there as it was issued`;
}

const privateKeyOf = (pem: string): KeyObject | undefined => {
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
};

function keyProblem(pem: string, certificate: string | undefined): string | undefined {
  const key = privateKeyOf(pem);
  if (key === undefined) return 'holds no private key in PEM, or one with a passphrase: put the key alone there';
  const [own] = certificatesIn(certificate ?? '');
  if (own === undefined || new X509Certificate(own).checkPrivateKey(key)) return undefined;
  return 'holds a private key that does not belong to the certificate: replace both together';
}

/** What OpenSSL refuses although each part is well formed, such as a key that is too small. */
function refusal(material: TlsMaterial): string | undefined {
  try {
    createSecureContext(material);
    return undefined;
  } catch (error) {
    const {reason, message} = error as Error & {reason?: string}; // OpenSSL throws nothing else
    return `cannot be used for TLS (${reason ?? message}): replace it`;
  }
}

/** What is wrong with certificates and keys, or nothing; never with a part of them in its words. */
export function faultsInTls(material: TlsMaterial): TlsMaterialFault[] {
  const {ca, cert, key} = material;
  const badCa = ca === undefined ? undefined : certificateProblem(ca);
  const badCertificate = cert === undefined ? undefined : certificateProblem(cert);
  const badKey = key === undefined ? undefined : keyProblem(key, badCertificate === undefined ? cert : undefined);
  const problems: [keyof TlsMaterial, string | undefined][] = [
    ['ca', badCa],
    ['cert', badCertificate],
    ['key', badKey],
  ];
  const faults = problems.flatMap(([part, problem]) => (problem === undefined ? [] : [{part, problem}]));
  if (faults.length > 0) return faults;
  const problem = refusal(material);
  const part = (['cert', 'key', 'ca'] as const).find((each) => material[each] !== undefined);
  return problem === undefined || part === undefined ? [] : [{part, problem}];
}

/** `serverName`: asked for and expected. An address cannot be asked for (RFC 6066, 3), and is expected all the same. */
export const toTlsSettings = (serverName: string, material: TlsMaterial): TlsSettings => ({
  ...material,
  ...(isIP(serverName) === 0
    ? {servername: serverName}
    : {checkServerIdentity: (_host, certificate) => checkServerIdentity(serverName, certificate)}),
});
