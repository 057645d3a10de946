import {describe, expect, it} from '@jest/globals';
import {createBackoff} from './backoff.ts';
import {KubeError} from './errors.ts';
import {retryDelayMs, type Failure, type Fault, type Retriable} from './retry.ts';

const failure = (fault: Fault, status = 0, retryAfterMs?: number): Failure => ({
  error: new KubeError('x', {status, retryAfterMs}),
  fault,
});

const backoff = (): ReturnType<typeof createBackoff> => createBackoff({firstMs: 50, longestMs: 5_000, random: () => 0});

const apply = 'application/apply-patch+yaml';
const idempotent: Retriable[] = [
  {method: 'GET'},
  {method: 'PUT'},
  {method: 'DELETE'},
  {method: 'PATCH', contentType: apply},
];
const others: Retriable[] = [
  {method: 'POST'},
  {method: 'POST', contentType: apply},
  {method: 'PATCH'},
  {method: 'PATCH', contentType: 'application/merge-patch+json'},
  {method: 'PATCH', contentType: 'application/json-patch+json'},
];

describe('a failed request', () => {
  it.each([
    ['after which nothing was sent goes again', failure('unsent'), true, true],
    ['on a broken connection goes again if it is idempotent', failure('broken'), true, false],
    ['that was too many goes again', failure('answered', 429), true, true],
    ['with 500 goes again if it is idempotent', failure('answered', 500), true, false],
    ['with 503 goes again if it is idempotent', failure('answered', 503, 1_000), true, false],
    ['with 409 does not go again', failure('answered', 409), false, false],
    ['with 401 does not go again', failure('answered', 401), false, false],
    ['without trust does not go again', failure('distrusted'), false, false],
    ['that would end the same does not go again', failure('final'), false, false],
  ] as const)('%s', (_title, failed, ifIdempotent, otherwise) => {
    const goesAgain = (request: Retriable): boolean => retryDelayMs(request, failed, backoff()) !== undefined;
    expect(idempotent.map(goesAgain)).toEqual(idempotent.map(() => ifIdempotent));
    expect(others.map(goesAgain)).toEqual(others.map(() => otherwise));
  });

  it('whose answers are final goes again only if none came, or the server had no time to look', () => {
    const goesAgain = (failed: Failure): boolean =>
      retryDelayMs({method: 'GET', answersAreFinal: true}, failed, backoff()) !== undefined;
    expect([429, 500, 503].map((status) => goesAgain(failure('answered', status)))).toEqual([true, false, false]);
    expect([failure('unsent'), failure('broken')].map(goesAgain)).toEqual([true, true]);
  });

  it('waits as long as the server says, else by the back-off', () => {
    const waits = backoff();
    expect(retryDelayMs({method: 'GET'}, failure('answered', 500), waits)).toBe(50);
    expect(retryDelayMs({method: 'GET'}, failure('answered', 500), waits)).toBe(100);
    expect(retryDelayMs({method: 'GET'}, failure('answered', 429, 3_000), waits)).toBe(3_000);
  });
});
