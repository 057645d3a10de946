import {describe, expect, it} from '@jest/globals';
import {pathText} from './problem.ts';

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
