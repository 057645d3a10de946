/**
 * Finds the members of a JSON object or array in its bytes, without building values: a prompt of a megabyte costs tens of
 * microseconds, where `JSON.parse` would stop every stream of the process for milliseconds. Structure, numbers and literals are
 * checked (RFC 8259); the inside of strings is not, that is the reader's business.
 */

/** `[start, end)` in the scanned bytes. */
export type Span = {start: number; end: number};

/** One member: for an object with its key (escapes decoded), for an array with key `''`. */
export type Member = {key: string; value: Span};

export type JsonScan = {type: 'object' | 'array'; members: Member[]};

/** `at`: byte offset of the fault. */
export class JsonSyntaxError extends Error {
  readonly at: number;

  constructor(message: string, at: number) {
    super(message);
    this.at = at;
  }
}

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;

/** Deeper documents are refused: they break the parsers of model servers. */
export const maxJsonDepth = 500;

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

const literals: Record<number, Uint8Array> = {0x74: encode('true'), 0x66: encode('false'), 0x6e: encode('null')};

function skipSpace(bytes: Uint8Array, from: number): number {
  let at = from;
  for (;;) {
    const byte = bytes[at];
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return at;
    at += 1;
  }
}

/** From the opening quote to behind the closing one. */
function skipString(bytes: Uint8Array, from: number): number {
  let at = from + 1;
  const nearEnd = Math.min(at + 48, bytes.length); // short strings: a loop is cheaper than a call of indexOf
  while (at < nearEnd) {
    const byte = bytes[at];
    if (byte === quote) return at + 1;
    at += byte === backslash ? 2 : 1;
  }
  for (;;) {
    const found = bytes.indexOf(quote, at);
    if (found === -1) throw new JsonSyntaxError('a string has no end', from);
    let slashes = found - 1;
    while (slashes >= at && bytes[slashes] === backslash) slashes -= 1;
    at = found + 1;
    if ((found - 1 - slashes) % 2 === 0) return at;
  }
}

const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= 0x30 && byte <= 0x39;

function skipDigits(bytes: Uint8Array, from: number): number {
  let at = from;
  while (isDigit(bytes[at])) at += 1;
  if (at === from) throw new JsonSyntaxError('a number is malformed', from);
  return at;
}

function skipNumber(bytes: Uint8Array, from: number): number {
  let at = bytes[from] === 0x2d ? from + 1 : from;
  at = bytes[at] === 0x30 ? at + 1 : skipDigits(bytes, at);
  if (bytes[at] === 0x2e) at = skipDigits(bytes, at + 1);
  if (bytes[at] === 0x65 || bytes[at] === 0x45) {
    at += 1;
    if (bytes[at] === 0x2b || bytes[at] === 0x2d) at += 1;
    at = skipDigits(bytes, at);
  }
  return at;
}

/** A string, number or literal; not a container. */
function skipScalar(bytes: Uint8Array, from: number): number {
  const byte = bytes[from];
  if (byte === quote) return skipString(bytes, from);
  const literal = byte === undefined ? undefined : literals[byte];
  if (literal === undefined) {
    if (byte === 0x2d || isDigit(byte)) return skipNumber(bytes, from);
    throw new JsonSyntaxError(byte === undefined ? 'the document ends too early' : 'a value was expected', from);
  }
  for (let index = 0; index < literal.length; index += 1) {
    if (bytes[from + index] !== literal[index]) throw new JsonSyntaxError('a literal is malformed', from);
  }
  return from + literal.length;
}

const keyDecoder = new TextDecoder();

function readKey(bytes: Uint8Array, start: number, end: number): string {
  const text = keyDecoder.decode(bytes.subarray(start, end));
  if (!text.includes('\\')) return text.slice(1, -1);
  try {
    return String(JSON.parse(text));
  } catch {
    throw new JsonSyntaxError('a key is malformed', start);
  }
}

