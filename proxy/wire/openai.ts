/** What the APIs of OpenAI's shape share: choices that finish, usage, error bodies, `[DONE]`. */
import type {AnswerReading, EventReading, RequestFields, StreamReader, UpstreamError, Usage, WireApi} from './api.ts';
import {parseSpan, scanJson, type Member} from './json-scan.ts';
import {writeEvent, type SseEvent} from './sse.ts';

export type JsonObject = {[key: string]: unknown};

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';

const count = (value: unknown): number => (typeof value === 'number' && Number.isFinite(value) ? value : 0);

export function readUsage(value: unknown): Usage | undefined {
  if (!isObject(value)) return undefined;
  return {
    promptTokens: count(value['prompt_tokens']),
    completionTokens: count(value['completion_tokens']),
    estimated: false,
  };
}

/** Servers word it in many ways: OpenAI by code, llama.cpp by type, vLLM by message only. */
const tooLong = /maximum context length|context (length|window|size)|prompt is too long|too many (input )?tokens/i;
const modelIsMissing = /model.{0,200}(not found|not exist|no such)|(no such|unknown) model/i;

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

/** `value`: an `error` member in any of the shapes in use, or a whole body that is itself the error. */
export function readErrorValue(value: unknown): UpstreamError {
  const body = readErrorFields(value);
  const {message, type, code} = body;
  return {
    message,
    status: readStatus(code) ?? (isObject(value) ? readStatus(value['status']) : undefined),
    contextLengthExceeded:
      code === 'context_length_exceeded' || type === 'exceed_context_size_error' || tooLong.test(message),
    contentFiltered: [code, type].includes('content_filter') || code === 'content_policy_violation',
    modelMissing: code === 'model_not_found' || modelIsMissing.test(message),
    body,
  };
}

const decoder = new TextDecoder();

export function readErrorBody(body: Uint8Array): UpstreamError {
  const text = decoder.decode(body.subarray(0, 65_536));
  try {
    const value: unknown = JSON.parse(text);
    return readErrorValue(isObject(value) && 'error' in value ? value['error'] : value);
  } catch {
    return readErrorValue(undefined); // a proxy's HTML page: nothing in it is for a caller
  }
}

/** A whole answer whose top level must have a list named `list`. */
export function readListAnswer(body: Uint8Array, list: string): AnswerReading {
  const scan = scanJson(body);
  if (scan.type !== 'object') return {problem: 'the answer is no JSON object'};
  const member = (key: string): Member | undefined => scan.members.find((each) => each.key === key);
  const error = member('error');
  if (error !== undefined && parseSpan(body, error.value) !== null)
    return {error: readErrorValue(parseSpan(body, error.value))};
  const values = member(list);
  if (values === undefined || body[values.value.start] !== 0x5b) return {problem: `the answer has no list "${list}"`};
  const usage = member('usage');
  const read = usage === undefined ? undefined : readUsage(parseSpan(body, usage.value));
  return read === undefined ? {} : {usage: read};
}

/** A field of the request that must be a positive integer if it is there at all; what else it is, the backend will refuse. */
export function readCount({bytes, members}: RequestFields, key: string): number {
  const member = members.get(key);
  if (member === undefined || member.value.end - member.value.start > 6) return 1;
  const value = parseSpan(bytes, member.value);
  return typeof value === 'number' && Number.isInteger(value) && value > 0 ? value : 1;
}

/** If an event that is no JSON shows that it carried content, the caller has lost a piece of his answer. */
const looksLikeContent = /"(content|text|arguments|reasoning_content|refusal)"\s*:\s*"[^"]/;

/** `hasContent`: whether one choice of a chunk carries content. */
export function createChoicesReader(choices: number, hasContent: (choice: JsonObject) => boolean): StreamReader {
  const finished = new Set<number>();
  let ended = false;
  let usage: Usage | undefined;
  let contentEvents = 0;

  const readChoice = (choice: unknown): boolean => {
    if (!isObject(choice)) return false;
    const content = hasContent(choice);
    if (!isText(choice['finish_reason'])) return content;
    finished.add(typeof choice['index'] === 'number' ? choice['index'] : 0);
    return true;
  };

  const readChunk = (chunk: JsonObject): EventReading => {
    if (chunk['error'] !== undefined && chunk['error'] !== null)
      return {kind: 'Error', error: readErrorValue(chunk['error'])};
    usage = readUsage(chunk['usage']) ?? usage;
    const list = Array.isArray(chunk['choices']) ? chunk['choices'] : [];
    let content = false;
    for (const choice of list) content = readChoice(choice) || content;
    if (content) contentEvents += 1;
    return {kind: content ? 'Content' : 'Neither', onlyUsage: list.length === 0 && isObject(chunk['usage'])};
  };

  return {
    read({data, name}: SseEvent): EventReading {
      if (data === undefined) return {kind: 'Neither'};
      if (data === '[DONE]') {
        ended = true;
        return {kind: 'Neither'};
      }
      let chunk: unknown;
      try {
        chunk = JSON.parse(data);
      } catch {
        const error = readErrorValue(
          `The backend sent an event that is not JSON${looksLikeContent.test(data) ? ', with content in it' : ''}.`,
        );
        return looksLikeContent.test(data) ? {kind: 'Malformed', error} : {kind: 'Malformed'};
      }
      if (!isObject(chunk)) return {kind: 'Malformed'};
      return name === 'error' && chunk['error'] === undefined
        ? {kind: 'Error', error: readErrorValue(chunk)}
        : readChunk(chunk);
    },
    finished: () => finished.size >= choices,
    ended: () => ended,
    usage: () => usage,
    contentEvents: () => contentEvents,
  };
}

export const openAiStream: Pick<WireApi, 'keepAlive' | 'endOfStream' | 'errorEvent' | 'readError'> = {
  keepAlive: ': keep-alive\n\n',
  endOfStream: 'data: [DONE]\n\n',
  readError: readErrorBody,
  errorEvent(error, usage) {
    const counted = usage && {
      prompt_tokens: usage.promptTokens,
      completion_tokens: usage.completionTokens,
      total_tokens: usage.promptTokens + usage.completionTokens,
      ...(usage.estimated ? {estimated: true} : {}),
    };
    return writeEvent(JSON.stringify({error, ...(counted && {usage: counted})}));
  },
};
