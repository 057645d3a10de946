import {describe, expect, it} from '@jest/globals';
import {readErrorBody, readErrorValue} from './upstream-error.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('an error of a backend', () => {
  it.each([
    ["OpenAI's code", {code: 'context_length_exceeded', message: 'Too much.'}],
    ["llama.cpp's type", {code: 400, type: 'exceed_context_size_error', message: 'request (20019 tokens) exceeds'}],
    ["vLLM's words", {code: 400, message: "This model's maximum context length is 4096 tokens."}],
    ["Anthropic's words", {message: 'prompt is too long: 210000 tokens > 200000 maximum'}],
    [
      "llama.cpp's words for what it cannot embed",
      {
        code: 500,
        message:
          'input (10002 tokens) is too large to process. increase the physical batch size (current batch size: 512)',
      },
    ],
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
    ['Anthropic', {type: 'not_found_error', message: 'model: claude-0'}],
  ])('tells of a missing model as %s does', (_, error) => {
    expect(readErrorValue(error).modelMissing).toBe(true);
  });

  it.each([
    ['of a path', {type: 'not_found_error', message: 'Not Found'}],
    ['of an id', {type: 'invalid_request_error', message: "Previous response with id 'resp_1' not found."}],
  ])('that is a 404 %s does not tell of a missing model', (_, error) => {
    expect(readErrorValue(error).modelMissing).toBe(false);
  });

  it('is read in time and memory that a backend does not choose', () => {
    const huge = encode(`{"error":{"message":"${'model '.repeat(500_000)}"}}`);
    expect(readErrorBody(huge).message).toBe('The backend gave no message.'); // cut off, and so no JSON
    expect(readErrorValue({message: 'model '.repeat(10_000)}).modelMissing).toBe(false);
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
    ['an error that is empty', '{"error":{}}', 'The backend gave no message.'],
    ["Anthropic's error", '{"type":"error","error":{"type":"api_error","message":"a"},"request_id":"r"}', 'a'],
    ['what a failed response says', '{"error":{"code":"server_error","message":"a"}}', 'a'],
  ])('is read from a body with %s', (_, body, message) => {
    expect(readErrorBody(encode(body)).message).toBe(message);
  });

  it.each([
    [{code: 429}, 429],
    [{code: 'rate_limit'}, undefined],
    [{status: 503}, 503],
    [{code: 7}, undefined],
    [{code: 200}, undefined],
    [{code: 429.5}, undefined],
    [{type: 'overloaded_error'}, 529],
    [{type: 'rate_limit_error'}, 429],
    [{type: 'request_too_large'}, 413],
    [{type: 'authentication_error'}, 401],
    [{type: 'invalid_request_error'}, undefined],
    [{code: 'server_error'}, 500],
    [{code: 'rate_limit_exceeded', type: 'requests'}, 429],
    [{code: 'invalid_prompt'}, 400],
    [{code: 'invalid_prompt', type: 'server_error'}, 400],
    [{type: 'server_error', code: null}, 500],
    [{code: 503, type: 'rate_limit_error'}, 503],
    [{code: 'constructor'}, undefined],
    [{type: '__proto__'}, undefined],
    [{type: 'toString', code: 'valueOf'}, undefined],
    ['rate_limit_error', undefined],
  ])('that is %j stands for status %s', (error, status) => {
    expect(readErrorValue(error).status).toBe(status);
  });
});
