/** A caller's connection: HTTP/1.1 over a raw socket, no more than the benchmark needs, so that the load costs less than what it measures. */
import {connect as connectSocket} from 'node:net';

/** All parts lie in one buffer that is used again: who wants to keep one copies it. */
export type Receiver = {part(bytes: Buffer): void; end(status: number): void; failed(why: string): void};

export type Connection = {ask(request: Buffer, receiver: Receiver): void; close(): void};

const shared = Buffer.allocUnsafeSlow(256 * 1024);
const none = Buffer.alloc(0);

type Reading = 'Head' | 'Length' | 'ChunkSize' | 'Chunk' | 'ChunkEnd' | 'LastEnd';

/** Reads answers, one after the other. `push` throws what is no HTTP. */
function createReader({part, end: ended}: Omit<Receiver, 'failed'>): {push(bytes: Buffer): void} {
  let reading: Reading = 'Head';
  let status = 0;
  let left = 0;
  let held = none;

  let isWhole = false;

  const finish = (): void => {
    reading = 'Head';
    isWhole = true;
  };
  const readHead = (bytes: Buffer, end: number): void => {
    const head = bytes.toString('latin1', 0, end).toLowerCase();
    status = Number(head.slice(9, 12));
    const length = head.indexOf('\r\ncontent-length:');
    if (!head.startsWith('http/1.1 ') || (length === -1 && !head.includes('\r\ntransfer-encoding: chunked')))
      throw new Error(`an answer without a length: ${head}`);
    left = length === -1 ? 0 : Number.parseInt(head.slice(length + 17), 10);
    reading = length === -1 ? 'ChunkSize' : 'Length';
    if (reading === 'Length' && left === 0) finish();
  };
  const readSize = (bytes: Buffer, end: number): void => {
    left = Number.parseInt(bytes.toString('latin1', 0, end), 16);
    if (Number.isNaN(left)) throw new Error(`no size of a chunk: ${bytes.toString('latin1', 0, end)}`);
    reading = left === 0 ? 'LastEnd' : 'Chunk';
  };
  const readBytes = (bytes: Buffer): number => {
    const taken = Math.min(left, bytes.length);
    left -= taken;
    part(taken === bytes.length ? bytes : bytes.subarray(0, taken));
    if (left > 0) return taken;
    if (reading === 'Length') finish();
    else reading = 'ChunkEnd';
    return taken;
  };
  /** A line or a head that has to be whole; how many bytes it took, 0 if it is not. */
  const readLine = (bytes: Buffer): number => {
    const mark = reading === 'Head' ? '\r\n\r\n' : '\r\n';
    const end = bytes.indexOf(mark);
    if (end === -1) return 0;
    if (reading === 'Head') readHead(bytes, end + 2);
    else if (reading === 'ChunkSize') readSize(bytes, end);
    else if (end > 0) throw new Error(`more than a chunk's size: ${bytes.toString('latin1', 0, end)}`);
    else if (reading === 'ChunkEnd') reading = 'ChunkSize';
    else finish();
    return end + mark.length;
  };

  return {
    push(more) {
      let bytes = held.length === 0 ? more : Buffer.concat([held, more]);
      held = none;
      while (bytes.length > 0) {
        if (isWhole) throw new Error('more came than was asked for');
        const taken = reading === 'Length' || reading === 'Chunk' ? readBytes(bytes) : readLine(bytes);
        if (taken === 0) {
          held = Buffer.from(bytes);
          return;
        }
        bytes = bytes.subarray(taken);
      }
      if (!isWhole) return;
      isWhole = false;
      ended(status);
    },
  };
}

const unasked = (): never => {
  throw new Error('bytes that nobody asked for');
};
const nobody: Receiver = {part: unasked, end: unasked, failed() {}};

export function connect(port: number): Promise<Connection> {
  return new Promise((resolve, reject) => {
    let receiver = nobody;
    let closing = false;
    const fail = (why: string): void => {
      if (closing) return;
      closing = true;
      socket.destroy();
      receiver.failed(why);
    };
    const reader = createReader({
      part: (bytes) => receiver.part(bytes),
      end(status) {
        const asked = receiver;
        receiver = nobody;
        asked.end(status);
      },
    });
    const read = (length: number): boolean => {
      try {
        if (!closing) reader.push(shared.subarray(0, length));
      } catch (error) {
        fail((error as Error).message);
      }
      return true;
    };
    const socket = connectSocket({port, host: '127.0.0.1', noDelay: true, onread: {buffer: shared, callback: read}});
    socket.on('error', (error) => {
      reject(error);
      fail(error.message);
    });
    socket.on('close', () => fail('the connection was closed'));
    socket.once('connect', () =>
      resolve({
        ask(request, next) {
          receiver = next;
          if (closing) next.failed('the connection was closed');
          else socket.write(request);
        },
        close() {
          closing = true;
          socket.destroy();
        },
      }),
    );
  });
}
