import {describe, expect, it} from '@jest/globals';
import {tlsFault} from './tls-fault.ts';

const failing = (code: string, message = ''): Error => Object.assign(new Error(message), {code});

/** As OpenSSL words it, whose names for alerts differ from release to release. */
const alert = (number: number, name: string): Error =>
  failing(`ERR_SSL_${name}`, `0A000418:SSL routines:ssl3_read_bytes:x:rec_layer_s3.c:918:SSL alert number ${number}\n`);

describe('a fault in TLS', () => {
  it.each<[string, Error, string]>([
    ['a certificate', failing('CERT_HAS_EXPIRED'), 'its certificate has expired'],
    ['an alert', alert(48, 'TLSV1_ALERT_UNKNOWN_CA'), 'it refused the client certificate: it does not know its CA'],
    [
      'the same alert by another name',
      alert(48, 'SSL/TLS_ALERT'),
      'it refused the client certificate: it does not know',
    ],
    ['an answer that is none in TLS', failing('ERR_SSL_WRONG_VERSION_NUMBER'), 'it does not speak TLS'],
  ])('is %s', (_, cause, words) => {
    expect(tlsFault(cause)).toContain(words);
  });

  it.each<[string, Error]>([
    ['no connection', failing('ECONNREFUSED', 'connect ECONNREFUSED 127.0.0.1:1')],
    ['a reset', failing('ECONNRESET', 'read ECONNRESET')],
    ['an end', failing('UND_ERR_SOCKET', 'other side closed')],
    ['a name that does not resolve', failing('ENOTFOUND', 'getaddrinfo ENOTFOUND a.example')],
    ['an alert that says nothing of certificates', alert(80, 'TLSV1_ALERT_INTERNAL_ERROR')],
    ['the word alert in something else', failing('HPE_INVALID', 'SSL alert number 48')],
    ['an error without a code', new Error('toString')],
    ['a code that every object has', failing('toString')],
  ])('is not %s', (_, cause) => {
    expect(tlsFault(cause)).toBeUndefined();
  });
});
