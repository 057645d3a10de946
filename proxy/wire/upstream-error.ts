/** What a backend's error says, in any of the shapes in use. */
import type {UpstreamError} from './api.ts';
import {isObject, isText} from './json.ts';

/** Servers word it in many ways: OpenAI by code, llama.cpp by type (an input to embed by message), vLLM and Anthropic by message only. */
const tooLong =
  /maximum context length|context (length|window|size)|prompt is too long|too many (input )?tokens|tokens\) is too large/i;
const modelIsMissing = /model.{0,200}(not found|not exist|no such)|(no such|unknown) model/i;

/**
 * https://docs.claude.com/en/api/errors: inside a stream the type is all there is; and what OpenAI's Responses say as a code. Not
 * `invalid_request_error`, which is OpenAI's type for a key that it refuses as well.
 */
const statusOfKind = new Map([
  ['authentication_error', 401],
  ['billing_error', 402],
  ['permission_error', 403],
  ['not_found_error', 404],
  ['request_too_large', 413],
  ['rate_limit_error', 429],
  ['rate_limit_exceeded', 429],
  ['invalid_prompt', 400],
  ['api_error', 500],
  ['server_error', 500],
  ['timeout_error', 504],
  ['overloaded_error', 529],
]);

const readStatus = (code: unknown): number | undefined =>
  typeof code === 'number' && Number.isInteger(code) && code >= 400 && code < 600 ? code : undefined;

function readErrorFields(value: unknown): UpstreamError['body'] {
  const {message, detail, type, param, code} = isObject(value) ? value : {message: value};
  return {
    message: [message, detail].find(isText) ?? 'The backend gave no message.',
    type: isText(type) ? type : 'api_error',
    param: isText(param) ? param : null,
    code: typeof code === 'string' || typeof code === 'number' ? code : null,
  };
}

function statusIn(value: unknown, {code}: UpstreamError['body']): number | undefined {
  if (!isObject(value)) return undefined;
  const {type} = value; // as the backend says it, not as we fill it in
  return (
    readStatus(code) ??
    readStatus(value['status']) ??
    [code, type].map((kind) => (typeof kind === 'string' ? statusOfKind.get(kind) : undefined)).find(Boolean)
  );
}

/** `value`: an `error` member in any of the shapes in use, or a whole body that is itself the error. */
export function readErrorValue(value: unknown): UpstreamError {
  const body = readErrorFields(value);
  const {message, type, code} = body;
  return {
    message,
    status: statusIn(value, body),
    contextLengthExceeded:
      code === 'context_length_exceeded' || type === 'exceed_context_size_error' || tooLong.test(message),
    contentFiltered: [code, type].includes('content_filter') || code === 'content_policy_violation',
    modelMissing:
      code === 'model_not_found' ||
      modelIsMissing.test(message) ||
      (type === 'not_found_error' && message.startsWith('model:')), // Anthropic's
    body,
  };
}

const decoder = new TextDecoder();

export function readErrorBody(body: Uint8Array): UpstreamError {
  const text = decoder.decode(body.subarray(0, 65_536));
  try {
    const value: unknown = JSON.parse(text);
    return readErrorValue(isObject(value) ? (value['error'] ?? value) : value);
  } catch {
    return readErrorValue(undefined); // a proxy's HTML page: nothing in it is for a caller
  }
}
