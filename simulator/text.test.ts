import {describe, expect, it} from '@jest/globals';
import * as fc from 'fast-check';
import {estimateTokens, hashOf, randomFrom, sayTokens, tokensOf} from './text.ts';

describe('the words of the simulator', () => {
  it('name who speaks, and are the same for the same seed', () => {
    const said = sayTokens({name: 'local', count: 30, seed: 7});
    expect(said.join('')).toMatch(/^Hello from local\. The \w+ \w+ \w+ the \w+ \w+ .*\.$/);
    expect(sayTokens({name: 'local', count: 30, seed: 7})).toEqual(said);
    expect(sayTokens({name: 'local', count: 30, seed: 8})).not.toEqual(said);
  });

  it.each([0, 1, 3, 4, 5, 6, 100, 1000])('are exactly as many as asked: %i', (count) => {
    const said = sayTokens({name: 'a name of words', count, seed: 1});
    expect(said).toHaveLength(count);
    expect(said.join('')).not.toContain('..');
  });

  it('joined are the text they were cut from, whatever it is', () => {
    fc.assert(fc.property(fc.string({unit: 'binary'}), (text) => tokensOf(text).join('') === text));
  });

  it('hash as FNV-1a does', () => {
    expect(hashOf('')).toBe(0x811c9dc5);
    expect(hashOf('a')).toBe(0xe40c292c);
    expect(hashOf('foobar')).toBe(0xbf9cf968);
  });

  it('draw numbers below 1 that the seed decides', () => {
    const random = randomFrom(3);
    const drawn = Array.from({length: 1000}, random);
    expect(drawn.every((value) => value >= 0 && value < 1)).toBe(true);
    expect(new Set(drawn).size).toBeGreaterThan(990);
    expect(randomFrom(3)()).toBe(drawn[0]);
  });

  it.each([
    ['', 1],
    ['abcd', 1],
    ['abcde', 2],
    ['x'.repeat(400), 100],
  ])('estimate four characters to a token: %j', (text, tokens) => {
    expect(estimateTokens(text)).toBe(tokens);
  });
});
