import {describe, expect, it} from '@jest/globals';
import * as fc from 'fast-check';
import {chat} from './chat.ts';
import {completions} from './completions.ts';
import {embeddings} from './embeddings.ts';
import {RequestError} from './errors.ts';
import {mustAskForUsage, readRequest, writeBody, type BodyChanges, type InferenceRequest} from './request.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

const read = (text: string, api = chat): InferenceRequest => readRequest(api, encode(text));

const refusal = (text: string, api = chat): {code: string; param: string | null} => {
  try {
    read(text, api);
  } catch (error) {
    if (error instanceof RequestError) return {code: error.code, param: error.param};
    throw error;
  }
  throw new Error('it was accepted');
};

const streamed = (fields: string): string => `{"model":"chat","stream":true${fields === '' ? '' : `,${fields}`}}`;

const write = (text: string, changes: Partial<BodyChanges>, api = chat): string =>
  decode(writeBody(read(text, api), {model: undefined, askForUsage: false, ...changes}));

describe('reading a request', () => {
  it.each([
    ['plain', '{"model":"chat"}', 'chat'],
    ['with slashes and colons', '{"model":"org/name:7b-q4"}', 'org/name:7b-q4'],
    ['with escapes', String.raw`{"model":"a\"b\\\u00e9"}`, 'a"b\\é'],
    ['outside of ASCII', '{"model":"naïve-🙂"}', 'naïve-🙂'],
    ['under an escaped key', String.raw`{"\u006dodel":"chat"}`, 'chat'],
    ['of 300 letters', `{"model":"${'m'.repeat(300)}"}`, 'm'.repeat(300)],
  ])('takes a model name %s', (_, text, model) => {
    expect(read(text).model).toBe(model);
  });

  it.each([
    ['nothing', '', 'invalid_json', null],
    ['text', 'hello', 'invalid_json', null],
    ['a JSON string', '"model"', 'invalid_json', null],
    ['an array', '[{"model":"chat"}]', 'invalid_json', null],
    ['null', 'null', 'invalid_json', null],
    ['half an object', '{"model":"chat"', 'invalid_json', null],
    ['two objects', '{"model":"chat"}{}', 'invalid_json', null],
    ['a comma too many', '{"model":"chat",}', 'invalid_json', null],
    ['100,000 levels', `{"model":"chat","a":${'['.repeat(100_000)}`, 'invalid_json', null],
    ['the model twice', '{"model":"a","model":"b"}', 'invalid_json', 'model'],
    ['the model twice, once escaped', String.raw`{"model":"a","mod\u0065l":"b"}`, 'invalid_json', 'model'],
    ['stream twice', '{"model":"a","stream":true,"stream":false}', 'invalid_json', 'stream'],
    ['the messages twice', '{"model":"a","messages":[],"messages":[]}', 'invalid_json', 'messages'],
    ['an unknown escape in the model', String.raw`{"model":"\x"}`, 'invalid_json', null],
    ['no model', '{"messages":[]}', 'missing_model', 'model'],
    ['a model that is null', '{"model":null}', 'invalid_value', 'model'],
    ['a model that is a number', '{"model":1}', 'invalid_value', 'model'],
    ['a model that is a list', '{"model":["chat"]}', 'invalid_value', 'model'],
    ['an empty model', '{"model":""}', 'invalid_value', 'model'],
    ['stream as text', '{"model":"a","stream":"true"}', 'invalid_value', 'stream'],
    ['stream as a number', '{"model":"a","stream":1}', 'invalid_value', 'stream'],
    [
      'include_usage twice',
      streamed('"stream_options":{"include_usage":true,"include_usage":false}'),
      'invalid_json',
      'stream_options.include_usage',
    ],
  ])('refuses %s', (_, text, code, param) => {
    expect(refusal(text)).toEqual({code, param});
  });

  it('lets a key that nobody reads stand twice', () => {
    expect(read('{"model":"chat","user":"a","user":"b"}').model).toBe('chat');
  });

  it.each([
    ['true', '{"model":"a","stream":true}', chat, true],
    ['false', '{"model":"a","stream":false}', chat, false],
    ['null', '{"model":"a","stream":null}', chat, false],
    ['absent', '{"model":"a"}', chat, false],
    ['true, of an API that does not stream', '{"model":"a","stream":true}', embeddings, false],
  ])('knows a stream when it is %s', (_, text, api, expected) => {
    expect(read(text, api).answer).toBe(expected ? 'Events' : 'Whole');
  });

  it.each([
    ['one where n is absent', chat, '"messages":[]', 1],
    ['n', chat, '"n":3', 3],
    ['one where n is null', chat, '"n":null', 1],
    ['one where n is text: the backend will refuse it', chat, '"n":"3"', 1],
    ['one where n is 0', chat, '"n":0', 1],
    ['one where n is negative', chat, '"n":-2', 1],
    ['one where n is a fraction', chat, '"n":1.5', 1],
    ['one for a prompt', completions, '"prompt":"a, b"', 1],
    ['one for each of the prompts', completions, '"prompt":["a","b","c"]', 3],
    ['one for token ids', completions, '"prompt":[1,2,3]', 1],
    ['one for each list of token ids', completions, '"prompt":[[1,2],[3]]', 2],
    ['one for an empty list', completions, '"prompt":[]', 1],
    ['n for each prompt', completions, '"prompt":["a","b"],"n":2', 4],
  ])('waits for as many choices as were asked for: %s', (_, api, fields, choices) => {
    expect(read(streamed(fields), api).choices).toBe(choices);
  });
});

