/** What is in a JSON document, as places in its bytes: the members of an object that somebody will read, the items of an array. */
import {
  backslash,
  closeBrace,
  closeBracket,
  JsonSyntaxError,
  nextIn,
  openBrace,
  openBracket,
  quote,
  skipColon,
  skipKey,
  skipSpace,
  skipValue,
  type Span,
} from './json-scan.ts';

const decoder = new TextDecoder();

/** The names of the members that somebody will read, so that the others cost nothing. */
export type MemberNames = {
  /** `[start, end)`: a key with its quotes. */
  find(bytes: Uint8Array, start: number, end: number): string | undefined;
};

function holdsAt(bytes: Uint8Array, at: number, name: string): boolean {
  for (let index = 0; index < name.length; index += 1) {
    if (bytes[at + index] !== name.charCodeAt(index)) return false;
  }
  return true;
}

function hasEscape(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at += 1) if (bytes[at] === backslash) return true;
  return false;
}

function decodeKey(bytes: Uint8Array, start: number, end: number): string {
  try {
    return String(JSON.parse(decoder.decode(bytes.subarray(start, end))));
  } catch {
    throw new JsonSyntaxError('a key is malformed', start);
  }
}

/** `names`: in ASCII, as all of the APIs' are. */
export function memberNames(...names: readonly string[]): MemberNames {
  const byLength: string[][] = [];
  for (const name of names) (byLength[name.length] ??= []).push(name);
  return {
    find(bytes, start, end) {
      const alike = byLength[end - start - 2];
      if (alike !== undefined) for (const name of alike) if (holdsAt(bytes, start + 1, name)) return name;
      if (!hasEscape(bytes, start, end)) return undefined;
      const key = decodeKey(bytes, start, end);
      return names.find((name) => name === key);
    },
  };
}

/** Of an object: those of its members that were asked for. */
export type Members = {
  spans: ReadonlyMap<string, Span>;
  /** One that stands there more than once; the last one is in `spans`, as `JSON.parse` has it. */
  repeated: string | undefined;
};

export const isObjectAt = (bytes: Uint8Array, {start}: Span): boolean => bytes[start] === openBrace;
export const isArrayAt = (bytes: Uint8Array, {start}: Span): boolean => bytes[start] === openBracket;
export const isTrueAt = (bytes: Uint8Array, {start}: Span): boolean => bytes[start] === 0x74;
export const isFalseAt = (bytes: Uint8Array, {start}: Span): boolean => bytes[start] === 0x66;
export const isNullAt = (bytes: Uint8Array, {start}: Span): boolean => bytes[start] === 0x6e;
export const isStringAt = (bytes: Uint8Array, {start}: Span): boolean => bytes[start] === quote;

/** `bytes` hold one object and nothing else but white space. Throws {@link JsonSyntaxError}. */
export function findMembers(bytes: Uint8Array, names: MemberNames): Members {
  const spans = new Map<string, Span>();
  let repeated: string | undefined;
  const opening = skipSpace(bytes, 0);
  if (bytes[opening] !== openBrace) throw new JsonSyntaxError('an object was expected', opening);
  let key = skipSpace(bytes, opening + 1);
  let last = key;
  if (bytes[key] === closeBrace) key = -1;
  while (key !== -1) {
    const keyEnd = skipKey(bytes, key);
    const start = skipColon(bytes, keyEnd);
    const end = skipValue(bytes, start);
    const name = names.find(bytes, key, keyEnd);
    if (name !== undefined) {
      if (spans.has(name)) repeated ??= name;
      spans.set(name, {start, end});
    }
    key = nextIn(bytes, end, closeBrace);
    last = end;
  }
  const rest = skipSpace(bytes, skipSpace(bytes, last) + 1);
  if (rest < bytes.length) throw new JsonSyntaxError('something stands behind the end of the document', rest);
  return {spans, repeated};
}

/** The items of the array at `span`, one by one. Throws {@link JsonSyntaxError}. */
export function* itemsOf(bytes: Uint8Array, span: Span): Generator<Span, void> {
  let start = skipSpace(bytes, span.start + 1);
  if (bytes[start] === closeBracket) return;
  while (start !== -1) {
    const end = skipValue(bytes, start);
    yield {start, end};
    start = nextIn(bytes, end, closeBracket);
  }
}

/** Longer strings are not worth a loop. */
const longestPlain = 64;

/** Plain ASCII without escapes, which names of models nearly always are; undefined for all else. */
function plainText(bytes: Uint8Array, {start, end}: Span): string | undefined {
  if (bytes[start] !== quote || end - start > longestPlain) return undefined;
  let text = '';
  for (let at = start + 1; at < end - 1; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte < 0x20 || byte > 0x7e || byte === backslash) return undefined;
    text += String.fromCharCode(byte);
  }
  return text;
}

/** The value at a span, parsed. For small values only. Throws {@link JsonSyntaxError}. */
export function parseSpan(bytes: Uint8Array, span: Span): unknown {
  try {
    return plainText(bytes, span) ?? JSON.parse(decoder.decode(bytes.subarray(span.start, span.end)));
  } catch {
    throw new JsonSyntaxError('a value is malformed', span.start);
  }
}
