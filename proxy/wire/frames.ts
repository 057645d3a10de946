/** Where the frames of one side of a WebSocket end (RFC 6455, 5.2), without looking at what is in them. */

export type FrameWatch = {
  /** What may go on of all that has come so far: the head of a frame is held until it is whole. */
  pass(chunk: Uint8Array): Uint8Array;
  /** What has passed ends with the end of a frame: another may follow it. */
  atBoundary(): boolean;
  /** This side has sent its last frame. */
  hasClosed(): boolean;
  /** A message is too large: what has passed ends before the frame that made it so, and nothing passes any more. */
  isTooLarge(): boolean;
};

const closeOpcode = 0x8;
const nothing = new Uint8Array(0);

/** Of a length that does not fit into its seven bits. */
const longLengths: Record<number, number> = {126: 2, 127: 8};

type Head = {opcode: number; isLast: boolean; headLength: number; length: number};

/** Undefined: not whole yet. */
function readHead(bytes: Uint8Array, at: number): Head | undefined {
  const [first, second] = bytes.subarray(at, at + 2);
  if (first === undefined || second === undefined) return undefined;
  const shortLength = second & 0x7f;
  const lengthBytes = longLengths[shortLength] ?? 0;
  const headLength = 2 + lengthBytes + (second & 0x80 ? 4 : 0);
  if (bytes.length - at < headLength) return undefined;
  let length = lengthBytes === 0 ? shortLength : 0;
  for (const byte of bytes.subarray(at + 2, at + 2 + lengthBytes)) length = length * 256 + byte;
  return {opcode: first & 0x0f, isLast: (first & 0x80) !== 0, headLength, length};
}

function join(one: Uint8Array, other: Uint8Array): Uint8Array {
  if (one.length === 0) return other;
  const joined = new Uint8Array(one.length + other.length);
  joined.set(one);
  joined.set(other, one.length);
  return joined;
}

/** `maxMessageBytes`: of all fragments of a message together. */
export function createFrameWatch(maxMessageBytes: number): FrameWatch {
  let held = nothing;
  /** Bytes of the running frame that are still to come. */
  let rest = 0;
  /** Of the running message. */
  let messageBytes = 0;
  let closed = false;
  let tooLarge = false;

  const enter = ({opcode, isLast, length}: Head): void => {
    const isControl = opcode >= 0x8; // may stand between the fragments of a message
    const total = isControl ? length : messageBytes + length;
    if (total > maxMessageBytes) {
      tooLarge = true;
      return;
    }
    if (!isControl) messageBytes = isLast ? 0 : total;
    if (opcode === closeOpcode) closed = true;
    rest = length;
  };

  return {
    pass(chunk) {
      if (tooLarge) return nothing;
      const bytes = join(held, chunk);
      held = nothing;
      let at = 0;
      while (at < bytes.length) {
        if (rest === 0) {
          const head = readHead(bytes, at);
          if (head === undefined) held = bytes.slice(at);
          else enter(head);
          if (head === undefined || tooLarge) break;
          at += head.headLength;
        }
        const step = Math.min(rest, bytes.length - at);
        rest -= step;
        at += step;
      }
      return bytes.subarray(0, at);
    },
    atBoundary: () => rest === 0,
    hasClosed: () => closed,
    isTooLarge: () => tooLarge,
  };
}

const longestReason = 123;

/** `reason`: ASCII. `mask`: four random bytes, of a frame that goes to a server. */
export function closeFrame(code: number, reason: string, mask?: Uint8Array): Uint8Array {
  const text = new TextEncoder().encode(reason).subarray(0, longestReason);
  const payload = join(Uint8Array.of(code >> 8, code & 0xff), text);
  const masked = mask === undefined ? payload : payload.map((byte, index) => byte ^ (mask[index % 4] ?? 0));
  const head = Uint8Array.of(0x80 | closeOpcode, payload.length | (mask === undefined ? 0 : 0x80), ...(mask ?? []));
  return join(head, masked);
}
