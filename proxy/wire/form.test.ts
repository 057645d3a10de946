import {describe, expect, it} from '@jest/globals';
import {growthOf, PROPORTIONAL} from '../../test/growth.ts';
import {RequestError} from './errors.ts';
import {boundaryOf, readForm, writeForm} from './form.ts';

const bytesOf = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0));
const textOf = (pieces: Uint8Array[]): string => pieces.map((piece) => String.fromCharCode(...piece)).join('');

const field = (name: string, value: string): string => `content-disposition: form-data; name="${name}"\r\n\r\n${value}`;
const file = `Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\nRIFF\r\n--\x00\xff\r\n--bound`;
const form = (...parts: string[]): string => `${parts.map((part) => `--bounds\r\n${part}\r\n`).join('')}--bounds--\r\n`;

const read = (text: string): ReturnType<typeof readForm> => readForm(bytesOf(text), 'bounds');
const refusal = (text: string): Pick<RequestError, 'code' | 'param' | 'message'> => {
  try {
    read(text);
  } catch (error) {
    if (error instanceof RequestError) return error;
    throw error;
  }
  throw new Error('the form was taken');
};

describe('the boundary of a form', () => {
  it.each([
    ['as it is', 'multipart/form-data; boundary=bounds', 'bounds'],
    ['quoted', 'multipart/form-data; boundary="a b:c"', 'a b:c'],
    ['quoted, with escapes', String.raw`multipart/form-data; boundary="a\"b"`, 'a"b'],
    ['in any case, behind others', 'Multipart/Form-Data;charset=utf-8 ; BOUNDARY=bounds', 'bounds'],
    ['before a stray semicolon', 'multipart/form-data; boundary=bounds;', 'bounds'],
    ['of 70 characters', `multipart/form-data; boundary=${'b'.repeat(70)}`, 'b'.repeat(70)],
    ['of 71 characters', `multipart/form-data; boundary=${'b'.repeat(71)}`, undefined],
    ['missing', 'multipart/form-data', undefined],
    ['empty', 'multipart/form-data; boundary=""', undefined],
    ['ending in a space', 'multipart/form-data; boundary="b "', undefined],
    ['named twice', 'multipart/form-data; boundary=a; boundary=b', undefined],
    ['that does not end', 'multipart/form-data; boundary="a', undefined],
    ['behind 15 others', `multipart/form-data${'; a=b'.repeat(15)}; boundary=bounds`, 'bounds'],
    ['behind more than anybody sends', `multipart/form-data${'; a=b'.repeat(16)}; boundary=bounds`, undefined],
    ['of another type', 'multipart/mixed; boundary=a', undefined],
    ['of a type that only begins like it', 'multipart/form-data-x; boundary=a', undefined],
    ['of nothing', '', undefined],
  ])('%s', (_, contentType, boundary) => {
    expect(boundaryOf(contentType)).toBe(boundary);
  });
});

