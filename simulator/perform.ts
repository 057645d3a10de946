/** Puts a reply on the wire, at its pace, for as long as the caller stays. */
import type {ServerResponse} from 'node:http';
import type {Socket} from 'node:net';
import type {Ending, Piece, Reply} from './reply.ts';

/** `tcp`: the connection beneath, which is not the response's own socket if there is TLS. */
export type Recipient = {response: ServerResponse; tcp: Socket};

type Line = {
  response: ServerResponse;
  tcp: Socket;
  gone: () => boolean;
  sleep: (ms: number) => Promise<void>;
  drained: () => Promise<void>;
};

/** Every wait also ends when the caller leaves, so that no timer outlives its request. */
const lineTo = ({response, tcp}: Recipient): Line => {
  let closed = response.destroyed;
  response.once('close', () => {
    closed = true;
  });
  const wait = (arm: (done: () => void) => () => void): Promise<void> =>
    new Promise((resolve) => {
      if (closed) return resolve();
      const done = (): void => {
        disarm();
        response.off('close', done);
        resolve();
      };
      const disarm = arm(done);
      response.on('close', done);
    });
  return {
    response,
    tcp,
    gone: () => closed,
    sleep: (ms) =>
      wait((done) => {
        const timer = setTimeout(done, ms);
        return () => clearTimeout(timer);
      }),
    drained: () =>
      wait((done) => {
        response.on('drain', done);
        return () => response.off('drain', done);
      }),
  };
};

/** Times are counted from the start, not from timer to timer: late timers must not slow the stream down. */
const writePieces = async (line: Line, pieces: Iterable<Piece>): Promise<void> => {
  let dueAt = performance.now();
  let headersAreOut = false;
  for (const {data, afterMs} of pieces) {
    dueAt += afterMs;
    const waitMs = dueAt - performance.now();
    if (afterMs > 0 && waitMs > 0) {
      if (!headersAreOut) line.response.flushHeaders();
      await line.sleep(waitMs);
    }
    if (line.gone()) return;
    headersAreOut = true;
    if (!line.response.write(data)) {
      await line.drained();
      dueAt = performance.now();
    }
    if (line.gone()) return;
  }
};

/** A reset drops what the socket still holds, so the bytes before it go out first. */
const flushed = async (line: Line, socket: Socket): Promise<void> => {
  do await line.sleep(1);
  while (socket.writableLength + line.tcp.writableLength > 0 && !line.gone());
};

const breakOff = async (line: Line, end: Exclude<Ending, 'End' | 'Hang'>, hasHead: boolean): Promise<void> => {
  const {socket} = line.response;
  if (socket === null) return;
  if (hasHead) await flushed(line, socket);
  if (end === 'Reset') line.tcp.resetAndDestroy();
  else socket.destroySoon();
};

const closeLater = (response: ServerResponse, afterMs: number): void => {
  const {socket} = response;
  response.once('finish', () => setTimeout(() => socket?.destroySoon(), afterMs).unref());
};

/**
 * Resolves when all was written or the caller left; after a `Hang`, at once, with the connection open.
 * `onBreakOff` is called just before the simulator itself cuts or resets the connection.
 */
export const perform = async (reply: Reply, recipient: Recipient, onBreakOff: () => void): Promise<void> => {
  const {response} = recipient;
  const line = lineTo(recipient);
  if (reply.delayMs > 0) await line.sleep(reply.delayMs);
  if (line.gone()) return;
  if (reply.head !== undefined) {
    response.writeHead(reply.head.status, reply.head.headers);
    await writePieces(line, reply.pieces);
    if (line.gone()) return;
  }
  if (reply.end === 'Hang') {
    if (reply.head !== undefined) response.flushHeaders();
    return;
  }
  if (reply.end === 'End') {
    if (typeof reply.afterwards === 'object') closeLater(response, reply.afterwards.closeAfterMs);
    response.end();
    return;
  }
  if (reply.head !== undefined) response.flushHeaders();
  onBreakOff();
  await breakOff(line, reply.end, reply.head !== undefined);
};
