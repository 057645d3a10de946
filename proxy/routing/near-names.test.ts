import {describe, expect, it} from '@jest/globals';
import {growthOf, PROPORTIONAL} from '../../test/growth.ts';
import {nearNames} from './near-names.ts';

const names = ['gpt-4.1', 'gpt-4.1-mini', 'llama-3', 'mistral-small', 'o1', 'qwen2.5-7b'];

describe('names that a caller may have meant', () => {
  it.each<[string, string, string[]]>([
    ['a letter is missing', 'lama-3', ['llama-3']],
    ['letters are in the wrong order', 'mistral-samll', ['mistral-small']],
    ['the case is wrong', 'LLAMA-3', ['llama-3']],
    ['it is a part of one', 'mistral', ['mistral-small']],
    ['one is a part of it', 'qwen2.5-7b-instruct', ['qwen2.5-7b']],
    ['several are near: the nearest first', 'gpt-4.1-mink', ['gpt-4.1', 'gpt-4.1-mini']],
  ])('are found where %s', (_, wanted, expected) => {
    expect(nearNames(wanted, names).sort()).toEqual(expected);
  });

  it('come nearest first, and not more than three', () => {
    expect(nearNames('model-a', ['xmodel-bcd', 'model-bc', 'model-b', 'model-c', 'model-d'])).toEqual([
      'model-b',
      'model-c',
      'model-d',
    ]);
  });

  it.each([
    ['nothing is near', 'claude-opus'],
    ['only a very short name is part of it', 'foo1-model-o1-x'],
    ['it is empty', ''],
    ['it is a megabyte', 'llama-3'.repeat(150_000)],
  ])('are none where %s', (_, wanted) => {
    expect(nearNames(wanted, names)).toEqual([]);
  });

  it('take no more than time in proportion to what was asked for', () => {
    const many = Array.from({length: 1_000}, (_, index) => `organisation-${index}/some-model-of-${index}-billions`);
    expect(growthOf((length) => nearNames('z'.repeat(length), many), 128)).toBeLessThan(PROPORTIONAL);
  });
});