describe('writing a request', () => {
  it.each([
    ['nothing changes', {}, '{ "model" : "chat" }', '{ "model" : "chat" }'],
    ['the name is the same', {model: 'chat'}, '{"model":"chat"}', '{"model":"chat"}'],
    ['the name is longer', {model: 'gpt-4.1-mini'}, '{"a":1, "model":"chat" }', '{"a":1, "model":"gpt-4.1-mini" }'],
    ['the name is shorter', {model: 'm'}, '{"model":"chat","a":"é🙂"}', '{"model":"m","a":"é🙂"}'],
    ['the name needs escapes', {model: 'a"\\b'}, '{"model":"chat"}', String.raw`{"model":"a\"\\b"}`],
    ['the name is outside of ASCII', {model: 'é🙂'}, '{"model":"chat"}', String.raw`{"model":"\u00e9\ud83d\ude42"}`],
    ['a key looks like it', {model: 'm'}, '{"x":{"model":"b"},"model":"chat"}', '{"x":{"model":"b"},"model":"m"}'],
  ])('where %s', (_, changes, text, expected) => {
    expect(write(text, changes)).toBe(expected);
  });

  it('gives the very bytes of the caller where nothing changes', () => {
    const body = encode('{"model":"chat"}');
    expect(writeBody(readRequest(chat, body), {model: 'chat', askForUsage: false})).toBe(body);
  });

  it.each([
    ['absent', '', ''],
    ['null', '"stream_options":null', '"stream_options":{"include_usage":true}'],
    ['empty', '"stream_options":{ }', '"stream_options":{ "include_usage":true}'],
    [
      'with another key',
      '"stream_options":{"x":12345678901234567890}',
      '"stream_options":{"include_usage":true,"x":12345678901234567890}',
    ],
    ['false', '"stream_options":{"include_usage":false}', '"stream_options":{"include_usage":true}'],
    [
      'null in it',
      '"stream_options":{"a":1, "include_usage": null }',
      '"stream_options":{"a":1, "include_usage": true }',
    ],
  ])('asks for usage where stream_options is %s', (_, fields, expected) => {
    const request = read(streamed(fields));
    expect(request.wantsUsage).toBe(false);
    expect(mustAskForUsage(request)).toBe(true);
    const written = write(streamed(fields), {askForUsage: true});
    const inserted = '"stream_options":{"include_usage":true},';
    expect(written).toBe(expected === '' ? `{"model":"chat",${inserted}"stream":true}` : streamed(expected));
    expect(JSON.parse(written)).toHaveProperty('stream_options.include_usage', true);
  });

  it.each([
    ['asked for', '"stream_options":{"include_usage":true}'],
    ['asked for in words that only the backend can judge', '"stream_options":{"include_usage":1}'],
    ['asked for with options that are text', '"stream_options":"include_usage"'],
    ['asked for with options that are a list', '"stream_options":[]'],
    ['asked for with options that are true', '"stream_options":true'],
  ])('changes nothing where usage is %s', (_, fields) => {
    const request = read(streamed(fields));
    expect(request.wantsUsage).toBe(true);
    expect(mustAskForUsage(request)).toBe(false);
    expect(write(streamed(fields), {askForUsage: true})).toBe(streamed(fields));
  });

  it.each([
    ['is not streamed', '{"model":"a"}', chat],
    ['has no stream options', '{"model":"a","stream":true}', embeddings],
  ])('need not ask for usage where an answer %s', (_, text, api) => {
    expect(mustAskForUsage(read(text, api))).toBe(false);
  });

  it.each([
    ['behind the model', '{"model":"chat","stream":true,"stream_options":null}'],
    ['before the model', '{"stream_options":null,"stream":true,"model":"chat"}'],
    ['nowhere', '{"stream":true,"model":"chat"}'],
  ])('makes both changes with the options %s', (_, text) => {
    expect(JSON.parse(write(text, {model: 'other', askForUsage: true}))).toEqual({
      model: 'other',
      stream: true,
      stream_options: {include_usage: true},
    });
  });

  /** Puts the two changes into any body, and compares with what JSON says, and with the bytes around them. */
  it('never changes another byte', () => {
    const member = fc.tuple(
      fc
        .string({unit: 'binary', maxLength: 12})
        .filter((key) => !['model', 'stream', 'stream_options', 'messages', 'n', 'prompt_cache_key'].includes(key)),
      fc.json(),
    );
    const space = fc.constantFrom('', ' ', '\n\t');
    fc.assert(
      fc.property(
        fc.array(member),
        fc.array(member),
        space,
        fc.string({unit: 'binary', minLength: 1}),
        (before, after, gap, model) => {
          const members = (list: [string, string][]): string[] =>
            list.map(([key, value]) => `${gap}${JSON.stringify(key)}:${value}`);
          const head = `{${[...members(before), `"stream":${gap}true`, ''].join(',')}"model":${gap}`;
          const tail = `${gap}${['', ...members(after)].join(',')}}`;
          const bytes = encode(`${head}"chat"${tail}`);
          const dirty = (length: number): Uint8Array => new Uint8Array(length).fill(0x7e);
          const written = decode(writeBody(readRequest(chat, bytes), {model, askForUsage: true}, dirty));
          expect(written.startsWith(head)).toBe(true);
          expect(written.endsWith(tail)).toBe(true);
          const middle = written.slice(head.length, written.length - tail.length);
          expect(JSON.parse(`{"model":${middle}}`)).toEqual({
            model,
            stream_options: {include_usage: true},
          });
        },
      ),
    );
  });
});
