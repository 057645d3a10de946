/** Pure tools on the pieces of a reply. */
import {bytesOf, piece, type Piece} from './reply.ts';

export function* take<Item>(items: Iterable<Item>, count: number): Iterable<Item> {
  let left = count;
  if (left === 0) return;
  for (const item of items) {
    yield item;
    left -= 1;
    if (left === 0) return;
  }
}

/** The first `limit` bytes. */
export function* takeBytes(pieces: Iterable<Piece>, limit: number): Iterable<Piece> {
  let left = limit;
  if (left === 0) return;
  for (const {data, afterMs} of pieces) {
    const bytes = bytesOf(data).subarray(0, left);
    yield {data: bytes, afterMs};
    left -= bytes.length;
    if (left === 0) return;
  }
}

/** The first half of all bytes. */
export const firstHalf = (pieces: Iterable<Piece>): Iterable<Piece> => {
  const all = [...pieces];
  const total = all.reduce((sum, {data}) => sum + bytesOf(data).length, 0);
  return takeBytes(all, Math.floor(total / 2));
};

/** Pieces of at most `chunkBytes`, `intervalMs` apart, cut wherever that falls. */
export function* split(pieces: Iterable<Piece>, chunkBytes: number, intervalMs: number): Iterable<Piece> {
  for (const {data, afterMs} of pieces) {
    const bytes = bytesOf(data);
    for (let start = 0; start < bytes.length; start += chunkBytes) {
      yield {data: bytes.subarray(start, start + chunkBytes), afterMs: intervalMs + (start === 0 ? afterMs : 0)};
    }
  }
}

/** `inserted` after the first `count` items. */
export function* insertAfter<Item>(items: Iterable<Item>, count: number, inserted: Item): Iterable<Item> {
  let seen = 0;
  if (count === 0) yield inserted;
  for (const item of items) {
    yield item;
    seen += 1;
    if (seen === count) yield inserted;
  }
  if (seen < count) yield inserted;
}

/** What keeps a connection awake; endless without a count. */
export function* pings(ping: string, intervalMs: number, count = Infinity): Iterable<Piece> {
  for (let sent = 0; sent < count; sent += 1) yield piece(ping, intervalMs);
}

/** An item that is made only when its turn comes. */
export function* later<Item>(make: () => Item): Iterable<Item> {
  yield make();
}

export function* chain<Item>(...lists: Iterable<Item>[]): Iterable<Item> {
  for (const list of lists) yield* list;
}
