import {describe, expect, it} from '@jest/globals';
import type {AnswerReading, StreamReader} from './api.ts';
import {chat} from './chat.ts';
import {completions} from './completions.ts';
import {embeddings} from './embeddings.ts';
import {JsonSyntaxError} from './json-scan.ts';
import {readErrorBody, readErrorValue} from './openai.ts';
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

describe('an error of a backend', () => {
  it.each([
    ["OpenAI's code", {code: 'context_length_exceeded', message: 'Too much.'}],
    ["llama.cpp's type", {code: 400, type: 'exceed_context_size_error', message: 'request (20019 tokens) exceeds'}],
    ["vLLM's words", {code: 400, message: "This model's maximum context length is 4096 tokens."}],
    ['other words', {message: 'prompt is too long: 210000 tokens > 200000 maximum'}],
  ])('tells of a prompt that is too long by %s', (_, error) => {
    expect(readErrorValue(error).contextLengthExceeded).toBe(true);
  });

  it.each([
    ['a prompt', {message: 'Invalid value for temperature.', code: 'invalid_value'}],
    ['an output', {message: 'max_tokens is too large'}],
  ])('does not tell of %s that is too long when it is not', (_, error) => {
    expect(readErrorValue(error)).toMatchObject({
      contextLengthExceeded: false,
      contentFiltered: false,
      modelMissing: false,
    });
  });

  it.each([
    ['code content_filter', {code: 'content_filter', message: 'Filtered.'}],
    ['type content_filter', {type: 'content_filter', message: 'Filtered.'}],
    ['code content_policy_violation', {code: 'content_policy_violation', message: 'Rejected.'}],
  ])('tells of a content filter by %s', (_, error) => {
    expect(readErrorValue(error).contentFiltered).toBe(true);
  });

  it.each([
    ['OpenAI', {code: 'model_not_found', message: 'x'}],
    ['vLLM', {message: 'The model `chat` does not exist.', code: 404}],
    ['Ollama', {message: 'model "chat" not found, try pulling it first'}],
  ])('tells of a missing model as %s does', (_, error) => {
    expect(readErrorValue(error).modelMissing).toBe(true);
  });

  it.each([
    ['an error member', '{"error":{"message":"a","type":"t","param":"p","code":"c"}}', 'a'],
    ['an error member that is text', '{"error":"a"}', 'a'],
    ['no error member', '{"object":"error","message":"a","code":400}', 'a'],
    ['an error member that is null', '{"error":null,"message":"a"}', 'a'],
    ["FastAPI's detail", '{"detail":"a"}', 'a'],
    ['a list', '[{"error":{"message":"a"}}]', 'The backend gave no message.'],
    ['HTML', '<html>10.0.0.1 is down</html>', 'The backend gave no message.'],
    ['nothing', '', 'The backend gave no message.'],
  ])('is read from a body with %s', (_, body, message) => {
    expect(readErrorBody(encode(body)).message).toBe(message);
  });

  it.each([
    [{code: 429}, 429],
    [{code: 'rate_limit'}, undefined],
    [{status: 503}, 503],
    [{code: 7}, undefined],
    [{code: 200}, undefined],
  ])('that is %j stands for status %s', (error, status) => {
    expect(readErrorValue(error).status).toBe(status);
  });
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

  it.each([
    ['empty', {}],
    ['null', null],
    ['text', 'many'],
    ['without numbers', {prompt_tokens: null}],
    ['with negative numbers', {prompt_tokens: -1, completion_tokens: -1}],
  ])('reports no usage where it is %s', (_, usage) => {
    expect(readerOf({choices: [], usage}).usage()).toBeUndefined();
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

describe('a whole answer', () => {
  const usage = {prompt_tokens: 3, completion_tokens: 4};
  const read = (body: unknown, api = chat): AnswerReading => api.readAnswer(encode(JSON.stringify(body)));

  it.each<[string, AnswerReading, AnswerReading]>([
    ['its usage', read({choices: [], usage}), {usage: {promptTokens: 3, completionTokens: 4, estimated: false}}],
    [
      'its usage, of embeddings',
      read({data: [], usage: {prompt_tokens: 3, total_tokens: 3}}, embeddings),
      {usage: {promptTokens: 3, completionTokens: 0, estimated: false}},
    ],
    [
      'no problem where error is null',
      read({choices: [], error: null, usage}),
      {usage: {promptTokens: 3, completionTokens: 4, estimated: false}},
    ],
    ['that a list is missing', read({message: 'hi'}), {problem: 'the answer has no list "choices"'}],
    ['that the list is none', read({choices: {}}), {problem: 'the answer has no list "choices"'}],
    ['that the list has another name', read({choices: []}, embeddings), {problem: 'the answer has no list "data"'}],
    [
      'the length of a message',
      read({choices: [{message: {content: 'Hello', reasoning_content: 'Hm'}}]}),
      {contentLength: 7},
    ],
    ['the length of all choices', read({choices: [{text: 'ab'}, {text: 'cd'}]}, completions), {contentLength: 4}],
    ['no length of vectors', read({data: [{embedding: [1, 2, 3]}]}, embeddings), {contentLength: 0}],
    [
      'the length of tool calls',
      read({choices: [{message: {content: null, tool_calls: [{function: {name: 'f', arguments: '{}'}}]}}]}),
      {contentLength: 3},
    ],
  ])('tells %s', (_, reading, expected) => {
    expect(reading).toEqual(expected);
  });

  it('may be an error', () => {
    expect(read({error: {message: 'No.', code: 503}}).error).toMatchObject({message: 'No.', status: 503});
  });

  it.each(['', '{', '{"choices":[', '<html>', '[]', '{"choices":[]}}'])('is refused when it is %j', (body) => {
    expect(() => chat.readAnswer(encode(body))).toThrow(JsonSyntaxError);
  });
});