/** Behind a key's colon, at its value. */
function skipColon(bytes: Uint8Array, from: number): number {
  const at = skipSpace(bytes, from);
  if (bytes[at] !== colon) throw new JsonSyntaxError('":" was expected', at);
  return skipSpace(bytes, at + 1);
}

function keyEnd(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== quote) throw new JsonSyntaxError('a key in double quotes was expected', at);
  return skipString(bytes, at);
}

/** Opens the container at `from`: at its first value, or behind it if it is empty (then nothing is pushed). */
function openContainer(bytes: Uint8Array, from: number, stack: number[]): number {
  const closing = (bytes[from] ?? 0) + 2; // in ASCII, ] and } stand two behind [ and {
  const at = skipSpace(bytes, from + 1);
  if (bytes[at] === closing) return at + 1;
  stack.push(closing);
  return closing === closeBrace ? skipColon(bytes, keyEnd(bytes, at)) : at;
}

/** Behind a value: closes what closes here; with containers left open, at the next value. */
function closeContainers(bytes: Uint8Array, from: number, stack: number[]): number {
  let at = from;
  while (stack.length > 0) {
    at = skipSpace(bytes, at);
    const closing = stack[stack.length - 1];
    if (bytes[at] === comma) {
      at = skipSpace(bytes, at + 1);
      return closing === closeBrace ? skipColon(bytes, keyEnd(bytes, at)) : at;
    }
    if (bytes[at] !== closing) throw new JsonSyntaxError('"," or a closing bracket was expected', at);
    stack.pop();
    at += 1;
  }
  return at;
}

/** Behind the value that starts at `from`, which may be a container of any depth: a loop with its own stack, never recursion. */
function skipValue(bytes: Uint8Array, from: number): number {
  const stack: number[] = [];
  let at = from;
  do {
    const byte = bytes[at];
    if (byte === openBrace || byte === openBracket) {
      if (stack.length >= maxJsonDepth - 1) throw new JsonSyntaxError(`nested deeper than ${maxJsonDepth} levels`, at);
      const depth = stack.length;
      at = openContainer(bytes, at, stack);
      if (stack.length > depth) continue;
    } else at = skipScalar(bytes, at);
    at = closeContainers(bytes, at, stack);
  } while (stack.length > 0);
  return at;
}

function readMember(bytes: Uint8Array, from: number, isObject: boolean): Member {
  if (!isObject) return {key: '', value: {start: from, end: skipValue(bytes, from)}};
  const end = keyEnd(bytes, from);
  const start = skipColon(bytes, end);
  return {key: readKey(bytes, from, end), value: {start, end: skipValue(bytes, start)}};
}

/** `bytes` hold one object or array and nothing else but white space. Throws {@link JsonSyntaxError}. */
export function scanJson(bytes: Uint8Array): JsonScan {
  const start = skipSpace(bytes, 0);
  const opening = bytes[start];
  if (opening !== openBrace && opening !== openBracket) throw new JsonSyntaxError('an object was expected', start);
  const isObject = opening === openBrace;
  const members: Member[] = [];
  let at = skipSpace(bytes, start + 1);
  let byte = bytes[at];
  while (byte !== opening + 2) {
    if (members.length > 0) {
      if (byte !== comma) throw new JsonSyntaxError('"," or a closing bracket was expected', at);
      at = skipSpace(bytes, at + 1);
    }
    const member = readMember(bytes, at, isObject);
    members.push(member);
    at = skipSpace(bytes, member.value.end);
    byte = bytes[at];
  }
  const rest = skipSpace(bytes, at + 1);
  if (rest < bytes.length) throw new JsonSyntaxError('something stands behind the end of the document', rest);
  return {type: isObject ? 'object' : 'array', members};
}

const valueDecoder = new TextDecoder();

/** The value at a span, parsed. For small values only. Throws {@link JsonSyntaxError}. */
export function parseSpan(bytes: Uint8Array, span: Span): unknown {
  try {
    return JSON.parse(valueDecoder.decode(bytes.subarray(span.start, span.end)));
  } catch {
    throw new JsonSyntaxError('a value is malformed', span.start);
  }
}
