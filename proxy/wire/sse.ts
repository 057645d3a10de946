/**
 * Server-sent events as they pass (WHATWG HTML, 9.2.6): splits bytes into whole events and keeps the raw bytes of each, so that
 * what goes on to the caller is what the backend sent, and never a part of an event.
 */

export type SseEvent = {
  /** As it came, its closing blank line included; without the byte order mark that a stream may begin with. */
  raw: Uint8Array;
  /** Last `event:` field; '' if there is none. */
  name: string;
  /** The `data:` lines joined with a line feed; undefined if there is none (a comment, a retry). */
  data: string | undefined;
};

export type SseSplitter = {
  /** The events that end in this chunk. `raw` may be a view of `chunk`. */
  push(chunk: Uint8Array): SseEvent[];
  /** Bytes of an event that has begun and not ended. */
  pendingBytes: () => number;
};

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const decoder = new TextDecoder('utf-8', {ignoreBOM: true});

function readLine(line: string, event: {name: string; data: string | undefined}): void {
  const colon = line.indexOf(':');
  const field = colon === -1 ? line : line.slice(0, colon);
  if (field !== 'data' && field !== 'event') return;
  const value = colon === -1 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
  if (field === 'event') event.name = value;
  else event.data = event.data === undefined ? value : `${event.data}\n${value}`;
}

function readLines(raw: Uint8Array, text: string): SseEvent {
  const event: {name: string; data: string | undefined} = {name: '', data: undefined};
  for (const line of text.split(/\r\n|\n|\r/)) readLine(line, event);
  return {raw, name: event.name, data: event.data};
}

/** Fields of one whole event. */
export function readEvent(raw: Uint8Array): SseEvent {
  const text = decoder.decode(raw);
  const isOneDataLine = text.startsWith('data: ') && text.indexOf('\n') === text.length - 2 && !text.includes('\r');
  return isOneDataLine ? {raw, name: '', data: text.slice(6, -2)} : readLines(raw, text);
}

/** Where the lines of one chunk end. Each of both bytes is looked for once per place, so that a long line is passed in one call. */
function createLineFinder(chunk: Uint8Array): (from: number) => number {
  let feed = -1;
  let carriage = -1;
  const find = (byte: number, from: number): number => {
    const found = chunk.indexOf(byte, from);
    return found === -1 ? chunk.length : found;
  };
  /** Not before `from`; the chunk's length if none ends there. */
  return (from) => {
    if (feed < from) feed = find(lineFeed, from);
    if (carriage < from) carriage = find(carriageReturn, from);
    return Math.min(feed, carriage);
  };
}

type BoundaryScanner = {
  /** What comes next begins an event. */
  isBetweenEvents: () => boolean;
  scan: (chunk: Uint8Array) => (from: number) => number;
};

/** What a token nearly always is: one line, and the blank one behind it. */
const isOneLine = (chunk: Uint8Array): boolean =>
  chunk.length > 2 &&
  chunk.indexOf(lineFeed) === chunk.length - 2 &&
  chunk[chunk.length - 1] === lineFeed &&
  !chunk.includes(carriageReturn);

/** Finds the blank line that ends an event, in chunks that may part anywhere; lines end with LF, CR or both. */
function createBoundaryScanner(): BoundaryScanner {
  let lineIsEmpty = true;
  let afterCarriageReturn = false;

  const scan: BoundaryScanner['scan'] = (chunk) => {
    const endOfLine = createLineFinder(chunk);
    /** Behind the end of the event, or -1. */
    return (from) => {
      let at = from;
      while (at < chunk.length) {
        const end = endOfLine(at);
        if (end > at) {
          lineIsEmpty = false;
          afterCarriageReturn = false;
        }
        if (end === chunk.length) return -1;
        at = end + 1;
        const secondHalf = chunk[end] === lineFeed && afterCarriageReturn;
        afterCarriageReturn = chunk[end] === carriageReturn;
        if (secondHalf) continue;
        if (!lineIsEmpty) {
          lineIsEmpty = true;
          continue;
        }
        if (!afterCarriageReturn || chunk[at] !== lineFeed) return at;
        afterCarriageReturn = false;
        return at + 1;
      }
      return -1;
    };
  };
  return {scan, isBetweenEvents: () => lineIsEmpty && !afterCarriageReturn};
}

type Pending = {
  bytes: () => number;
  add(part: Uint8Array): void;
  /** All of it, with `tail` behind; nothing is pending then. */
  take(tail: Uint8Array): Uint8Array;
};

/** Room is doubled, so that an event in a million parts is copied twice and holds no million buffers. */
function createPending(): Pending {
  let room = new Uint8Array(0);
  let bytes = 0;
  const add = (part: Uint8Array): void => {
    if (bytes + part.length > room.length) {
      const larger = new Uint8Array(Math.max(bytes + part.length, 2 * room.length));
      larger.set(room.subarray(0, bytes));
      room = larger;
    }
    room.set(part, bytes);
    bytes += part.length;
  };
  return {
    bytes: () => bytes,
    add,
    take(tail) {
      if (bytes === 0) return tail;
      add(tail);
      const all = room.subarray(0, bytes);
      room = new Uint8Array(0);
      bytes = 0;
      return all;
    },
  };
}

const hasByteOrderMark = (raw: Uint8Array): boolean => raw[0] === 0xef && raw[1] === 0xbb && raw[2] === 0xbf;

export function createSseSplitter(): SseSplitter {
  const {scan, isBetweenEvents} = createBoundaryScanner();
  const pending = createPending();
  let isFirst = true;

  const toEvent = (raw: Uint8Array): SseEvent => {
    const withMark = isFirst && hasByteOrderMark(raw); // behind a keep-alive of ours it would spoil the event's first field
    isFirst = false;
    return readEvent(withMark ? raw.subarray(3) : raw);
  };

  return {
    pendingBytes: pending.bytes,
    push(chunk) {
      if (isBetweenEvents() && pending.bytes() === 0 && isOneLine(chunk)) return [toEvent(chunk)];
      const events: SseEvent[] = [];
      const endOfEvent = scan(chunk);
      let start = 0;
      for (let end = endOfEvent(0); end !== -1; end = endOfEvent(start)) {
        const isAll = start === 0 && end === chunk.length;
        events.push(toEvent(pending.take(isAll ? chunk : chunk.subarray(start, end))));
        start = end;
      }
      if (start < chunk.length) pending.add(chunk.subarray(start));
      return events;
    },
  };
}

/** One event, written. */
export const writeEvent = (data: string, name?: string): string =>
  `${name === undefined ? '' : `event: ${name}\n`}data: ${data}\n\n`;
