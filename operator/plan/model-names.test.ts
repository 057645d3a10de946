import {describe, expect, it} from '@jest/globals';
import {covers, overlap} from './model-names.ts';

describe('two model names', () => {
  it.each([
    ['that are the same overlap', 'chat', 'chat', true],
    ['that differ do not', 'chat', 'chats', false],
    ['overlap if one is under the pattern of the other', 'gpt-4', 'gpt-*', true],
    ['overlap if one ends as the other says', 'llama-chat', '*-chat', true],
    ['do not if it is not under it', 'llama', 'gpt-*', false],
    ['overlap if one start is within the other', 'gpt-*', 'gpt-4*', true],
    ['do not if the starts differ', 'gpt-*', 'llama-*', false],
    ['overlap if one end is within the other', '*-chat', '*-long-chat', true],
    ['overlap if one is a start and the other an end', 'gpt-*', '*-mini', true],
    ['overlap if one is everything', '*', '*-mini', true],
    ['overlap if one is everything and the other exact', 'chat', '*', true],
  ])('%s: %s and %s', (_, one, other, expected) => {
    expect(overlap(one, other)).toBe(expected);
    expect(overlap(other, one)).toBe(expected);
  });
});

describe('a pattern', () => {
  it.each([
    ['covers itself', 'gpt-*', 'gpt-*', true],
    ['covers a name under it', 'gpt-*', 'gpt-4', true],
    ['covers a narrower pattern', 'gpt-*', 'gpt-4*', true],
    ['does not cover a wider one', 'gpt-4*', 'gpt-*', false],
    ['does not cover one of the other end', 'gpt-*', '*-mini', false],
    ['of everything covers everything', '*', '*-mini', true],
    ['that is exact covers only its name', 'chat', 'chat', true],
    ['that is exact covers no pattern', 'chat', 'chat*', false],
  ])('%s: %s and %s', (_, pattern, name, expected) => {
    expect(covers(pattern, name)).toBe(expected);
  });
});