describe('a form', () => {
  it.each([
    ['with the file first, as in the example of OpenAI', form(file, field('model', 'whisper'))],
    ['with the model first', form(field('model', 'whisper'), file)],
    ['with an unquoted name', form('Content-Disposition: form-data; name=model\r\n\r\nwhisper')],
    [
      'with other headers around it',
      form(`x-a: b\r\nCONTENT-DISPOSITION:form-data;name="model"\r\nc: d\r\n\r\nwhisper`),
    ],
    ['with a folded header', form('Content-Disposition: form-data;\r\n  name="model"\r\n\r\nwhisper')],
    ['with an escaped name', form(String.raw`content-disposition: form-data; name="mod\el"` + '\r\n\r\nwhisper')],
    ['with a file that is called model', form(field('model', 'whisper'), file.replace('"file"', '"model"'))],
    ['behind a preamble', `for old readers\r\n${form(field('model', 'whisper'))}`],
    ['before an epilogue', `${form(field('model', 'whisper'))}--bounds and whatever`],
    ['whose end is the last byte', form(field('model', 'whisper')).slice(0, -2)],
    ['with blanks behind its boundaries', form(field('model', 'whisper')).replaceAll(/--bounds(--)?/g, '$& \t')],
    ['with an empty field', form(field('prompt', ''), field('model', 'whisper'))],
    ['with 16 parameters', form(`content-disposition: form-data; name=model${'; a=b'.repeat(15)}\r\n\r\nwhisper`)],
  ])('%s', (_, text) => {
    const found = read(text);
    expect(found.model).toBe('whisper');
    expect(textOf(writeForm(found, undefined))).toBe(text);
    const at = text.indexOf('whisper');
    expect(textOf(writeForm(found, 'qwen-asr'))).toBe(`${text.slice(0, at)}qwen-asr${text.slice(at + 7)}`);
  });

  it('whose model is named in UTF-8 is read as that', () => {
    const bytes = new TextEncoder().encode(form(field('model', 'größer')));
    expect(readForm(bytes, 'bounds').model).toBe('größer');
  });

  it.each([
    ['true', true],
    ['True', true],
    ['1', true],
    ['false', false],
    ['', false],
  ])('that says stream=%s', (value, streamed) => {
    expect(read(form(field('stream', value), field('model', 'm'))).streamed).toBe(streamed);
  });

  it.each<[string, string, object, RegExp]>([
    ['without model', form(file), {code: 'missing_model', param: 'model'}, /needs a field "model"/],
    ['without parts', '--bounds--\r\n', {code: 'missing_model', param: 'model'}, /needs a field "model"/],
    ['with two', form(field('model', 'a'), file, field('model', 'a')), {code: 'invalid_form', param: 'model'}, /twice/],
    ['with an empty one', form(field('model', '')), {code: 'invalid_value', param: 'model'}, /not be empty/],
    ['with one that is no UTF-8', form(field('model', '\xff')), {code: 'invalid_value', param: 'model'}, /UTF-8/],
    ['that is empty', '', {code: 'invalid_form', param: null}, /boundary .* is not in it/],
    [
      'with another boundary',
      form(file).replaceAll('bounds', 'other'),
      {code: 'invalid_form', param: null},
      /is not in it/,
    ],
    [
      'cut in a file',
      form(field('model', 'a'), file).slice(0, -14),
      {code: 'invalid_form', param: null},
      /without its closing boundary/,
    ],
    [
      'cut in a boundary',
      form(field('model', 'a')).slice(0, -4),
      {code: 'invalid_form', param: null},
      /within a boundary/,
    ],
    [
      'cut in a header',
      '--bounds\r\nContent-Dispo',
      {code: 'invalid_form', param: null},
      /without its closing boundary/,
    ],
    [
      'with a boundary that goes on',
      form(field('model', 'a')).replace('--bounds\r', '--boundsX\r'),
      {code: 'invalid_form', param: null},
      /goes on/,
    ],
    [
      'with an end that goes on',
      `${form(field('model', 'a')).trimEnd()}xyz`,
      {code: 'invalid_form', param: null},
      /goes on/,
    ],
    ['with a part without headers', form('\r\nwhisper'), {code: 'invalid_form', param: null}, /content-disposition/],
    [
      'with a part without anything',
      '--bounds\r\n--bounds--',
      {code: 'invalid_form', param: null},
      /headers of a part/,
    ],
    [
      'with headers without end',
      form('Content-Disposition: form-data; name=model'),
      {code: 'invalid_form', param: null},
      /empty line/,
    ],
    [
      'with headers that are too long',
      form(`x: ${'y'.repeat(20_000)}\r\n${field('model', 'a')}`),
      {code: 'invalid_form', param: null},
      /empty line/,
    ],
    [
      'with a part without a name',
      form('Content-Disposition: form-data\r\n\r\na'),
      {code: 'invalid_form', param: null},
      /name="model"/,
    ],
    [
      'with a part of another kind',
      form('Content-Disposition: attachment; name=model\r\n\r\na'),
      {code: 'invalid_form', param: null},
      /form-data/,
    ],
    [
      'with two names',
      form('Content-Disposition: form-data; name=a; name=model\r\n\r\na'),
      {code: 'invalid_form', param: null},
      /one header/,
    ],
    [
      'with two dispositions',
      form(`content-disposition: form-data; name=a\r\n${field('model', 'a')}`),
      {code: 'invalid_form', param: null},
      /one header/,
    ],
    [
      'with more parameters than anybody sends',
      form(`content-disposition: form-data; name=model${'; a=b'.repeat(16)}\r\n\r\na`),
      {code: 'invalid_form', param: null},
      /one header/,
    ],
    [
      'with thousands of one parameter',
      form(`content-disposition: form-data; name=model${';a=b'.repeat(4_000)}\r\n\r\na`),
      {code: 'invalid_form', param: null},
      /one header/,
    ],
    [
      'with more parts than anybody sends',
      form(...Array.from({length: 1_001}, () => field('a', ''))),
      {code: 'invalid_form', param: null},
      /1000 parts/,
    ],
  ])('%s is refused', (_, text, expected, message) => {
    const error = refusal(text);
    expect({code: error.code, param: error.param}).toEqual(expected);
    expect(error.message).toMatch(message);
  });

  it('cut at any byte is refused, and never read as another', () => {
    const whole = form(file, field('model', 'whisper'), field('language', 'en'));
    for (let length = 0; length < whole.length - 2; length += 1)
      expect(['invalid_form', 'missing_model']).toContain(refusal(whole.slice(0, length)).code);
  });

  it.each([
    ['of noise', (index: number) => (index * 2_654_435_761) >>> 24],
    ['of hyphens', () => 0x2d],
    ['of line ends', (index: number) => (index % 2 === 0 ? 0x0d : 0x0a)],
  ])('with a file of 16 MB %s is read in time in proportion, the longest boundary of hyphens included', (_, byteAt) => {
    const boundary = '-'.repeat(70);
    const before = bytesOf(`--${boundary}\r\ncontent-disposition: form-data; name=file; filename=a\r\n\r\n.`);
    const after = bytesOf(`.\r\n--${boundary}\r\n${field('model', 'whisper')}\r\n--${boundary}--`);
    const bytes = new Uint8Array(before.length + 16_000_000 + after.length);
    for (let index = 0; index < 16_000_000; index += 1) bytes[before.length + index] = byteAt(index);
    bytes.set(before);
    const read = (length: number): void => {
      const body = length === 16_000_000 ? bytes : bytes.slice(0, before.length + length + after.length);
      body.set(after, before.length + length);
      expect(readForm(body, boundary).model).toBe('whisper');
    };
    expect(growthOf(read, 2_000_000)).toBeLessThan(PROPORTIONAL);
  });

  it.each([
    ['parameters', (length: number) => `${';a=b'.repeat(14)};c=${'d'.repeat(length)}`],
    ['blanks', (length: number) => `;${' '.repeat(length / 2)}a${' '.repeat(length / 2)}=b`],
    ['escapes', (length: number) => `;a="${'\\\\'.repeat(length / 2)}"`],
    ['folds', (length: number) => ';a=b\r\n '.repeat(14).padEnd(length, ' ')],
  ])('with 250 parts whose headers are as long as may be, of %s, is read in time in proportion', (_, parameters) => {
    const bodyOf = (length: number): Uint8Array => {
      const long = `content-disposition: form-data; name=a${parameters(length)}\r\n\r\n`;
      return bytesOf(form(...Array.from({length: 250}, () => long), field('model', 'whisper')));
    };
    const bodies = new Map([2_000, 16_000].map((length) => [length, bodyOf(length)]));
    const read = (length: number): void => expect(readForm(bodies.get(length)!, 'bounds').model).toBe('whisper');
    expect(growthOf(read, 2_000)).toBeLessThan(PROPORTIONAL);
  });

  it('with 999 parts of thousands of parameters is refused at the first of them', () => {
    const long = `content-disposition: form-data; name=a${';a=b'.repeat(4_000)}\r\n\r\n`;
    const bytes = new TextEncoder().encode(form(...Array.from({length: 999}, () => long), field('model', 'whisper')));
    expect(() => readForm(bytes, 'bounds')).toThrow(/one header/);
  });
});
