import {describe, expect, it} from '@jest/globals';
import type {EventReading, StreamReader, WireApi} from './api.ts';
import {images} from './images.ts';
import {messages} from './messages.ts';
import {responses} from './responses.ts';
import {speech} from './speech.ts';
import {createSseSplitter} from './sse.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

const readText = (reader: StreamReader, text: string): EventReading[] =>
  createSseSplitter()
    .push(encode(text))
    .map((event) => reader.read(event));

const readOne = (api: WireApi, value: object): string =>
  readText(api.createStreamReader(1), `data: ${JSON.stringify(value)}\n\n`)[0]!.kind;

describe('an event of a typed stream', () => {
  it.each<[WireApi, string, object]>([
    [responses, 'Content', {type: 'response.output_text.delta', delta: 'a'}],
    [responses, 'Content', {type: 'response.audio.delta', delta: 'AAAA'}],
    [responses, 'Content', {type: 'response.mcp_call_arguments.delta', delta: '{'}],
    [responses, 'Content', {type: 'response.code_interpreter_call_code.delta', delta: 'x'}],
    [responses, 'Content', {type: 'response.completed'}],
    [responses, 'Content', {type: 'response.cancelled'}],
    [responses, 'Neither', {type: 'response.output_text.delta', delta: ''}],
    [responses, 'Progress', {type: 'response.reasoning.delta', delta: {text: 'a'}}],
    [responses, 'Progress', {type: 'response.mcp_list_tools.in_progress'}],
    [responses, 'Progress', {type: 'response.output_text.annotation.added'}],
    [responses, 'Neither', {type: 'response.queued'}],
    [responses, 'Neither', {type: 'keepalive', sequence_number: 3}],
    [responses, 'Neither', {}],
    [responses, 'Neither', {type: 7}],
    [responses, 'Neither', {type: 'constructor'}],
    [responses, 'Error', {type: 'error', message: 'a'}],
    [responses, 'Error', {type: 'response.failed', response: null}],
    [messages, 'Content', {type: 'content_block_delta', delta: {type: 'text_delta', text: 'a'}}],
    [messages, 'Content', {type: 'content_block_delta', delta: {type: 'thinking_delta', thinking: 'a'}}],
    [messages, 'Content', {type: 'content_block_delta', delta: {type: 'input_json_delta', partial_json: '{'}}],
    [messages, 'Content', {type: 'message_stop'}],
    [messages, 'Progress', {type: 'content_block_delta', delta: {type: 'input_json_delta', partial_json: ''}}],
    [messages, 'Progress', {type: 'content_block_delta', delta: {type: 'citations_delta', citation: {}}}],
    [messages, 'Progress', {type: 'content_block_delta'}],
    [messages, 'Neither', {type: 'message_start', message: {content: []}}],
    [messages, 'Neither', {type: 'ping'}],
    [messages, 'Neither', {}],
    [messages, 'Neither', {type: 'toString'}],
    [messages, 'Error', {type: 'error', error: {type: 'overloaded_error', message: 'a'}}],
    [speech, 'Content', {type: 'speech.audio.delta', audio: 'AAAA'}],
    [speech, 'Neither', {type: 'speech.audio.delta', audio: ''}],
    [speech, 'Content', {type: 'speech.audio.done'}],
    [images, 'Content', {type: 'image_generation.partial_image', b64_json: 'AAAA'}],
    [images, 'Content', {type: 'image_generation.completed', b64_json: 'AAAA'}],
    [images, 'Error', {error: {message: 'a'}}],
  ])('of $name is $1 where it is %j', (api, kind, value) => {
    expect(readOne(api, value)).toBe(kind);
  });
});

