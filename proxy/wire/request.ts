/** What a caller asks for: his JSON body, read only as far as routing needs it, and written again with what the picked backend needs. */
import type {AnswerShape, RequestFields, WireApi} from './api.ts';
import {RequestError} from './errors.ts';
import {
  findMembers,
  isFalseAt,
  isNullAt,
  isObjectAt,
  isStringAt,
  memberNames,
  parseSpan,
  type Members,
} from './json-members.ts';
import {JsonSyntaxError, openBrace, skipSpace, type Span} from './json-scan.ts';

export type RequestMethod = 'GET' | 'POST' | 'DELETE';

export type InferenceRequest = {
  method: RequestMethod;
  api: WireApi;
  fields: RequestFields;
  model: string;
  /** How the answer has to come. */
  answer: AnswerShape;
  /** Sent to one server, and not again once it may have arrived there. */
  carriedOnce: boolean;
  /** The member that names what one server holds. */
  stateNamed: string | undefined;
  /** The caller asked for usage in his stream, so it is his to see; or in words that only the backend can judge. */
  wantsUsage: boolean;
  /** Choices that have to finish. */
  choices: number;
};

/** What one backend gets otherwise than the caller wrote it. */
export type BodyChanges = {model: string | undefined; askForUsage: boolean};

function readMembers(bytes: Uint8Array, api: WireApi): RequestFields['members'] {
  if (bytes[skipSpace(bytes, 0)] !== openBrace)
    throw new RequestError('invalid_json', 'The body must be a JSON object.');
  const {spans, repeated} = scan(() => findMembers(bytes, api.fields));
  if (repeated !== undefined) throw repeatedError(repeated);
  return spans;
}

function scan<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    throw new RequestError('invalid_json', `The body is not valid JSON: ${error.message}, at byte ${error.at}.`, {
      cause: error,
    });
  }
}

const repeatedError = (name: string): RequestError =>
  new RequestError('invalid_json', `The body has "${name}" twice; send it once.`, {param: name});

function readModel({bytes, members}: RequestFields): string {
  const span = members.get('model');
  if (span === undefined)
    throw new RequestError('missing_model', 'The body needs a "model": the name of a model to ask.', {param: 'model'});
  const model = isStringAt(bytes, span) ? scan(() => parseSpan(bytes, span)) : undefined;
  if (typeof model !== 'string' || model === '') {
    throw new RequestError('invalid_value', '"model" must be a string that is not empty.', {param: 'model'});
  }
  return model;
}

const usageOption = memberNames('include_usage');

/** Members of `stream_options`, as places in the body. */
function readOptions(bytes: Uint8Array, options: Span): Members {
  const {spans, repeated} = findMembers(bytes.subarray(options.start, options.end), usageOption);
  const moved = [...spans].map(([name, {start, end}]): [string, Span] => [
    name,
    {start: options.start + start, end: options.start + end},
  ]);
  return {spans: new Map(moved), repeated};
}

/** False where usage can be asked for in the caller's stead. */
function readWantsUsage({bytes, members}: RequestFields): boolean {
  const options = members.get('stream_options');
  if (options === undefined || isNullAt(bytes, options)) return false;
  if (!isObjectAt(bytes, options)) return true;
  const {spans, repeated} = scan(() => readOptions(bytes, options));
  if (repeated !== undefined) throw repeatedError('stream_options.include_usage');
  const asked = spans.get('include_usage');
  return asked !== undefined && !isFalseAt(bytes, asked) && !isNullAt(bytes, asked);
}

/** `body`: valid UTF-8. Throws {@link RequestError}: invalid_json, missing_model, invalid_value. */
export function readRequest(api: WireApi, body: Uint8Array): InferenceRequest {
  const fields: RequestFields = {bytes: body, members: readMembers(body, api)};
  const model = readModel(fields);
  const answer = api.answerAsked(fields);
  const streamed = answer === 'Events';
  const stateNamed = api.stateNamed(fields);
  return {
    method: 'POST',
    api,
    fields,
    model,
    answer,
    carriedOnce: api.carriedOnce || stateNamed !== undefined,
    stateNamed,
    wantsUsage: streamed && api.hasStreamOptions && readWantsUsage(fields),
    choices: streamed ? scan(() => api.choicesAsked(fields)) : 1,
  };
}

