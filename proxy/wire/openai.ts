/** What the APIs of OpenAI's shape share: choices that finish, usage, error bodies, `[DONE]`. */
import {
  estimateTokens,
  type AnswerReading,
  type EventReading,
  type RequestFields,
  type StreamReader,
  type UpstreamError,
  type Usage,
  type WireApi,
} from './api.ts';
import {findMembers, isArrayAt, memberNames, parseSpan} from './json-members.ts';
import {writeEvent, type SseEvent} from './sse.ts';

export type JsonObject = {[key: string]: unknown};

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';

export const textLength = (value: unknown): number => (typeof value === 'string' ? value.length : 0);

/** Members of a request that all APIs of this shape read. */
export const openAiFields = ['model', 'stream', 'stream_options', 'prompt_cache_key'];

const isCount = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value) && value >= 0;

/** Undefined unless it counts something: some servers send `"usage": {}`. */
export function readUsage(value: unknown): Usage | undefined {
  if (!isObject(value)) return undefined;
  const {prompt_tokens: prompt, completion_tokens: completion} = value;
  if (!isCount(prompt) && !isCount(completion)) return undefined;
  return {
    promptTokens: isCount(prompt) ? prompt : 0,
    completionTokens: isCount(completion) ? completion : 0,
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
    return readErrorValue(isObject(value) ? (value['error'] ?? value) : value);
  } catch {
    return readErrorValue(undefined); // a proxy's HTML page: nothing in it is for a caller
  }
}

/** Of all choices; 0 if they cannot be read. */
function lengthOf(choices: unknown, contentLength: (choice: JsonObject) => number): number {
  let length = 0;
  for (const choice of listOf(choices)) if (isObject(choice)) length += contentLength(choice);
  return length;
}

/** Reads a whole answer whose top level must have a list named `list`. `contentLength`: of an item of it, where it holds text. */
export function createAnswerReader(
  list: string,
  contentLength: ((choice: JsonObject) => number) | undefined,
): WireApi['readAnswer'] {
  const names = memberNames('error', 'usage', list);
  return (body): AnswerReading => {
    const {spans} = findMembers(body, names);
    const valueOf = (name: string): unknown => {
      const span = spans.get(name);
      return span === undefined ? undefined : parseSpan(body, span);
    };
    const error = valueOf('error') ?? undefined;
    if (error !== undefined) return {error: readErrorValue(error)};
    const items = spans.get(list);
    if (items === undefined || !isArrayAt(body, items)) return {problem: `the answer has no list "${list}"`};
    const usage = readUsage(valueOf('usage'));
    if (usage !== undefined) return {usage};
    return {contentLength: contentLength === undefined ? 0 : lengthOf(valueOf(list), contentLength)};
  };
}

/** A field of the request that must be a positive integer if it is there at all; what else it is, the backend will refuse. */
export function readCount({bytes, members}: RequestFields, key: string): number {
  const span = members.get(key);
  if (span === undefined || span.end - span.start > 6) return 1;
  const value = parseSpan(bytes, span);
  return typeof value === 'number' && Number.isInteger(value) && value > 0 ? value : 1;
}

/** If an event that is no JSON shows that it carried content, the caller has lost a piece of his answer. */
const looksLikeContent = /"(content|text|name|arguments|input|reasoning|reasoning_content|refusal)"\s*:\s*"[^"]/;

function readBroken({data = '', name}: SseEvent): EventReading {
  if (name === 'error') return {kind: 'Error', error: readErrorValue(data)};
  return looksLikeContent.test(data)
    ? {kind: 'Malformed', error: readErrorValue('The backend sent an event that is not JSON, with content in it.')}
    : {kind: 'Malformed'};
}

/** The error that a chunk is: by its member, by its event's name, or as vLLM's older releases write it. */
function errorIn(chunk: JsonObject, name: string): unknown {
  const error = chunk['error'] ?? undefined;
  if (error !== undefined) return error;
  return name === 'error' || chunk['object'] === 'error' ? chunk : undefined;
}

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** What servers call the finish of an answer that did not: OpenRouter and vLLM, SGLang. */
function brokenFinishIn(choices: readonly unknown[]): string | undefined {
  for (const choice of choices) {
    const reason = isObject(choice) ? choice['finish_reason'] : undefined;
    if (reason === 'error' || reason === 'abort') return reason;
  }
  return undefined;
}

/** `contentLength`: how much content one choice of a chunk carries, in characters. */
export function createChoicesReader(choices: number, contentLength: (choice: JsonObject) => number): StreamReader {
  const finished = new Set<number>();
  let ended = false;
  let usage: Usage | undefined;
  let pieces = 0;
  let characters = 0;

  /** Whether it commits. */
  const readChoice = (choice: JsonObject): boolean => {
    const length = contentLength(choice);
    if (length > 0) pieces += 1;
    characters += length;
    if (!isText(choice['finish_reason'])) return length > 0;
    finished.add(typeof choice['index'] === 'number' ? choice['index'] : 0);
    return true;
  };

  const readChunk = (chunk: JsonObject): EventReading => {
    if (chunk['usage'] !== undefined) usage = readUsage(chunk['usage']) ?? usage;
    const list = listOf(chunk['choices']);
    let content = false;
    const reason = brokenFinishIn(list);
    if (reason !== undefined)
      return {kind: 'Error', error: readErrorValue(`The backend broke off with finish_reason "${reason}".`)};
    for (const choice of list) if (isObject(choice)) content = readChoice(choice) || content;
    if (content) return contentReading;
    return list.length === 0 && isObject(chunk['usage']) ? onlyUsageReading : neitherReading;
  };

  return {
    read(event): EventReading {
      const {data, name} = event;
      if (data === undefined) return neitherReading;
      if (data.startsWith('[DONE]')) {
        ended = true;
        return neitherReading;
      }
      let chunk: unknown;
      try {
        chunk = JSON.parse(data);
      } catch {
        return readBroken(event);
      }
      if (!isObject(chunk)) return {kind: 'Malformed'};
      const error = errorIn(chunk, name);
      return error === undefined ? readChunk(chunk) : {kind: 'Error', error: readErrorValue(error)};
    },
    finished: () => finished.size >= choices,
    ended: () => ended,
    usage: () => usage,
    contentEvents: () => Math.max(pieces, estimateTokens(characters)),
  };
}

const contentReading: EventReading = {kind: 'Content'};
const neitherReading: EventReading = {kind: 'Neither'};
const onlyUsageReading: EventReading = {kind: 'Neither', onlyUsage: true};

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
