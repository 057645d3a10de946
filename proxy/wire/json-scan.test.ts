import {describe, expect, it} from '@jest/globals';
import * as fc from 'fast-check';
import {JsonSyntaxError, skipSpace, skipValue} from './json-scan.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** As the whole of a document, which `JSON.parse` takes too. */
function accepts(text: string): boolean {
  const bytes = encode(text);
  try {
    return skipSpace(bytes, skipValue(bytes, skipSpace(bytes, 0))) === bytes.length;
  } catch (error) {
    if (error instanceof JsonSyntaxError) return false;
    throw error;
  }
}

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};

const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);

describe('a JSON scan', () => {
  it.each([
    ['an object', '{"a": 1, "b": [true, false, null]}'],
    ['white space wherever it may stand', ' \t\r\n{ "a" : [ 1 , 2 ] , "b" : { } } \n'],
    ['empty containers in each other', '[{}, [], {"a": {}}, [[]]]'],
    ['escaped quotes and backslashes', String.raw`{"a": "\"", "b": "\\", "c": "\\\"", "d": "\\\\"}`],
    ['a long string that ends in a backslash', `{"a": "${'x'.repeat(300)}\\\\"}`],
    ['a long string with a quote in every place', `["${'\\"'.repeat(200)}"]`],
    ['a quote far behind others', `["\\"${'x'.repeat(100)}\\"${'y'.repeat(20)}\\""]`],
    ['numbers of every form', '[0, -0, 1, 10.5, 1e3, 1E+3, 1e-3, -1.5e10, 0.0]'],
    ['text outside of ASCII', '{"ключ": "значение", "🙂": "日本"}'],
    ['a scalar alone', '12'],
  ])('accepts %s', (_, text) => {
    expect(isJson(text)).toBe(true);
    expect(accepts(text)).toBe(true);
  });

  it.each([
    ['nothing', ''],
    ['white space alone', ' \n'],
    ['a string without its end', '{"a": "b'],
    ['a string whose end is escaped', String.raw`["a\"]`],
    ['a long string without its end', `["${'x'.repeat(500)}`],
    ['an object without its end', '{"a": 1'],
    ['an array without its end', '[1, 2'],
    ['a bracket that closes something else', '{"a": [1}'],
    ['a comma before the end of an object', '{"a": 1,}'],
    ['a comma before the end of an array', '[1,]'],
    ['a comma at the start', '[,1]'],
    ['two commas', '[1,,2]'],
    ['no comma', '[1 2]'],
    ['no colon', '{"a" 1}'],
    ['two colons', '{"a":: 1}'],
    ['no value', '{"a":}'],
    ['a key without quotes', '{a: 1}'],
    ['a key that is a number', '{1: 1}'],
    ['single quotes', "{'a': 1}"],
    ['a comment', '{"a": 1 /* b */}'],
    ['literals that are misspelt', '[tru]'],
    ['a literal cut short', 'nul'],
    ['NaN', '[NaN]'],
    ['Infinity', '[-Infinity]'],
    ['undefined', '[undefined]'],
    ['a leading zero', '[01]'],
    ['a plus sign', '[+1]'],
    ['a lone minus', '[-]'],
    ['a point without digits', '[1.]'],
    ['a point at the start', '[.5]'],
    ['an exponent without digits', '[1e]'],
    ['a hexadecimal number', '[0x10]'],
    ['something behind the end', '{} {}'],
    ['a byte order mark', '\u{feff}{}'],
    ['a no-break space', '{\u{a0}}'],
  ])('refuses %s', (_, text) => {
    expect(isJson(text)).toBe(false);
    expect(accepts(text)).toBe(false);
  });

  it('says at which byte the fault is', () => {
    expect(() => skipValue(encode('["é", x]'), 0)).toThrow(expect.objectContaining({at: 7}));
  });

  it('refuses 100,000 levels without reading on, whether they close or not', () => {
    for (const text of [nested(100_000), '['.repeat(100_000), '{"a":['.repeat(100_000)]) {
      const at = text.startsWith('{') ? 249 * 6 + 5 : 499; // of the 500th bracket
      expect(() => skipValue(encode(text), 0)).toThrow(
        expect.objectContaining({message: expect.stringMatching(/nested deeper than 500/), at}),
      );
    }
  });

  it('does not mind how many containers stand side by side', () => {
    expect(accepts(`[${Array.from({length: 10_000}, () => '[{}]').join(',')}]`)).toBe(true);
  });

  it('accepts all that JSON.parse accepts', () => {
    fc.assert(
      fc.property(fc.json({depthSize: 'medium'}), (text) => accepts(text)),
      {numRuns: 500},
    );
  });

  /** Bytes that matter to the structure, so that most mutations hit it. */
  const fragment = fc.constantFrom(
    ...'{}[]",:\\ \n0123456789.eE+-truefalsn'.split(''),
    '\\"',
    '\\\\',
    '\\u0022',
    '"a":',
    'é',
  );
  const mutated = fc
    .tuple(fc.json(), fc.array(fc.tuple(fc.nat(), fc.nat({max: 3}), fragment), {minLength: 1, maxLength: 4}))
    .map(([text, changes]) =>
      changes.reduce((changed, [place, removed, added]) => {
        const at = place % (changed.length + 1);
        return changed.slice(0, at) + added + changed.slice(at + removed);
      }, text),
    );

  it('refuses nothing that JSON.parse accepts, and accepts nothing else but the inside of strings', () => {
    let refused = 0;
    fc.assert(
      fc.property(mutated, (text) => {
        const accepted = accepts(text);
        if (!accepted) refused += 1;
        if (accepted === isJson(text)) return true;
        // What JSON.parse refuses alone is a string's inside: with harmless strings in their place it agrees.
        return accepted && isJson(text.replace(/"(?:[^"\\]|\\[^])*"/g, '"s"'));
      }),
      {numRuns: 3_000},
    );
    expect(refused).toBeGreaterThan(300);
  });
});
