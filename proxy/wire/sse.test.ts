import {describe, expect, it} from '@jest/globals';
import {growthOf, PROPORTIONAL} from '../../test/growth.ts';
import * as fc from 'fast-check';
import {createSseSplitter, writeEvent, type SseEvent} from './sse.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array): string => new TextDecoder('utf-8', {ignoreBOM: true}).decode(bytes);

const split = (...chunks: Uint8Array[]): SseEvent[] => {
  const splitter = createSseSplitter();
  return chunks.flatMap((chunk) => splitter.push(chunk));
};

/** Without events that say nothing, which is what the second half of a parted CRLF makes. */
const fieldsOf = (events: SseEvent[]): Pick<SseEvent, 'name' | 'data'>[] =>
  events.map(({name, data}) => ({name, data}));

const dataOf = (text: string): (string | undefined)[] => split(encode(text)).map(({data}) => data);

describe('the events of a stream', () => {
  it.each<[string, string, (string | undefined)[]]>([
    ['one line of data', 'data: a\n\n', ['a']],
    ['no space behind the colon', 'data:a\n\n', ['a']],
    ['only the first space taken', 'data:  a\n\n', [' a']],
    ['data of several lines', 'data: a\ndata: b\ndata:\ndata: c\n\n', ['a\nb\n\nc']],
    ['data without a colon', 'data\n\n', ['']],
    ['empty data', 'data:\n\n', ['']],
    ['a colon in the data', 'data: {"a": "b:c"}\n\n', ['{"a": "b:c"}']],
    ['a comment', ': ping\n\n', [undefined]],
    ['a comment beside data', ': ping\ndata: a\n\n', ['a']],
    ['fields that nobody knows', 'id: 7\nretry: 10\nfoo: bar\ndata: a\n\n', ['a']],
    ['a field that only begins like data', 'database: a\n\n', [undefined]],
    ['a field in another case', 'Data: a\n\n', [undefined]],
    ['CRLF', 'data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n', ['a\nb', 'c']],
    ['CR', 'data: a\rdata: b\r\rdata: c\r\r', ['a\nb', 'c']],
    ['line ends of all kinds', 'data: a\r\ndata: b\rdata: c\n\r\ndata: d\n\r', ['a\nb\nc', 'd']],
    ['a CR within what ends like one line of data', 'data: a\rdata: b\n\n', ['a\nb']],
    ['a LF between CRs', 'data: a\r\n\rdata: b\n\n', ['a', 'b']],
    ['an event that is not ended', 'data: a\n\ndata: b\n', ['a']],
    ['letters outside of ASCII', 'data: añ🙂\n\n', ['añ🙂']],
  ])('are read with %s', (_, text, expected) => {
    expect(dataOf(text)).toEqual(expected);
  });

  it('carry the last name', () => {
    expect(fieldsOf(split(encode('event: error\ndata: a\n\nevent: x\nevent:y\n\n')))).toEqual([
      {name: 'error', data: 'a'},
      {name: 'y', data: undefined},
    ]);
  });

  it('lose the byte order mark of the stream, wherever the chunks part', () => {
    const bytes = encode('\u{feff}data: a\n\ndata: b\n\n');
    for (let at = 0; at <= bytes.length; at += 1) {
      const events = split(bytes.subarray(0, at), bytes.subarray(at));
      expect(events.map(({data}) => data)).toEqual(['a', 'b']);
      expect(events.map(({raw}) => decode(raw)).join('')).toBe('data: a\n\ndata: b\n\n');
    }
  });

  it('keep a byte order mark that stands elsewhere: there it is a letter of a field that nobody knows', () => {
    expect(dataOf('data: a\n\n\u{feff}data: b\n\ndata: \u{feff}c\n\n')).toEqual(['a', undefined, '\u{feff}c']);
  });
});