describe('a typed stream', () => {
  const delta = 'data: {"type":"response.output_text.delta","delta":"abcdefgh"}\n\n';

  it('has ended with its last event', () => {
    const reader = responses.createStreamReader(1);
    readText(reader, delta);
    expect([reader.finished(), reader.ended()]).toEqual([false, false]);
    readText(reader, 'data: {"type":"response.completed"}\n\n');
    expect([reader.finished(), reader.ended()]).toEqual([true, true]);
  });

  it('has ended unfinished with a [DONE] that comes first', () => {
    const reader = responses.createStreamReader(1);
    readText(reader, `${delta}data: [DONE]\n\n`);
    expect([reader.finished(), reader.ended()]).toEqual([false, true]);
  });

  it('has ended with as many ends as answers were asked for', () => {
    const reader = images.createStreamReader(2);
    const completed = 'data: {"type":"image_generation.completed"}\n\n';
    readText(reader, completed);
    expect(reader.finished()).toBe(false);
    readText(reader, completed);
    expect(reader.finished()).toBe(true);
  });

  it.each([
    ['a token for each piece', 'a', 3, 3],
    ['four characters a token where a piece holds many', 'x'.repeat(400), 2, 200],
    ['nothing of nothing', '', 5, 0],
  ])('is counted as %s', (_, text, times, tokens) => {
    const reader = responses.createStreamReader(1);
    readText(reader, `data: ${JSON.stringify({type: 'response.output_text.delta', delta: text})}\n\n`.repeat(times));
    expect(reader.contentEvents()).toBe(tokens);
    expect(reader.usage()).toBeUndefined();
  });

  it('of a message keeps what its first event says of the prompt, and what its last says of the answer', () => {
    const reader = messages.createStreamReader(1);
    const read = (value: object): unknown => {
      readText(reader, `data: ${JSON.stringify(value)}\n\n`);
      return reader.usage();
    };
    const start = {usage: {input_tokens: 5, cache_read_input_tokens: 4, output_tokens: 1}};
    expect(read({type: 'message_start', message: start})).toEqual({
      promptTokens: 9,
      completionTokens: 0,
      estimated: false,
    });
    expect(read({type: 'content_block_delta', delta: {text: 'x'.repeat(40)}})).toEqual({
      promptTokens: 9,
      completionTokens: 10,
      estimated: true,
    });
    expect(read({type: 'message_delta', delta: {}, usage: {output_tokens: 7}})).toMatchObject({
      promptTokens: 9,
      completionTokens: 7,
    });
    expect(read({type: 'message_delta', delta: {}, usage: {input_tokens: 12, output_tokens: 8}})).toMatchObject({
      promptTokens: 12,
      completionTokens: 8,
    });
    expect(read({type: 'message_stop'})).toMatchObject({promptTokens: 12, completionTokens: 8});
  });

  it.each([
    ['text', 'data: {"type":"response.output_text.delta","delta":"abc\n\n', true],
    ['a block', 'data: {"type":"content_block_delta","delta":{"text":"abc\n\n', true],
    ['a preview', 'data: {"type":"response.image_generation_call.partial_image","partial_image_b64":"iVB\n\n', true],
    ['nothing', 'data: {"type":"response.in_progress\n\n', false],
  ])('that breaks in an event with %s has lost content, or has not', (_, text, hasContent) => {
    const [reading] = readText(responses.createStreamReader(1), text);
    expect(reading?.kind).toBe('Malformed');
    expect(reading?.error !== undefined).toBe(hasContent);
  });

  const error = {message: 'm', type: 'api_error', param: null, code: 'stream_cut', backend: 'a', attempts: 2};
  const usage = {promptTokens: 3, completionTokens: 4, estimated: true};

  it.each<[WireApi, object]>([
    [
      responses,
      {
        type: 'error',
        code: 'stream_cut',
        message: 'm',
        param: null,
        error,
        usage: {input_tokens: 3, output_tokens: 4, total_tokens: 7, estimated: true},
      },
    ],
    [
      messages,
      {
        type: 'error',
        error: {
          type: 'api_error',
          message: 'm',
          details: {error_code: 'stream_cut'},
          code: 'stream_cut',
          backend: 'a',
          attempts: 2,
        },
        usage: {input_tokens: 3, output_tokens: 4, estimated: true},
      },
    ],
  ])('of $name ends, when it is cut, in an error that its own reader takes for one', (api, expected) => {
    const [event, ...others] = createSseSplitter().push(encode(api.errorEvent(error, usage)));
    expect(others).toEqual([]);
    expect(event?.name).toBe('error');
    expect(JSON.parse(event?.data ?? '')).toEqual(expected);
    expect(api.createStreamReader(1).read(event!).kind).toBe('Error');
    expect(
      JSON.parse(createSseSplitter().push(encode(api.errorEvent(error, undefined)))[0]?.data ?? ''),
    ).not.toHaveProperty('usage');
  });
});
