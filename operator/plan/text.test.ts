import {describe, expect, it} from '@jest/globals';
import {listText, pathText, shortened} from './text.ts';

describe('a field path', () => {
  it.each([
    ['of fields', ['spec', 'timeouts', 'connect'], 'spec.timeouts.connect'],
    ['through lists', ['spec', 'backends', 0, 'url'], 'spec.backends[0].url'],
    ['of an item', ['items', 2], 'items[2]'],
    [
      'with a key that holds a dot',
      ['metadata', 'labels', 'kubernetes.io/x', 'y'],
      'metadata.labels["kubernetes.io/x"].y',
    ],
    ['that is empty', [], ''],
  ])('%s is written as in docs', (_, path, expected) => {
    expect(pathText(path)).toBe(expected);
  });
});

describe('a list', () => {
  it.each([
    ['of nothing', [], ''],
    ['of one', ['a'], 'a'],
    ['of as many as are shown', ['a', 'b'], 'a, b'],
    ['of more', ['a', 'b', 'c', 'd'], 'a, b and 2 more'],
  ])('%s', (_, items, expected) => {
    expect(listText(items, 2)).toBe(expected);
  });
});

describe('a text', () => {
  it.each([
    ['that is short stays as it is', 'abcd', 'abcd'],
    ['that is long is cut', 'abcde', 'abc…'],
    ['is not cut inside a character', 'ab\u{1F600}de', 'ab…'],
  ])('%s', (_, text, expected) => {
    expect(shortened(text, 4)).toBe(expected);
  });
});
