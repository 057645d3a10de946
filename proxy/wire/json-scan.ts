/**
 * Finds where values of a JSON document end in its bytes, without building them: a prompt of a megabyte costs tens of microseconds,
 * where `JSON.parse` would stop every stream of the process for milliseconds. Structure, numbers and literals are checked (RFC
 * 8259); the inside of strings is not, that is the reader's business. What is in a document: json-members.
 */

/** `[start, end)` in the scanned bytes. */
export type Span = {start: number; end: number};

/** `at`: byte offset of the fault. */
export class JsonSyntaxError extends Error {
  readonly at: number;

  constructor(message: string, at: number) {
    super(message);
    this.at = at;
  }
}

export const quote = 0x22;
export const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
export const openBrace = 0x7b;
export const closeBrace = 0x7d;
export const openBracket = 0x5b;
export const closeBracket = 0x5d;

/** Deeper documents are refused: they break the parsers of model servers. */
export const maxJsonDepth = 500;

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

const literals: Record<number, Uint8Array> = {0x74: encode('true'), 0x66: encode('false'), 0x6e: encode('null')};

const isSpace = (byte: number | undefined): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;

export function skipSpace(bytes: Uint8Array, from: number): number {
  let at = from;
  while (isSpace(bytes[at])) at += 1;
  return at;
}

/** A loop finds what is near faster than a call of indexOf does: keys, roles, and in text with many quotes the next one. */
const near = 32;

function nearQuote(bytes: Uint8Array, from: number): number {
  const end = Math.min(from + near, bytes.length);
  let at = from;
  while (at < end && bytes[at] !== quote) at += 1;
  return at < end ? at : -1;
}

/** From the opening quote to behind the closing one, which is the first with an even number of backslashes before it. */
function skipString(bytes: Uint8Array, from: number): number {
  let at = from + 1;
  let found = nearQuote(bytes, at);
  for (;;) {
    if (found === -1) found = bytes.indexOf(quote, at);
    if (found === -1) throw new JsonSyntaxError('a string has no end', from);
    let slashes = found - 1;
    while (bytes[slashes] === backslash) slashes -= 1; // stops at the last quote at the latest
    const isDense = found - at < near;
    at = found + 1;
    if ((found - 1 - slashes) % 2 === 0) return at;
    found = isDense ? nearQuote(bytes, at) : -1;
  }
}

const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= 0x30 && byte <= 0x39;

const isNumber = (byte: number | undefined): boolean => byte === 0x2d || isDigit(byte);

function skipDigits(bytes: Uint8Array, from: number): number {
  let at = from;
  for (let digit = bytes[at] ?? 0; digit >= 0x30 && digit <= 0x39; digit = bytes[at] ?? 0) at += 1;
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
  if (isNumber(byte)) return skipNumber(bytes, from);
  const literal = byte === undefined ? undefined : literals[byte];
  if (literal === undefined)
    throw new JsonSyntaxError(byte === undefined ? 'the document ends too early' : 'a value was expected', from);
  for (let index = 0; index < literal.length; index += 1) {
    if (bytes[from + index] !== literal[index]) throw new JsonSyntaxError('a literal is malformed', from);
  }
  return from + literal.length;
}

/** Behind a key's colon, at its value. */
export function skipColon(bytes: Uint8Array, from: number): number {
  const at = skipSpace(bytes, from);
  if (bytes[at] !== colon) throw new JsonSyntaxError('":" was expected', at);
  return skipSpace(bytes, at + 1);
}

export function skipKey(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== quote) throw new JsonSyntaxError('a key in double quotes was expected', at);
  return skipString(bytes, at);
}

/** Opens the container at `from`: at its first value, or behind it if it is empty (then nothing is pushed). */
function openContainer(bytes: Uint8Array, from: number, stack: number[]): number {
  const closing = (bytes[from] ?? 0) + 2; // in ASCII, ] and } stand two behind [ and {
  const at = skipSpace(bytes, from + 1);
  if (bytes[at] === closing) return at + 1;
  stack.push(closing);
  return closing === closeBrace ? skipColon(bytes, skipKey(bytes, at)) : at;
}

const missingComma = (at: number): JsonSyntaxError => new JsonSyntaxError('"," or a closing bracket was expected', at);

/** Behind a value: closes what closes here; with containers left open, at the next value. */
function closeContainers(bytes: Uint8Array, from: number, stack: number[]): number {
  let at = from;
  while (stack.length > 0) {
    at = skipSpace(bytes, at);
    const closing = stack[stack.length - 1];
    if (bytes[at] === comma) {
      at = skipSpace(bytes, at + 1);
      return closing === closeBrace ? skipColon(bytes, skipKey(bytes, at)) : at;
    }
    if (bytes[at] !== closing) throw missingComma(at);
    stack.pop();
    at += 1;
  }
  return at;
}

/** At the last of the numbers that follow each other without a space, which lists of tokens and of floats are made of. */
function skipNumbers(bytes: Uint8Array, from: number): number {
  let at = from;
  for (;;) {
    const end = skipNumber(bytes, at);
    const next = bytes[end + 1];
    if (bytes[end] !== comma || !isNumber(next)) return end;
    at = end + 1;
  }
}

/** Behind the object or array that starts at `from`, however deep: a loop with its own stack, never recursion. */
function skipContainer(bytes: Uint8Array, from: number): number {
  const stack: number[] = [];
  let at = from;
  do {
    const byte = bytes[at];
    if (byte === openBrace || byte === openBracket) {
      if (stack.length >= maxJsonDepth - 1) throw new JsonSyntaxError(`nested deeper than ${maxJsonDepth} levels`, at);
      const depth = stack.length;
      at = openContainer(bytes, at, stack);
      if (stack.length > depth) continue;
    } else at = isNumber(byte) && stack.at(-1) === closeBracket ? skipNumbers(bytes, at) : skipScalar(bytes, at);
    at = closeContainers(bytes, at, stack);
  } while (stack.length > 0);
  return at;
}

/** Behind the value that starts at `from`, which is a member or an item: one level is open around it. */
export function skipValue(bytes: Uint8Array, from: number): number {
  const byte = bytes[from];
  return byte === openBrace || byte === openBracket ? skipContainer(bytes, from) : skipScalar(bytes, from);
}

/** Behind the comma that follows a value, at what comes next; -1: it was the last one, and `closing` stands there. */
export function nextIn(bytes: Uint8Array, valueEnd: number, closing: number): number {
  const at = skipSpace(bytes, valueEnd);
  if (bytes[at] === comma) return skipSpace(bytes, at + 1);
  if (bytes[at] !== closing) throw missingComma(at);
  return -1;
}
