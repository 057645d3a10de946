import {describe, expect, it} from '@jest/globals';
import {parseSize} from './size.ts';

describe('a size', () => {
  it.each([
    ['in mebibytes', '32Mi', 33_554_432],
    ['in kibibytes', '16Ki', 16_384],
    ['in gibibytes', '2Gi', 2_147_483_648],
    ['in megabytes', '5M', 5_000_000],
    ['in bytes', '65536', 65_536],
    ['as a number', 65_536, 65_536],
    ['zero', '0', 0],
  ])('%s is read: %s', (_, text, expected) => {
    expect(parseSize(text)).toBe(expected);
  });

  it.each(['', 'Mi', '1.5Mi', '-1', '1Mb', '1 Mi'])('that the schema refuses is a bug here: "%s"', (text) => {
    expect(() => parseSize(text)).toThrow('bug:');
  });
});
