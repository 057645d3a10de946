/** What becomes of a request that http-proxy-middleware has sent, told as upstream.ts tells it. */
import type {ClientRequest, IncomingMessage} from 'node:http';
import type {Socket} from 'node:net';
import type {Upstream, UpstreamHandler} from './upstream.ts';

export type Exchange = Upstream & {
  begin: (request: ClientRequest) => void;
  receive: (reply: IncomingMessage) => void;
  fail: (cause: Error) => void;
  /** Its connection is another's from now on. */
  handOver: () => void;
};

/** One that cannot be written as it is: our fault, not the backend's. */
const isOurFault = (error: Error): boolean =>
  'code' in error && typeof error.code === 'string' && /^ERR_(INVALID|UNESCAPED|HTTP_INVALID)/.test(error.code);

/** The moment at which bytes can go out: before that nothing was sent. */
function onceConnected(request: ClientRequest, connected: () => void): void {
  const watch = (socket: Socket): void =>
    void socket.once('encrypted' in socket ? 'secureConnect' : 'connect', connected);
  if (request.socket === null) request.once('socket', watch);
  else watch(request.socket);
}

/** The connection ends with its one exchange: what is kept may go stale, and nothing is sent twice to find that out. */
export function createExchange(handler: UpstreamHandler): Exchange {
  let request: ClientRequest | undefined;
  let reply: IncomingMessage | undefined;
  let connected = false;
  let done = false;

  const stop = (): void => {
    done = true;
    request?.destroy();
  };
  /** Whoever sends takes what a handler throws for a broken connection, and so would the breaker. */
  const run = (tell: () => void): void => {
    if (done) return;
    try {
      tell();
    } catch (error) {
      stop();
      handler.onBug(error);
    }
  };
  const fail = (cause: Error): void => {
    if (done) return;
    stop();
    try {
      if (isOurFault(cause)) handler.onBug(cause);
      else handler.onBroken({cause, connected, stale: false});
    } catch (error) {
      handler.onBug(error);
    }
  };

  return {
    begin(begun) {
      request = begun;
      if (done) {
        begun.destroy();
        return;
      }
      // A 101 that nobody has asked for comes as neither an answer nor an error.
      begun.once('close', () => {
        if (reply === undefined) fail(new Error('the connection was closed without an answer'));
      });
      onceConnected(begun, () => {
        connected = true;
        run(() => handler.onConnected());
      });
    },
    receive(received) {
      reply = received;
      received.on('data', (chunk: Buffer) => run(() => handler.onData(chunk)));
      received.on('end', () => {
        run(() => handler.onEnd());
        stop();
      });
      received.on('error', fail);
      received.on('close', () => fail(new Error('the connection was closed')));
      run(() => handler.onHead(received.statusCode ?? 0, received.headers));
    },
    fail,
    handOver() {
      done = true;
    },
    pause: () => void reply?.pause(),
    resume: () => void reply?.resume(),
    abort() {
      if (!done) stop();
    },
  };
}