describe('a splitter', () => {
  const line = fc.oneof(
    fc.constantFrom('data: a', 'data', 'data:', ': ping', 'event: error', 'id: 7', '{"a":1}', 'é🙂'),
    fc.string({maxLength: 12}).map((text) => `data: ${text.replace(/[\r\n]/g, ' ')}`),
  );
  const lineEnd = fc.constantFrom('\n', '\r\n', '\r');
  const streamText = fc
    .array(fc.tuple(fc.array(fc.tuple(line, lineEnd), {minLength: 1, maxLength: 4}), lineEnd), {maxLength: 5})
    .map((events) => events.map(([lines, end]) => lines.flat().join('') + end).join(''));

  it('finds the same events and loses no byte, wherever a stream is parted', () => {
    let parted = 0;
    fc.assert(
      fc.property(streamText, (text) => {
        const bytes = encode(text);
        const whole = fieldsOf(split(bytes));
        for (let at = 0; at <= bytes.length; at += 1) {
          const splitter = createSseSplitter();
          const events = [...splitter.push(bytes.subarray(0, at)), ...splitter.push(bytes.subarray(at))];
          const sent = events.reduce((sum, {raw}) => sum + raw.length, 0);
          expect(fieldsOf(events)).toEqual(whole);
          expect(sent + splitter.pendingBytes()).toBe(bytes.length);
          expect(events.map(({raw}) => decode(raw)).join('')).toBe(decode(bytes.subarray(0, sent)));
          parted += 1;
        }
      }),
    );
    expect(parted).toBeGreaterThan(1_000);
  });

  it('finds the same events in single bytes', () => {
    fc.assert(
      fc.property(streamText, (text) => {
        const bytes = encode(text);
        const single = Array.from(bytes, (_, at) => bytes.subarray(at, at + 1));
        expect(fieldsOf(split(...single))).toEqual(fieldsOf(split(bytes)));
      }),
    );
  });

  it('gives an event out with the byte that ends it', () => {
    const splitter = createSseSplitter();
    expect(splitter.push(encode('data: a\r\n'))).toEqual([]);
    expect(splitter.pendingBytes()).toBe(9);
    expect(splitter.push(encode('\r'))).toHaveLength(1);
    expect(splitter.pendingBytes()).toBe(0);
    expect(splitter.push(encode('\n'))).toEqual([]);
    expect(fieldsOf(splitter.push(encode('data: b\r\n\r\n')))).toEqual([{name: '', data: 'b'}]);
  });

  it('does not change with the chunk that it was given', () => {
    const splitter = createSseSplitter();
    const chunk = encode('data: a');
    splitter.push(chunk);
    chunk.fill(0);
    expect(splitter.push(encode('b\n\n'))[0]?.data).toBe('ab');
  });

  it('takes time in proportion to an event, however many chunks bring it', () => {
    const chunk = new Uint8Array(8_192).fill(0x78);
    const take = (chunks: number): void => {
      const splitter = createSseSplitter();
      splitter.push(encode('data: '));
      for (let count = 0; count < chunks; count += 1) splitter.push(chunk);
      expect(splitter.push(encode('\n\n'))[0]?.data).toHaveLength(chunks * 8_192);
    };
    expect(growthOf(take, 250)).toBeLessThan(PROPORTIONAL);
  });

  it('does not hold a buffer for every byte of an event that comes in single bytes', () => {
    const slab = new Uint8Array(800_000).fill(0x78);
    const take = (count: number): void => {
      const splitter = createSseSplitter();
      for (let at = 0; at < count; at += 1) splitter.push(slab.subarray(at, at + 1));
      expect(splitter.pendingBytes()).toBe(count);
    };
    expect(growthOf(take, 100_000)).toBeLessThan(PROPORTIONAL);
  });

  it('reads what is written', () => {
    expect(fieldsOf(split(encode(writeEvent('{"a":1}', 'ping') + writeEvent('b'))))).toEqual([
      {name: 'ping', data: '{"a":1}'},
      {name: '', data: 'b'},
    ]);
  });
});