const nothing: RequestFields = {bytes: new Uint8Array(0), members: new Map()};

/** A request whose body, if it has one, nobody here reads. */
export const unreadRequest = (api: WireApi, model: string, answer: AnswerShape): InferenceRequest => ({
  method: 'POST',
  api,
  fields: nothing,
  model,
  answer,
  carriedOnce: api.carriedOnce,
  stateNamed: undefined,
  wantsUsage: false,
  choices: 1,
});

/** `text`: ASCII, so that its length is its bytes. */
type Edit = {start: number; end: number; text: string};

const nonAscii = /[\u0080-\uffff]/g;
const escapeUnit = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;

/** JSON in ASCII. */
const writeString = (text: string): string => JSON.stringify(text).replace(nonAscii, escapeUnit);

function modelSpan({fields}: InferenceRequest): Span {
  const span = fields.members.get('model');
  if (span === undefined) throw new Error('bug: a body without model is to be written');
  return span;
}

/** `include_usage`, put where it changes nothing else. */
function usageEdit(request: InferenceRequest): Edit {
  const {bytes, members} = request.fields;
  const options = members.get('stream_options');
  if (options === undefined) {
    const {end} = modelSpan(request);
    return {start: end, end, text: ',"stream_options":{"include_usage":true}'};
  }
  if (!isObjectAt(bytes, options)) return {...options, text: '{"include_usage":true}'}; // null
  const asked = readOptions(bytes, options).spans.get('include_usage');
  if (asked !== undefined) return {...asked, text: 'true'};
  const inside = skipSpace(bytes, options.start + 1);
  const isEmpty = inside === options.end - 1;
  return {start: inside, end: inside, text: isEmpty ? '"include_usage":true' : '"include_usage":true,'};
}

/** Makes room for bytes that are all written over. */
export type Allocate = (length: number) => Uint8Array;

const allocateZeroed: Allocate = (length) => new Uint8Array(length);

/** `edits`: in the order of their places. */
function splice(body: Uint8Array, edits: readonly Edit[], allocate: Allocate): Uint8Array {
  let length = body.length;
  for (const {start, end, text} of edits) length += text.length - (end - start);
  const spliced = allocate(length);
  let read = 0;
  let written = 0;
  for (const {start, end, text} of edits) {
    written = copy(body, {start: read, end: start}, spliced, written);
    for (let index = 0; index < text.length; index += 1) spliced[written + index] = text.charCodeAt(index);
    written += text.length;
    read = end;
  }
  copy(body, {start: read, end: body.length}, spliced, written);
  return spliced;
}

/** As far as a loop is cheaper than a view of the body. */
const fewBytes = 64;

/** Returns where it ends in `to`. */
function copy(from: Uint8Array, {start, end}: Span, to: Uint8Array, at: number): number {
  if (end - start > fewBytes) to.set(from.subarray(start, end), at);
  else for (let index = start; index < end; index += 1) to[at + index - start] = from[index] ?? 0;
  return at + end - start;
}

function inOrder(one: Edit | undefined, other: Edit | undefined): readonly Edit[] {
  if (one !== undefined && other !== undefined) return one.start <= other.start ? [one, other] : [other, one];
  return [one, other].filter((edit) => edit !== undefined);
}

/** The body for one backend; the caller's own bytes where nothing changes. */
export function writeBody(
  request: InferenceRequest,
  {model, askForUsage}: BodyChanges,
  allocate: Allocate = allocateZeroed,
): Uint8Array {
  const renamed =
    model === undefined || model === request.model || request.fields.bytes.length === 0
      ? undefined
      : {...modelSpan(request), text: writeString(model)};
  const asked = askForUsage && !request.wantsUsage ? usageEdit(request) : undefined;
  const edits = inOrder(renamed, asked);
  return edits.length === 0 ? request.fields.bytes : splice(request.fields.bytes, edits, allocate);
}

/** Whether a backend has to be asked for usage in words that the caller did not use. */
export const mustAskForUsage = (request: InferenceRequest): boolean =>
  request.answer === 'Events' && request.api.hasStreamOptions && !request.wantsUsage;
