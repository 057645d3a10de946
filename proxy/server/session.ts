/**
 * An open WebSocket between a caller and a backend: bytes pass both ways at the pace of the slower, and whichever end goes, the other
 * hears of it in a close frame, if it is not in the middle of another frame.
 */
import {randomBytes} from 'node:crypto';
import type {ServerResponse} from 'node:http';
import type {Socket} from 'node:net';
import {ignoreInterrupt, onInterrupt, type Call} from '../engine/call.ts';
import type {Clock, Timer} from '../engine/clock.ts';
import type {BackendListener, BackendSocket} from '../engine/websocket.ts';
import {closeFrame, createFrameWatch, type FrameWatch} from '../wire/frames.ts';

/** Status codes of RFC 6455, 7.4.1, and https://www.iana.org/assignments/websocket. */
const normal = 1000;
const goingAway = 1001;
const tooBig = 1009;
const badGateway = 1014;

/** Until a close frame has been answered; then the connection is broken off. */
const farewellMs = 2_000;

export type SessionOptions = {
  call: Call;
  clock: Clock;
  socket: Socket;
  response: ServerResponse;
  backend: BackendSocket;
  /** What the caller has sent before it was open. */
  early: readonly Buffer[];
  maxMessageBytes: number;
  /** For as long as nothing is said, either way. */
  idleMs: number;
  /** Both connections are gone. */
  over: () => void;
};

type Session = SessionOptions & {
  /** From the caller to the backend. */
  up: FrameWatch;
  down: FrameWatch;
  ended: boolean;
  farewell: Timer | undefined;
  /** The backend waits for the caller to read. */
  taken: (() => void) | undefined;
  callerClosed: boolean;
  backendClosed: boolean;
};

type Told = {code: number; reason: string};

/** What each side is told, and what the log says; nothing where all is well. */
type End = {caller?: Told; backend?: Told; error?: Call['record']['errorCode']};

const both = (told: Told, error: End['error']): End => ({caller: told, backend: told, error});

const isClosing = ({up, down}: Session): boolean => up.hasClosed() || down.hasClosed();

/** A frame of our own may follow what that side has said. */
const mayFollow = (watch: FrameWatch): boolean => watch.atBoundary() && !watch.hasClosed();

function takeMore(session: Session): void {
  const {taken} = session;
  session.taken = undefined;
  taken?.();
}

function end(session: Session, {caller, backend: told, error}: End): void {
  const {call, clock, socket, response, backend, up, down} = session;
  if (session.ended) return;
  session.ended = true;
  call.watchdog.clear('request');
  onInterrupt(call, ignoreInterrupt);
  call.record.errorCode ??= error;
  if (told !== undefined && mayFollow(up)) backend.write(closeFrame(told.code, told.reason, randomBytes(4)));
  backend.end();
  response.end(); // the answer is whole: it has no more to say of its caller than `error` does
  if (caller !== undefined && mayFollow(down)) socket.write(closeFrame(caller.code, caller.reason));
  socket.end();
  socket.resume(); // his answer to the close frame, unread, would reset the connection
  takeMore(session);
  session.farewell = clock.after(farewellMs, () => {
    socket.destroy();
    backend.destroy();
  });
}

const callerLeft = (session: Session): void =>
  end(session, {
    backend: {code: goingAway, reason: 'the caller has left'},
    error: isClosing(session) ? undefined : 'caller_gone',
  });

function backendLeft(session: Session, cause: Error | undefined): void {
  const {record} = session.call;
  if (session.ended) return;
  if (isClosing(session)) return end(session, {caller: {code: normal, reason: ''}});
  record.failures.push(`${record.endpoint ?? ''}: closed an open WebSocket (${cause?.message ?? 'no error'})`);
  end(session, {caller: {code: badGateway, reason: 'the backend closed the connection'}, error: 'stream_cut'});
}

const moved = ({call, clock, idleMs}: Session): void => call.watchdog.move('request', clock.now() + idleMs);

const limitOf = ({maxMessageBytes}: Session): string =>
  `is larger than limits.maxBodyBytes of ${maxMessageBytes} bytes`;

function fromCaller(session: Session, chunk: Uint8Array): void {
  if (session.ended) return;
  moved(session);
  const bytes = session.up.pass(chunk);
  if (bytes.length > 0 && !session.backend.write(bytes)) session.socket.pause();
  if (!session.up.isTooLarge()) return;
  end(session, {
    caller: {code: tooBig, reason: `the message ${limitOf(session)}`},
    backend: {code: goingAway, reason: `the caller's message ${limitOf(session)}`},
    error: 'body_too_large',
  });
}

function fromBackend(session: Session, chunk: Uint8Array, taken: () => void): void {
  if (session.ended) return taken();
  moved(session);
  const bytes = session.down.pass(chunk);
  if (bytes.length === 0 || session.socket.write(bytes)) taken();
  else session.taken = taken;
  if (!session.down.isTooLarge()) return;
  end(session, {
    caller: {code: goingAway, reason: `the backend's message ${limitOf(session)}`},
    backend: {code: tooBig, reason: `the message ${limitOf(session)}`},
    error: 'stream_cut',
  });
}

function closed(session: Session): void {
  if (!session.callerClosed || !session.backendClosed) return;
  session.farewell?.cancel();
  session.over();
}

function listenToCaller(session: Session): void {
  const {call, clock, socket, idleMs} = session;
  call.watchdog.set('request', clock.now() + idleMs, () =>
    end(session, both({code: goingAway, reason: 'nothing was said in timeouts.request'}, 'deadline_exceeded')),
  );
  onInterrupt(call, (why) => {
    if (why === 'CallerGone') callerLeft(session);
    else end(session, both({code: goingAway, reason: 'this proxy is going away'}, 'shutting_down'));
  });
  socket.on('data', (chunk: Buffer) => fromCaller(session, chunk));
  socket.on('drain', () => takeMore(session));
  socket.on('end', () => callerLeft(session));
  socket.once('close', () => {
    session.callerClosed = true;
    callerLeft(session);
    closed(session);
  });
}

export function openSession(options: SessionOptions): BackendListener {
  const session: Session = {
    ...options,
    up: createFrameWatch(options.maxMessageBytes),
    down: createFrameWatch(options.maxMessageBytes),
    ended: false,
    farewell: undefined,
    taken: undefined,
    callerClosed: false,
    backendClosed: false,
  };
  listenToCaller(session);
  for (const chunk of options.early) fromCaller(session, chunk);
  return {
    take: (chunk, taken) => fromBackend(session, chunk, taken),
    drained() {
      if (!session.ended) session.socket.resume();
    },
    ended: (cause) => backendLeft(session, cause),
    closed() {
      session.backendClosed = true;
      backendLeft(session, undefined);
      closed(session);
    },
  };
}
