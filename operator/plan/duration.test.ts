import {describe, expect, it} from '@jest/globals';
import {parseDuration} from './duration.ts';

describe('a duration', () => {
  it.each([
    ['seconds', '10s', 10_000],
    ['milliseconds', '500ms', 500],
    ['several units', '1m30s', 90_000],
    ['all of them', '1h2m3s4ms', 3_723_004],
    ['zero', '0s', 0],
    ['the longest', '99999h99999m99999s99999ms', 99_999 * 3_661_001],
  ])('of %s is read: %s', (_, text, expected) => {
    expect(parseDuration(text)).toBe(expected);
  });

  it.each(['', '10', '1.5s', '-1s', '1d', 's', '123456s', '1h1m1s1ms1h'])(
    'that the schema refuses is a bug here: "%s"',
    (text) => {
      expect(() => parseDuration(text)).toThrow('bug:');
    },
  );
});
