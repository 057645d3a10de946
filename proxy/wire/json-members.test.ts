import {describe, expect, it} from '@jest/globals';
import * as fc from 'fast-check';
import {findMembers, itemsOf, memberNames, parseSpan} from './json-members.ts';
import {JsonSyntaxError, maxJsonDepth, type Span} from './json-scan.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

const textAt = (bytes: Uint8Array, span: Span | undefined): string | undefined =>
  span && new TextDecoder().decode(bytes.subarray(span.start, span.end));

/** A member's bytes, as text. */
const find = (text: string, name: string): string | undefined => {
  const bytes = encode(text);
  return textAt(bytes, findMembers(bytes, memberNames('model', 'stream', 'n')).spans.get(name));
};

describe('finding members', () => {
  it.each([
    ['where it stands first', '{"model":"a","x":1}', '"a"'],
    ['where it stands last', '{"x":1,"model":"a"}', '"a"'],
    ['with white space around it', '{ "model" :\n "a" \t}', '"a"'],
    ['behind a container that holds the same key', '{"x":{"model":"b"},"y":[{"model":"c"}],"model":"a"}', '"a"'],
    ['behind a string that looks like it', String.raw`{"x":"\"model\":\"b\"","model":"a"}`, '"a"'],
    ['as an object', '{"model":{"a":[1,{}]},"x":1}', '{"a":[1,{}]}'],
    ['with an escaped letter in its key', String.raw`{"mod\u0065l":"a"}`, '"a"'],
    ['with every letter of its key escaped', String.raw`{"\u006d\u006F\u0064\u0065\u006c":"a"}`, '"a"'],
    ['not where another key begins like it', '{"models":"b","mode":"c"}', undefined],
    ['not where only its case differs', '{"Model":"b"}', undefined],
    ['not where only an escape makes another key of it', String.raw`{"model\u0000":"b"}`, undefined],
    ['not in an empty object', '{}', undefined],
    ['not among prototypes', '{"__proto__":{"model":"b"}}', undefined],
  ])('finds it %s', (_, text, expected) => {
    expect(find(text, 'model')).toBe(expected);
  });

  it.each([
    ['nothing twice', '{"model":"a","x":1,"x":2}', undefined, '"a"'],
    ['a name twice, the last one counting', '{"model":"a","model":"b"}', 'model', '"b"'],
    ['a name twice that is escaped once', String.raw`{"model":"a","m\u006fdel":"b"}`, 'model', '"b"'],
  ])('notices %s', (_, text, repeated, value) => {
    const bytes = encode(text);
    const members = findMembers(bytes, memberNames('model'));
    expect(members.repeated).toBe(repeated);
    expect(textAt(bytes, members.spans.get('model'))).toBe(value);
  });

  it.each([
    ['an array', '[1]'],
    ['a string', '"{}"'],
    ['nothing', ''],
    ['two documents', '{}{}'],
    ['a comma before the end', '{"a":1,}'],
    ['a comma at the start', '{,"a":1}'],
    ['no end', '{"a":1'],
    ['no end after a comma', '{"a":1,'],
    ['a key alone', '{"a"}'],
    ['a key with a broken escape', String.raw`{"\x":1}`],
    ['a value of the top level that is broken', '{"a":[1,}'],
    ['the wrong closing bracket', '{"a":1]'],
    ['a NUL behind the end', '{}\u0000'],
  ])('refuses %s', (_, text) => {
    expect(() => findMembers(encode(text), memberNames('model'))).toThrow(JsonSyntaxError);
  });

  it.each<[string, (levels: number) => string]>([
    ['arrays', (levels) => `{"a":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`],
    ['objects', (levels) => '{"a":'.repeat(levels) + '1' + '}'.repeat(levels)],
  ])(`takes ${maxJsonDepth} levels of %s and not one more`, (_, nested) => {
    const scan = (levels: number): unknown => findMembers(encode(nested(levels)), memberNames('a')).spans.size;
    expect(scan(maxJsonDepth)).toBe(1);
    expect(() => scan(maxJsonDepth + 1)).toThrow(`nested deeper than ${maxJsonDepth} levels`);
    expect(() => scan(100_000)).toThrow(`nested deeper than ${maxJsonDepth} levels`);
  });

  it('finds in any object the members and values that JSON.parse finds', () => {
    const key = fc.oneof(
      fc.stringMatching(/^[ -~]{0,8}$/),
      fc.constantFrom('model', 'constructor', '\\', '"', '\u0000'),
    );
    const object = fc.dictionary(key, fc.jsonValue(), {noNullPrototype: true});
    fc.assert(
      fc.property(object, fc.constantFrom(undefined, 1, '\t'), (value, indent) => {
        const bytes = encode(JSON.stringify(value, null, indent));
        const {spans, repeated} = findMembers(bytes, memberNames(...Object.keys(value)));
        expect(repeated).toBeUndefined();
        expect([...spans.keys()].sort()).toEqual(Object.keys(value).sort());
        for (const [name, span] of spans) {
          expect(parseSpan(bytes, span)).toEqual(JSON.parse(JSON.stringify(value[name])));
        }
      }),
    );
  });
});

describe('the items of an array', () => {
  it.each([
    ['none', '[ ]', []],
    ['one', '["a"]', ['"a"']],
    ['containers and scalars', '[ 1 ,{"a":[2]}, [] , "x,y"]', ['1', '{"a":[2]}', '[]', '"x,y"']],
  ])('are %s', (_, text, expected) => {
    const bytes = encode(text);
    expect([...itemsOf(bytes, {start: 0, end: bytes.length})].map((span) => textAt(bytes, span))).toEqual(expected);
  });

  it('are those that JSON.parse finds', () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), (items) => {
        const bytes = encode(`{"list": ${JSON.stringify(items)}}`);
        const list = findMembers(bytes, memberNames('list')).spans.get('list')!;
        const found = [...itemsOf(bytes, list)].map((span) => parseSpan(bytes, span));
        expect(found).toEqual(JSON.parse(JSON.stringify(items)));
      }),
    );
  });
});

describe('a parsed value', () => {
  const parse = (text: string): unknown => parseSpan(encode(text), {start: 0, end: encode(text).length});

  it.each([
    '"chat"',
    '""',
    String.raw`"a\"b\\c\u00e9"`,
    '"naïve 🙂"',
    `"${'x'.repeat(200)}"`,
    '1.50',
    'null',
    '{"a":[1]}',
  ])('is what JSON.parse makes of %s', (text) => {
    expect(parse(text)).toEqual(JSON.parse(text));
  });

  it.each([
    ['a line feed in a string', '"a\nb"'],
    ['an unknown escape', String.raw`"\x41"`],
    ['half an escape', String.raw`"\u00"`],
  ])('is refused with %s in it', (_, text) => {
    expect(() => parse(text)).toThrow(JsonSyntaxError);
  });
});
