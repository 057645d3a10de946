/** A caller's JSON body, read only as far as routing needs it, and written again with what the picked backend needs. */
import type {RequestFields, WireApi} from './api.ts';
import {RequestError} from './errors.ts';
import {JsonSyntaxError, parseSpan, scanJson, type JsonScan, type Member, type Span} from './json-scan.ts';

export type InferenceRequest = {
  api: WireApi;
  fields: RequestFields;
  model: string;
  streamed: boolean;
  /** The caller asked for usage in his stream, so it is his to see. */
  wantsUsage: boolean;
  /** Choices that have to finish. */
  choices: number;
};

/** What one backend gets otherwise than the caller wrote it. */
export type BodyChanges = {model: string | undefined; askForUsage: boolean};

/** Fields that we read: where one of them stands twice, parsers disagree on which counts, so neither is sent. */
const readFields = ['model', 'stream', 'stream_options', 'n', 'prompt', 'prompt_cache_key', 'messages'];

function scanBody(body: Uint8Array): JsonScan {
  try {
    const scan = scanJson(body);
    if (scan.type === 'object') return scan;
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    throw new RequestError('invalid_json', `The body is not valid JSON: ${error.message}, at byte ${error.at}.`, {
      cause: error,
    });
  }
  throw new RequestError('invalid_json', 'The body must be a JSON object.');
}

function indexMembers(scan: JsonScan): ReadonlyMap<string, Member> {
  const members = new Map<string, Member>();
  for (const member of scan.members) {
    if (members.has(member.key) && readFields.includes(member.key)) {
      throw new RequestError('invalid_json', `The body has "${member.key}" twice; send it once.`, {param: member.key});
    }
    members.set(member.key, member);
  }
  return members;
}

function readValue({bytes, members}: RequestFields, key: string): unknown {
  const member = members.get(key);
  if (member === undefined) return undefined;
  try {
    return parseSpan(bytes, member.value);
  } catch (error) {
    throw new RequestError('invalid_json', `The body is not valid JSON: "${key}" is malformed.`, {
      param: key,
      cause: error,
    });
  }
}

function readModel(fields: RequestFields): string {
  const member = fields.members.get('model');
  if (member === undefined)
    throw new RequestError('missing_model', 'The body needs a "model": the name of a model to ask.', {param: 'model'});
  const model = fields.bytes[member.value.start] === 0x22 ? readValue(fields, 'model') : undefined;
  if (typeof model !== 'string' || model === '') {
    throw new RequestError('invalid_value', '"model" must be a string that is not empty.', {param: 'model'});
  }
  return model;
}

function readStream(fields: RequestFields): boolean {
  const member = fields.members.get('stream');
  if (member === undefined) return false;
  const first = fields.bytes[member.value.start];
  if (first === 0x74) return true; // true
  if (first === 0x66 || first === 0x6e) return false; // false, null
  throw new RequestError('invalid_value', '"stream" must be true or false.', {param: 'stream'});
}

const asksForUsage = (options: unknown): boolean =>
  typeof options === 'object' && options !== null && 'include_usage' in options && options.include_usage === true;

/** `body`: valid UTF-8. Throws {@link RequestError}: invalid_json, missing_model, invalid_value. */
export function readRequest(api: WireApi, body: Uint8Array): InferenceRequest {
  const fields: RequestFields = {bytes: body, members: indexMembers(scanBody(body))};
  const model = readModel(fields);
  const streamed = api.streams && readStream(fields);
  return {
    api,
    fields,
    model,
    streamed,
    wantsUsage: streamed && asksForUsage(readValue(fields, 'stream_options')),
    choices: streamed ? api.choicesAsked(fields) : 1,
  };
}

type Edit = {span: Span; text: string};

/** `stream_options` with `include_usage`, as an edit; undefined where it is no object: the backend will say so. */
function usageEdit(request: InferenceRequest): Edit | undefined {
  const member = request.fields.members.get('stream_options');
  if (member === undefined) {
    const {end} = memberOf(request, 'model').value;
    return {span: {start: end, end}, text: ',"stream_options":{"include_usage":true}'};
  }
  const options = readValue(request.fields, 'stream_options');
  if (options !== null && (typeof options !== 'object' || Array.isArray(options))) return undefined;
  return {span: member.value, text: JSON.stringify({...options, include_usage: true})};
}

function memberOf(request: InferenceRequest, key: string): Member {
  const member = request.fields.members.get(key);
  if (member === undefined) throw new Error(`bug: a request without ${key} was accepted`);
  return member;
}

const encoder = new TextEncoder();

function splice(body: Uint8Array, edits: Edit[]): Uint8Array {
  const pieces: Uint8Array[] = [];
  let from = 0;
  for (const {span, text} of edits) {
    pieces.push(body.subarray(from, span.start), encoder.encode(text));
    from = span.end;
  }
  pieces.push(body.subarray(from));
  const spliced = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    spliced.set(piece, at);
    at += piece.length;
  }
  return spliced;
}

/** The body for one backend; the caller's own bytes where nothing changes. */
export function writeBody(request: InferenceRequest, changes: BodyChanges): Uint8Array {
  const edits: Edit[] = [];
  if (changes.model !== undefined && changes.model !== request.model) {
    edits.push({span: memberOf(request, 'model').value, text: JSON.stringify(changes.model)});
  }
  const usage = changes.askForUsage ? usageEdit(request) : undefined;
  if (usage !== undefined) edits.push(usage);
  if (edits.length === 0) return request.fields.bytes;
  return splice(
    request.fields.bytes,
    edits.sort((a, b) => a.span.start - b.span.start),
  );
}

/** Whether a backend has to be asked for usage in words that the caller did not use. */
export const mustAskForUsage = (request: InferenceRequest): boolean =>
  request.streamed && request.api.hasStreamOptions && !request.wantsUsage;
