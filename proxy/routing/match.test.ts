import {describe, expect, it} from '@jest/globals';
import {createModelTable} from './match.ts';

const route = (name: string, ...modelNames: string[]): {name: string; modelNames: string[]} => ({name, modelNames});

const found = (routes: ReturnType<typeof route>[], model: string): [string, boolean] | undefined => {
  const match = createModelTable(routes).find(model);
  return match && [match.route.name, match.exact];
};

describe('the route of a model name', () => {
  const routes = [
    route('any', '*'),
    route('gpt', 'gpt-*'),
    route('gpt-4', 'gpt-4*', 'gpt-4-exact'),
    route('mini', '*-mini'),
    route('long-mini', '*-4.1-mini'),
    route('one', 'chat', 'org/model:7b'),
  ];

  it.each<[string, string, [string, boolean]]>([
    ['an exact name', 'chat', ['one', true]],
    ['an exact name with slash and colon', 'org/model:7b', ['one', true]],
    ['an exact name before any pattern', 'gpt-4-exact', ['gpt-4', true]],
    ['a prefix', 'gpt-3.5', ['gpt', false]],
    ['a suffix', 'llama-mini', ['mini', false]],
    ['the longer of two prefixes', 'gpt-4o', ['gpt-4', false]],
    ['the longer of two suffixes', 'o-4.1-mini', ['long-mini', false]],
    ['the longer of a prefix and a suffix', 'gpt-4.1-mini', ['long-mini', false]],
    ['a pattern with nothing in place of the star', 'gpt-', ['gpt', false]],
    ['the star alone where nothing else fits', 'CHAT', ['any', false]],
    ['the star alone for a key of objects', 'constructor', ['any', false]],
  ])('is found by %s', (_, model, expected) => {
    expect(found(routes, model)).toEqual(expected);
  });

  it.each([
    ['another case', 'Chat'],
    ['a longer name', 'chat2'],
    ['a space around it', ' chat'],
    ['a key of objects', '__proto__'],
    ['a star itself', '*'],
  ])('is none for %s where no pattern fits', (_, model) => {
    expect(found([route('one', 'chat'), route('gpt', 'gpt-*')], model)).toBeUndefined();
  });

  it('is the first of two routes with one name, and of two patterns of one length', () => {
    expect(found([route('a', 'chat'), route('b', 'chat')], 'chat')).toEqual(['a', true]);
    expect(found([route('a', 'ab*'), route('b', '*yz')], 'abyz')).toEqual(['a', false]);
  });

  it('does not use one letter for both ends of a pattern', () => {
    expect(found([route('a', 'aa*')], 'a')).toBeUndefined();
  });

  it('lists exact names alone, sorted, each once', () => {
    expect(createModelTable([route('a', 'b', 'x*'), route('b', 'a', 'b')]).names).toEqual(['a', 'b']);
  });
});
