import {describe, expect, it} from '@jest/globals';
import {parseLoadedReport} from './loaded-report.ts';

const address = '10.0.0.1';

describe('an answer to /loaded', () => {
  it.each([
    [
      'all well',
      {hash: 'h', generation: 3, routes: 2, rejected: null, missingCredentials: []},
      {address, hash: 'h', missingCredentials: []},
    ],
    [
      'nothing loaded yet',
      {hash: '', rejected: null, missingCredentials: []},
      {address, hash: '', missingCredentials: []},
    ],
    [
      'a config refused, credentials missing',
      {hash: 'h', rejected: {hash: 'i', reason: 'because'}, missingCredentials: ['b/b', 'a/a']},
      {address, hash: 'h', rejected: {hash: 'i', reason: 'because'}, missingCredentials: ['a/a', 'b/b']},
    ],
    ['that of another release', {hash: 'h', more: 1}, {address, hash: 'h', missingCredentials: []}],
    [
      'a reason without end',
      {hash: 'h', rejected: {hash: 'i', reason: 'x'.repeat(2_000)}},
      {address, hash: 'h', rejected: {hash: 'i', reason: 'x'.repeat(1_000)}, missingCredentials: []},
    ],
  ])('is read: %s', (_title, given, expected) => {
    expect(parseLoadedReport(address, JSON.stringify(given))).toEqual(expected);
  });

  it.each(['', 'ok', '[]', 'null', '{}', '{"hash":1}', '{"hash":"h","missingCredentials":[1]}', '{"hash":"h"'])(
    'is none if it is %s',
    (text) => {
      expect(parseLoadedReport(address, text)).toBeUndefined();
    },
  );
});
