/** What is wrong with TLS to a backend, in words that callers may read: no address, no name of a host. */

const unknownCa = 'its certificate is signed by an unknown CA (tls.caRef names the ones to trust)';

/** As Node and OpenSSL call what the check of a server's certificate finds. */
const faultsByCode: Record<string, string> = {
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for other names than the one expected (tls.serverName)',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed (tls.caRef names what to trust)',
  SELF_SIGNED_CERT_IN_CHAIN: unknownCa,
  UNABLE_TO_GET_ISSUER_CERT: unknownCa,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: unknownCa,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: unknownCa,
  CERT_SIGNATURE_FAILURE: unknownCa, // a CA of the same name with another key
  CERT_UNTRUSTED: unknownCa,
  INVALID_CA: 'its certificate is signed by one that is no CA',
  INVALID_PURPOSE: 'its certificate is not one for servers',
  CERT_REVOKED: 'its certificate is revoked',
  EE_KEY_TOO_SMALL: 'the key of its certificate is too small',
  CA_KEY_TOO_SMALL: 'the key of its CA is too small',
  CA_MD_TOO_WEAK: 'its certificate is signed with too weak a hash',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'it does not speak TLS',
  ERR_SSL_HTTP_REQUEST: 'it does not speak TLS',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'it speaks too old a version of TLS',
};

/** By the number that the alert has in RFC 8446, 6: OpenSSL's names for them change from release to release. */
const faultsByAlert: Record<string, string> = {
  // What TLS 1.2 says where a certificate is missing, and where nothing else can be agreed on.
  40: 'it refused the TLS handshake: it may want a client certificate (tls.clientCertRef)',
  42: 'it refused the client certificate, or that there is none (tls.clientCertRef)',
  43: 'it refused the client certificate: it does not take one of its kind',
  44: 'it refused the client certificate: it is revoked',
  45: 'it refused the client certificate: it has expired',
  46: 'it refused the client certificate',
  48: 'it refused the client certificate: it does not know its CA',
  49: 'it refused the client certificate: it has no access',
  70: 'it speaks other versions of TLS',
  112: 'it does not know the name that it was asked for (tls.serverName)',
  116: 'it asks for a client certificate (tls.clientCertRef)',
};

const codeOf = (cause: Error): string => ('code' in cause && typeof cause.code === 'string' ? cause.code : '');

/**
 * Undefined where `cause` has nothing to do with TLS, or says no more than that the connection ended. In TLS 1.3 a server refuses a
 * client certificate only after the handshake, so that this may also come from a connection that a request has been written to.
 */
export function tlsFault(cause: Error): string | undefined {
  const code = codeOf(cause);
  const alert =
    code.startsWith('ERR_SSL_') || code === 'EPROTO' ? /SSL alert number (\d+)/.exec(cause.message)?.[1] : undefined;
  if (alert !== undefined) return faultsByAlert[alert];
  if (/before secure TLS connection/.test(cause.message)) return 'it closed the connection in the TLS handshake';
  return Object.hasOwn(faultsByCode, code) ? faultsByCode[code] : undefined;
}
