import {describe, expect, it} from '@jest/globals';
import {closeFrame, createFrameWatch, type FrameWatch} from './frames.ts';

type Options = {opcode?: number; last?: boolean; masked?: boolean};

function frame(length: number, {opcode = 2, last = true, masked = false}: Options = {}): Uint8Array {
  const first = (last ? 0x80 : 0) | opcode;
  const mask = masked ? 0x80 : 0;
  const head =
    length < 126
      ? [first, mask | length]
      : length < 65_536
        ? [first, mask | 126, length >> 8, length & 0xff]
        : [
            first,
            mask | 127,
            0,
            0,
            0,
            0,
            (length >>> 24) & 0xff,
            (length >> 16) & 0xff,
            (length >> 8) & 0xff,
            length & 0xff,
          ];
  return Uint8Array.from([...head, ...(masked ? [1, 2, 3, 4] : []), ...Array.from({length}, () => 0x88)]);
}

const join = (...frames: Uint8Array[]): Uint8Array => Uint8Array.from(frames.flatMap((each) => [...each]));

/** What has passed, fed in chunks of this size. */
function feed(watch: FrameWatch, bytes: Uint8Array, size: number): number {
  let passed = 0;
  for (let at = 0; at < bytes.length; at += size) passed += watch.pass(bytes.subarray(at, at + size)).length;
  return passed;
}

describe('a frame watch', () => {
  it.each([1, 2, 3, 7, 1_000_000])('lets all frames pass, in chunks of %i bytes, and knows where they end', (size) => {
    const frames = [
      frame(0),
      frame(125, {masked: true}),
      frame(126),
      frame(300, {masked: true}),
      frame(65_535),
      frame(65_536, {masked: true}),
      frame(4, {opcode: 9}),
    ];
    const watch = createFrameWatch(100_000);
    for (const each of frames) {
      expect(watch.atBoundary()).toBe(true);
      expect(feed(watch, each, size)).toBe(each.length);
      expect(watch.atBoundary()).toBe(true);
    }
    expect([watch.isTooLarge(), watch.hasClosed()]).toEqual([false, false]);
  });

  it('passes the bytes as they are, whatever they look like', () => {
    const watch = createFrameWatch(1_000);
    const bytes = join(frame(200, {masked: true}), frame(3));
    const passed: number[] = [];
    for (const byte of bytes) passed.push(...watch.pass(Uint8Array.of(byte)));
    expect(Uint8Array.from(passed)).toEqual(bytes);
    expect(watch.hasClosed()).toBe(false); // its payload is full of what would be a close frame
  });

  it('holds the head of a frame until it is whole', () => {
    const watch = createFrameWatch(1_000);
    const bytes = frame(200, {masked: true});
    expect(watch.pass(bytes.subarray(0, 7))).toHaveLength(0);
    expect(watch.atBoundary()).toBe(true);
    expect(watch.pass(bytes.subarray(7, 9))).toHaveLength(9);
    expect(watch.atBoundary()).toBe(false);
  });

  it.each([1, 5, 1_000])('stops before the frame that makes a message too large, in chunks of %i', (size) => {
    const watch = createFrameWatch(500);
    const good = join(
      frame(500),
      frame(400, {last: false, opcode: 1}),
      frame(125, {opcode: 9}),
      frame(100, {opcode: 0, last: false}),
    );
    expect(feed(watch, join(good, frame(1, {opcode: 0}), frame(10)), size)).toBe(good.length);
    expect([watch.isTooLarge(), watch.atBoundary()]).toEqual([true, true]);
  });

  it('counts every message anew', () => {
    const watch = createFrameWatch(500);
    const message = join(frame(300, {last: false}), frame(200, {opcode: 0}));
    expect(feed(watch, join(message, message, frame(500)), 64)).toBe(message.length * 2 + frame(500).length);
    expect(watch.isTooLarge()).toBe(false);
  });

  it('takes a length of 64 bits for what it is', () => {
    const watch = createFrameWatch(2 ** 40);
    expect(watch.pass(Uint8Array.of(0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0))).toHaveLength(0);
    expect(watch.isTooLarge()).toBe(true);
    const other = createFrameWatch(2 ** 40);
    expect(other.pass(Uint8Array.of(0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0))).toHaveLength(10);
    expect([other.isTooLarge(), other.atBoundary()]).toEqual([false, false]);
  });

  it('knows the last frame of a side, its own included', () => {
    for (const mask of [undefined, Uint8Array.of(9, 8, 7, 6)]) {
      const watch = createFrameWatch(500);
      const bytes = closeFrame(1001, 'going away', mask);
      expect(feed(watch, bytes, 3)).toBe(bytes.length);
      expect([watch.hasClosed(), watch.atBoundary()]).toEqual([true, true]);
    }
  });
});

describe('a close frame', () => {
  it('carries code and reason', () => {
    expect(closeFrame(1001, 'bye')).toEqual(Uint8Array.of(0x88, 5, 0x03, 0xe9, 0x62, 0x79, 0x65));
  });

  it('is masked on its way to a server', () => {
    expect(closeFrame(1001, 'b', Uint8Array.of(1, 2, 3, 4))).toEqual(
      Uint8Array.of(0x88, 0x83, 1, 2, 3, 4, 0x03 ^ 1, 0xe9 ^ 2, 0x62 ^ 3),
    );
  });

  it('is never longer than a control frame may be', () => {
    expect(closeFrame(1001, 'x'.repeat(500))).toHaveLength(2 + 125);
  });
});
