import {describe, expect, it} from '@jest/globals';
import {sameValue} from './same-value.ts';

describe('two values', () => {
  it.each([
    ['of text are the same', 'a', 'a', true],
    ['of different types are not', '1', 1, false],
    ['with members in another order are the same', {a: 1, b: [{c: 2, d: 3}]}, {b: [{d: 3, c: 2}], a: 1}, true],
    ['one of which has more are not', {a: 1}, {a: 1, b: 2}, false],
    ['one of which has another member are not', {a: 1, toString: 2}, {a: 1, b: 2}, false],
    ['with another member below are not', {a: {b: 1}}, {a: {b: 2}}, false],
    ['with items in another order are not', [1, 2], [2, 1], false],
    ['one of which is longer are not', [1], [1, 2], false],
    ['a list and an object are not', [], {}, false],
    ['nothing and an object are not', null, {}, false],
  ])('%s', (_, one, other, expected) => {
    expect(sameValue(one, other)).toBe(expected);
    expect(sameValue(other, one)).toBe(expected);
  });
});
