import {describe, expect, it} from '@jest/globals';
import * as fc from 'fast-check';
import {chain, firstHalf, insertAfter, pings, split, take, takeBytes} from './pieces.ts';
import {bytesOf, piece, type Piece} from './reply.ts';

const joined = (pieces: Iterable<Piece>): string =>
  Buffer.concat([...pieces].map(({data}) => bytesOf(data))).toString('utf8');

describe('pieces of a reply', () => {
  it('are taken only as far as needed, so that an endless list is fine', () => {
    expect([...take(pings(': ping\n\n', 10), 2)]).toEqual([piece(': ping\n\n', 10), piece(': ping\n\n', 10)]);
    expect([...take(pings(': ping\n\n', 10), 0)]).toEqual([]);
    expect([...take([1], 5)]).toEqual([1]);
  });

  it.each([
    [0, ''],
    [2, 'ab'],
    [4, 'abcd'],
    [9, 'abcdef'],
  ])('stop after %i bytes', (limit, expected) => {
    expect(joined(takeBytes([piece('abc'), piece('def')], limit))).toBe(expected);
  });

  it('stop at half of all bytes', () => {
    expect(joined(firstHalf([piece('abc'), piece('defg')]))).toBe('abc');
    expect(joined(firstHalf([]))).toBe('');
  });

  it('split at any byte, say the same, and none is longer than told', () => {
    fc.assert(
      fc.property(fc.array(fc.string({unit: 'grapheme'})), fc.integer({min: 1, max: 9}), (texts, chunkBytes) => {
        const pieces = [
          ...split(
            texts.map((text) => piece(text)),
            chunkBytes,
            0,
          ),
        ];
        expect(joined(pieces)).toBe(texts.join(''));
        expect(pieces.every(({data}) => data.length <= chunkBytes)).toBe(true);
      }),
    );
  });

  it('keep their own pause when split', () => {
    expect([...split([piece('abcd', 50)], 2, 5)].map(({afterMs}) => afterMs)).toEqual([55, 5]);
  });

  it.each([
    [0, [9, 1, 2]],
    [1, [1, 9, 2]],
    [2, [1, 2, 9]],
    [7, [1, 2, 9]],
  ])('take one in after the first %i', (count, expected) => {
    expect([...insertAfter([1, 2], count, 9)]).toEqual(expected);
  });

  it('follow each other', () => {
    expect([...chain([1], [], [2, 3])]).toEqual([1, 2, 3]);
  });
});
