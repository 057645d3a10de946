/**
 * A multipart form (RFC 7578 on RFC 2046), read only as far as routing needs it: where the value of its `model` stands, which may be
 * behind a file of many megabytes. Stricter than most readers: what two of them could take for different forms is refused.
 */
import {RequestError} from './errors.ts';
import type {Span} from './json-scan.ts';

export type Form = {
  bytes: Uint8Array;
  model: string;
  /** Where the value of `model` stands. */
  span: Span;
  /** It asks for an answer in pieces. */
  streamed: boolean;
  /** Results that it asks for. */
  choices: number;
};

const carriageReturn = 0x0d;
const lineFeed = 0x0a;
const hyphen = 0x2d;

/** Nobody sends more; each costs time in which nothing else runs. */
const mostParts = 1_000;
const mostHeaderBytes = 16_384;

const encoder = new TextEncoder();

const invalid = (problem: string): RequestError =>
  new RequestError('invalid_form', `The form cannot be read: ${problem}.`);

const mostParameters = 16;
const parameter = /;[ \t]*([!#$%&'*+.^_`|~\w-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))[ \t]*/y;
const nothingMore = /;?[ \t]*$/y;

const matchAt = (pattern: RegExp, text: string, at: number): RegExpExecArray | null => {
  pattern.lastIndex = at;
  return pattern.exec(text);
};

/** `a; b=c; d="e"`: names in lower case, with all of their values. Undefined if it reads otherwise, or has more than anyone needs. */
function readParameters(value: string): Map<string, string[]> | undefined {
  const parameters = new Map<string, string[]>();
  let at = value.includes(';') ? value.indexOf(';') : value.length;
  for (let count = 0; matchAt(nothingMore, value, at) === null; count += 1) {
    const found = matchAt(parameter, value, at);
    if (found === null || count === mostParameters) return undefined;
    const [whole, name = '', quoted = '', token = quoted.replaceAll(/\\(.)/g, '$1')] = found;
    parameters.set(name.toLowerCase(), [...(parameters.get(name.toLowerCase()) ?? []), token]);
    at += whole.length;
  }
  return parameters;
}

/** RFC 2046, 5.1.1, but any visible character. Undefined: this is no form's type. */
export function boundaryOf(contentType: string): string | undefined {
  if (!/^[ \t]*multipart\/form-data[ \t]*(;|$)/i.test(contentType)) return undefined;
  const boundaries = readParameters(contentType)?.get('boundary') ?? [];
  const [boundary = ''] = boundaries;
  return boundaries.length === 1 && /^[\x20-\x7e]{0,69}[\x21-\x7e]$/.test(boundary) ? boundary : undefined;
}

type Find = (bytes: Uint8Array, from: number, end: number) => number;

/** Boyer, Moore and Horspool's search. Compared from its first byte, which stands nowhere else in it, it stays linear at its worst. */
function createFind(pattern: Uint8Array): Find {
  const [first] = pattern;
  const last = pattern.length - 1;
  const shifts = new Uint8Array(256).fill(pattern.length);
  for (let index = 0; index < last; index += 1) shifts[pattern[index] ?? 0] = last - index;
  const standsAt = (bytes: Uint8Array, at: number): boolean => {
    for (let index = 1; index <= last; index += 1) if (bytes[at + index] !== pattern[index]) return false;
    return true;
  };
  return (bytes, from, end) => {
    let at = from;
    while (at + last < end) {
      if (bytes[at] === first && standsAt(bytes, at)) return at;
      at += shifts[bytes[at + last] ?? 0] ?? 1;
    }
    return -1;
  };
}

const findLineEnd = createFind(encoder.encode('\r\n'));
const isLineEnd = (bytes: Uint8Array, at: number): boolean =>
  bytes[at] === carriageReturn && bytes[at + 1] === lineFeed;

function skipBlanks(bytes: Uint8Array, from: number): number {
  let at = from;
  while (bytes[at] === 0x20 || bytes[at] === 0x09) at += 1;
  return at;
}

/** `at`: behind a boundary. Where its part begins, or undefined behind the last one. */
function readDelimiterEnd(bytes: Uint8Array, at: number): number | undefined {
  const isLast = bytes[at] === hyphen && bytes[at + 1] === hyphen;
  const lineEnd = skipBlanks(bytes, isLast ? at + 2 : at);
  if (isLast && (lineEnd === bytes.length || isLineEnd(bytes, lineEnd))) return undefined;
  if (isLineEnd(bytes, lineEnd)) return lineEnd + 2;
  throw invalid(
    lineEnd >= bytes.length - 1
      ? 'it ends within a boundary, as if it had been cut'
      : 'a line begins with its boundary and goes on behind it',
  );
}

/** Its parts, headers included. */
function* partsOf(bytes: Uint8Array, boundary: string): Generator<Span> {
  const delimiter = encoder.encode(`\r\n--${boundary}`);
  const find = createFind(delimiter);
  const opening = createFind(delimiter.subarray(2))(bytes, 0, delimiter.length - 2);
  const first = opening === 0 ? -2 : find(bytes, 0, bytes.length);
  if (first === -1) throw invalid('the boundary that its content-type names is not in it');
  let start = readDelimiterEnd(bytes, first + delimiter.length);
  while (start !== undefined) {
    const end = find(bytes, start - 2, bytes.length);
    if (end === -1) throw invalid('it ends without its closing boundary, as if it had been cut');
    yield {start, end};
    start = readDelimiterEnd(bytes, end + delimiter.length);
  }
}

type Part = {name: string; isFile: boolean; value: Span};

const decoder = new TextDecoder();
const strictDecoder = new TextDecoder('utf-8', {fatal: true});

/** Of a part: each on a line of its own, folded ones joined. Returns where they end, too. */
function readHeaders(bytes: Uint8Array, {start, end}: Span): {lines: string[]; end: number} {
  const lines: string[] = [];
  let at = start;
  while (!isLineEnd(bytes, at)) {
    const lineEnd = findLineEnd(bytes, at, Math.min(end, start + mostHeaderBytes));
    if (lineEnd === -1) throw invalid('the headers of a part do not end in an empty line');
    const line = decoder.decode(bytes.subarray(at, lineEnd));
    if (/^[ \t]/.test(line)) lines.push(`${lines.pop() ?? ''} ${line.trim()}`);
    else lines.push(line);
    at = lineEnd + 2;
  }
  return {lines, end: at + 2};
}

function readPart(bytes: Uint8Array, span: Span): Part {
  const headers = readHeaders(bytes, span);
  const dispositions = headers.lines.filter((line) => /^content-disposition[ \t]*:/i.test(line));
  const [disposition = ''] = dispositions;
  const value = disposition.slice(disposition.indexOf(':') + 1);
  const parameters = /^[ \t]*form-data[ \t]*(;|$)/i.test(value) ? readParameters(value) : undefined;
  const names = parameters?.get('name') ?? [];
  const [name] = names;
  if (dispositions.length !== 1 || parameters === undefined || name === undefined || names.length > 1)
    throw invalid('each part needs one header like content-disposition: form-data; name="model"');
  const isFile = parameters.has('filename') || parameters.has('filename*');
  return {name, isFile, value: {start: Math.min(headers.end, span.end), end: span.end}};
}

function readModel(bytes: Uint8Array, {start, end}: Span): string {
  try {
    const model = strictDecoder.decode(bytes.subarray(start, end));
    if (model !== '') return model;
  } catch {
    throw new RequestError('invalid_value', '"model" must be text in UTF-8.', {param: 'model'});
  }
  throw new RequestError('invalid_value', '"model" must not be empty.', {param: 'model'});
}

const readFields = ['model', 'stream', 'n'];

const shortText = (bytes: Uint8Array, {start, end}: Span = {start: 0, end: 0}): string =>
  decoder.decode(bytes.subarray(start, Math.min(end, start + 16)));

/** `boundary`: of its content-type. Throws {@link RequestError}: invalid_form, missing_model, invalid_value. */
export function readForm(bytes: Uint8Array, boundary: string): Form {
  const fields = new Map<string, Span>();
  let count = 0;
  for (const span of partsOf(bytes, boundary)) {
    count += 1;
    if (count > mostParts) throw invalid(`it has more than ${mostParts} parts`);
    const {name, isFile, value} = readPart(bytes, span);
    if (isFile) continue;
    if (name === 'model' && fields.has(name))
      throw new RequestError('invalid_form', 'The form has "model" twice; send it once.', {param: 'model'});
    if (readFields.includes(name)) fields.set(name, value);
  }
  const model = fields.get('model');
  if (model === undefined)
    throw new RequestError('missing_model', 'The form needs a field "model": the name of a model to ask.', {
      param: 'model',
    });
  const stream = shortText(bytes, fields.get('stream'));
  const choices = shortText(bytes, fields.get('n'));
  return {
    bytes,
    model: readModel(bytes, model),
    span: model,
    streamed: /^(true|1)$/i.test(stream),
    choices: /^[1-9]\d{0,3}$/.test(choices) ? Number(choices) : 1,
  };
}

/** The form for one backend, in pieces: the caller's own bytes but for the name of the model. */
export function writeForm({bytes, model, span}: Form, name: string | undefined): Uint8Array[] {
  if (name === undefined || name === model) return [bytes];
  return [bytes.subarray(0, span.start), encoder.encode(name), bytes.subarray(span.end)];
}
