import {describe, expect, it} from '@jest/globals';
import {answerHeaders, firstValue, mediaType, readRetryAfter, requestHeaders} from './headers.ts';

describe('request headers', () => {
  const passed = ['accept', 'idempotency-key', 'openai-beta', 'anthropic-beta', 'anthropic-version'];

  it.each(passed)('lets %s through', (name) => {
    expect(requestHeaders([name.toUpperCase(), 'value'], undefined)).toEqual([name, 'value']);
  });

  it.each([
    'Authorization',
    'Cookie',
    'x-api-key',
    'api-key',
    'OpenAI-Organization',
    'Proxy-Authorization',
    'X-Forwarded-For',
    'Forwarded',
    'X-Real-IP',
    'x-modelroute-route',
    'Host',
    'Connection',
    'Transfer-Encoding',
    'Content-Length',
    'Content-Type',
    'TE',
    'Upgrade',
    'Accept-Encoding',
    'x-request-id',
    'traceparent',
    'Origin',
    'Referer',
    'User-Agent',
    'x-anything-else',
  ])('keeps %s here', (name) => {
    // prettier-ignore
    expect(requestHeaders([name, 'value', 'accept', '*/*'], undefined)).toEqual(['accept', '*/*']);
  });

  it('keeps what `connection` declares to be of this connection only', () => {
    const raw = ['Accept', '*/*', 'Idempotency-Key', 'k'];
    expect(requestHeaders(raw, 'keep-alive , IDEMPOTENCY-KEY')).toEqual(['accept', '*/*']);
    expect(requestHeaders(raw, 'keep-alive')).toEqual(['accept', '*/*', 'idempotency-key', 'k']);
  });

  it('passes a header that comes twice twice', () => {
    expect(requestHeaders(['Accept', 'a', 'accept', 'b'], undefined)).toEqual(['accept', 'a', 'accept', 'b']);
  });
});

describe('answer headers', () => {
  it.each([
    'connection',
    'keep-alive',
    'proxy-authenticate',
    'proxy-connection',
    'te',
    'trailer',
    'transfer-encoding',
    'upgrade',
    'content-length',
    'content-encoding',
    'date',
    'server',
    'via',
    'set-cookie',
    'www-authenticate',
    'location',
    'alt-svc',
    'strict-transport-security',
    'openai-organization',
    'x-request-id',
    'x-powered-by',
    'x-modelroute-backend',
    'x-forwarded-for',
    'access-control-allow-origin',
  ])('withholds %s', (name) => {
    // prettier-ignore
    expect(answerHeaders({[name]: 'value', etag: '"1"'})).toEqual(['etag', '"1"']);
  });

  it.each(['content-type', 'retry-after', 'x-ratelimit-remaining-requests', 'openai-processing-ms', 'cache-control'])(
    'lets %s through',
    (name) => {
      expect(answerHeaders({[name]: 'value'})).toEqual([name, 'value']);
    },
  );

  it('withholds what any of the `connection` headers names', () => {
    const headers = {connection: ['keep-alive', 'X-Hop, x-other'], 'x-hop': '1', 'x-other': '2', etag: '"1"'};
    expect(answerHeaders(headers)).toEqual(['etag', '"1"']);
  });

  it('passes each value of a header that comes more than once', () => {
    expect(answerHeaders({vary: ['a', 'b'], gone: undefined})).toEqual(['vary', 'a', 'vary', 'b']);
  });

  it('has a first value of what comes more than once', () => {
    expect(firstValue({vary: ['a', 'b']}, 'vary')).toBe('a');
    expect(firstValue({}, 'vary')).toBeUndefined();
  });
});

describe('retry-after', () => {
  const now = Date.parse('2026-01-01T00:00:00Z');

  it.each([
    ['seconds', {'retry-after': '7'}, 7_000],
    ['a fraction of a second', {'retry-after': ' 0.5 '}, 500],
    ['a date', {'retry-after': 'Thu, 01 Jan 2026 00:00:09 GMT'}, 9_000],
    ['a date that has passed: at once', {'retry-after': 'Wed, 31 Dec 2025 23:00:00 GMT'}, 0],
    ['OpenAI’s milliseconds before its seconds', {'retry-after-ms': '1500', 'retry-after': '9'}, 1_500],
    ['none', {}, undefined],
    ['what is neither', {'retry-after': 'soon'}, undefined],
    ['seconds below zero', {'retry-after': '-3x'}, undefined],
  ])('reads %s', (_, headers, expected) => {
    expect(readRetryAfter(headers, now)).toBe(expected);
  });
});

describe('a media type', () => {
  it.each([
    ['application/json', 'application/json'],
    ['Application/JSON; charset=utf-8', 'application/json'],
    [' text/event-stream ;x', 'text/event-stream'],
    [undefined, ''],
  ])('of %s is %s', (contentType, expected) => {
    expect(mediaType(contentType)).toBe(expected);
  });
});
