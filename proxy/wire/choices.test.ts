import {describe, expect, it} from '@jest/globals';
import type {StreamReader} from './api.ts';
import {chat} from './chat.ts';
import {createSseSplitter, readEvent} from './sse.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

const readerOf = (...chunks: (object | string)[]): StreamReader => {
  const reader = chat.createStreamReader(1);
  for (const chunk of chunks) {
    const data = typeof chunk === 'string' ? chunk : JSON.stringify(chunk);
    reader.read(readEvent(encode(`data: ${data}\n\n`)));
  }
  return reader;
};

const delta = (fields: object, finish: string | null = null, index = 0): object => ({
  choices: [{index, delta: fields, finish_reason: finish}],
});

describe('a streamed answer', () => {
  it('has finished with its last choice, whatever their order', () => {
    const reader = chat.createStreamReader(2);
    const read = (chunk: object): boolean => {
      reader.read(readEvent(encode(`data: ${JSON.stringify(chunk)}\n\n`)));
      return reader.finished();
    };
    expect(read(delta({content: 'a'}))).toBe(false);
    expect(read(delta({}, 'stop', 1))).toBe(false);
    expect(read(delta({}, 'stop', 1))).toBe(false);
    expect(read(delta({}, 'length', 0))).toBe(true);
  });

  it('ends with [DONE], also with a space behind it', () => {
    expect(readerOf('[DONE]').ended()).toBe(true);
    expect(readerOf('[DONE] ').ended()).toBe(true);
    expect(readerOf('"[DONE]"').ended()).toBe(false);
  });

  it('keeps the last usage that it reports', () => {
    const usage = (completion: number): object => ({
      choices: [],
      usage: {prompt_tokens: 1, completion_tokens: completion},
    });
    expect(readerOf(usage(1), usage(2), {choices: [], usage: null}).usage()).toMatchObject({completionTokens: 2});
  });

  it.each([
    [
      'a token for each piece, and none for the finish',
      [delta({role: 'assistant', content: ''}), delta({content: ' a'}), delta({content: ' b'}), delta({}, 'stop')],
      2,
    ],
    ['four characters a token where a piece holds many', [delta({content: 'x'.repeat(400)})], 100],
    ['the arguments of tools', [delta({tool_calls: [{function: {name: 'f', arguments: 'x'.repeat(39)}}]})], 10],
    ['nothing of nothing', [delta({role: 'assistant'})], 0],
  ])('is counted as %s', (_, chunks, tokens) => {
    expect(readerOf(...chunks).contentEvents()).toBe(tokens);
  });

  it('ends, when it is cut, in an error and the partial usage, and in nothing that looks like an end', () => {
    const error = {message: 'm', type: 'api_error', param: null, code: 'stream_cut', backend: 'a', attempts: 2};
    const text = chat.errorEvent(error, {promptTokens: 3, completionTokens: 4, estimated: true});
    const [event] = createSseSplitter().push(encode(text));
    expect(JSON.parse(event?.data ?? '')).toEqual({
      error,
      usage: {prompt_tokens: 3, completion_tokens: 4, total_tokens: 7, estimated: true},
    });
    expect(chat.createStreamReader(1).read(event!).kind).toBe('Error');
    expect(JSON.parse(chat.errorEvent(error, undefined).slice('data: '.length))).toEqual({error});
  });
});
