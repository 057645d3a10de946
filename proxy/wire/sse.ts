/**
 * Server-sent events as they pass (WHATWG HTML, 9.2.6): splits bytes into whole events and keeps the raw bytes of each, so that
 * what goes on to the caller is what the backend sent, and never a part of an event.
 */

export type SseEvent = {
  /** As it came, its closing blank line included. */
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
  readonly pendingBytes: number;
};

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const decoder = new TextDecoder();

function join(parts: Uint8Array[], length: number): Uint8Array {
  const joined = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

function readLine(line: string, event: {name: string; data: string | undefined}): void {
  const colon = line.indexOf(':');
  const field = colon === -1 ? line : line.slice(0, colon);
  if (field !== 'data' && field !== 'event') return;
  const value = colon === -1 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
  if (field === 'event') event.name = value;
  else event.data = event.data === undefined ? value : `${event.data}\n${value}`;
}

/** Fields of one whole event. */
export function readEvent(raw: Uint8Array): SseEvent {
  const text = decoder.decode(raw); // drops a byte order mark, as the standard asks of the stream's first bytes
  const event: {name: string; data: string | undefined} = {name: '', data: undefined};
  if (text.startsWith('data: ') && text.indexOf('\n') === text.length - 2) {
    event.data = text.slice(6, -2); // the common case: one data line
  } else {
    for (const line of text.split(/\r\n|\n|\r/)) readLine(line, event);
  }
  return {raw, name: event.name, data: event.data};
}

/** Finds the blank line that ends an event, in chunks that may part anywhere; lines end with LF, CR or both. */
function createBoundaryScanner(): (chunk: Uint8Array, from: number) => number {
  let lineIsEmpty = true;
  let afterCarriageReturn = false;

  /** Behind the end of the event, or -1. */
  return (chunk, from) => {
    for (let at = from; at < chunk.length; at += 1) {
      const byte = chunk[at];
      if (byte !== lineFeed && byte !== carriageReturn) {
        lineIsEmpty = false;
        afterCarriageReturn = false;
        continue;
      }
      const secondHalf = byte === lineFeed && afterCarriageReturn;
      afterCarriageReturn = byte === carriageReturn;
      if (secondHalf) continue;
      if (lineIsEmpty) {
        const takesLineFeed = afterCarriageReturn && chunk[at + 1] === lineFeed;
        afterCarriageReturn &&= !takesLineFeed;
        return takesLineFeed ? at + 2 : at + 1;
      }
      lineIsEmpty = true;
    }
    return -1;
  };
}

export function createSseSplitter(): SseSplitter {
  const endOfEvent = createBoundaryScanner();
  let pending: Uint8Array[] = [];
  let pendingBytes = 0;

  return {
    get pendingBytes() {
      return pendingBytes;
    },
    push(chunk) {
      const events: SseEvent[] = [];
      let start = 0;
      for (let end = endOfEvent(chunk, 0); end !== -1; end = endOfEvent(chunk, start)) {
        const tail = chunk.subarray(start, end);
        events.push(readEvent(pendingBytes === 0 ? tail : join([...pending, tail], pendingBytes + tail.length)));
        pending = [];
        pendingBytes = 0;
        start = end;
      }
      if (start < chunk.length) {
        pending.push(chunk.subarray(start));
        pendingBytes += chunk.length - start;
      }
      return events;
    },
  };
}

/** One event, written. */
export const writeEvent = (data: string, name?: string): string =>
  `${name === undefined ? '' : `event: ${name}\n`}data: ${data}\n\n`;
