import {describe, expect, it} from '@jest/globals';
import {KubeError, kubeErrorOfAnswer, kubeErrorOfStatus, retryAfterMsOf} from './errors.ts';

const where = 'GET /api/v1/namespaces/a/secrets';

const answered = (status: number, body: unknown, retryAfterMs?: number): Partial<KubeError> => {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const error = kubeErrorOfAnswer(where, status, text, retryAfterMs);
  expect(error).toBeInstanceOf(KubeError);
  return {message: error.message, status: error.status, reason: error.reason, retryAfterMs: error.retryAfterMs};
};

const forbidden = {
  kind: 'Status',
  code: 403,
  reason: 'Forbidden',
  message: 'secrets is forbidden: User "x" cannot list resource "secrets"',
};

describe('an answer that is an error', () => {
  it.each([
    [
      'names method, path, status, reason and message of a Status',
      403,
      forbidden,
      {
        message: `${where}: 403 Forbidden: secrets is forbidden: User "x" cannot list resource "secrets"`,
        reason: 'Forbidden',
      },
    ],
    [
      'has HTTP’s words for a Status without reason',
      500,
      {kind: 'Status'},
      {message: `${where}: 500 Internal Server Error`},
    ],
    [
      'quotes what is no Status',
      502,
      '<html>\n  bad</html>\n',
      {message: `${where}: 502 Bad Gateway: <html> bad</html>`},
    ],
    [
      'quotes no more than the beginning',
      404,
      'x'.repeat(301),
      {message: `${where}: 404 Not Found: ${'x'.repeat(300)}…`},
    ],
    ['takes JSON that is no Status for text', 400, {a: 1}, {message: `${where}: 400 Bad Request: {"a":1}`}],
    ['bears a status that HTTP does not know', 599, '', {message: `${where}: 599`}],
    [
      'bears members of other types',
      409,
      {kind: 'Status', reason: 1, message: null, details: 2},
      {message: `${where}: 409 Conflict`},
    ],
  ] as const)('%s', (_title, status, body, expected) => {
    expect(answered(status, body)).toEqual({status, reason: '', retryAfterMs: undefined, ...expected});
  });

  it('takes the wait from the header, else from the details', () => {
    const status = {kind: 'Status', details: {retryAfterSeconds: 2}};
    expect(answered(504, status).retryAfterMs).toBe(2_000);
    expect(answered(504, status, 5_000).retryAfterMs).toBe(5_000);
  });
});

describe('the object of a watch’s ERROR event', () => {
  it('gives its code as the status', () => {
    const body = {kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version'};
    expect(kubeErrorOfStatus(where, body)).toMatchObject({
      message: `${where}: 410 Expired: too old resource version`,
      status: 410,
      reason: 'Expired',
    });
  });

  it('is none if it is no Status', () => {
    for (const body of [undefined, null, 'Status', {kind: 'Pod'}])
      expect(kubeErrorOfStatus(where, body)).toBeUndefined();
  });
});

describe('Retry-After', () => {
  it.each([
    ['3', 3_000],
    ['0', 0],
    [undefined, undefined],
    ['-1', undefined],
    ['1.5', undefined],
    ['Wed, 21 Oct 2026 07:28:00 GMT', undefined],
    [['1', '2'], undefined],
    ['99999999999', undefined],
  ])('%j is %j ms', (header, ms) => expect(retryAfterMsOf(header)).toBe(ms));
});
