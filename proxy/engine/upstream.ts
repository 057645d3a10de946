/** Sends one request over one connection, and says what comes back, until it ends or breaks. */
import type {Dispatcher} from 'undici';
import type {ReplyHeaders} from '../wire/headers.ts';
import type {RequestMethod} from '../wire/request.ts';
import type {Connections} from './connections.ts';

export type UpstreamRequest = {method: RequestMethod; path: string; headers: string[]; body: Uint8Array};

/** After `onEnd`, `onBroken` or `onBug` nothing follows; after `abort` nothing at all. */
export type UpstreamHandler = {
  /** The connection stands and the request is being written. */
  onConnected(): void;
  onHead(status: number, headers: ReplyHeaders): void;
  onData(chunk: Uint8Array): void;
  onEnd(): void;
  onBroken(broken: Broken): void;
  /** One of the others threw, or the request cannot be written as it is: our fault, not the backend's. */
  onBug(error: unknown): void;
};

export type Broken = {
  cause: Error;
  connected: boolean;
  /** A used connection ended before any byte came back: it had gone stale, which says nothing of the backend. */
  stale: boolean;
};

export type Upstream = {pause(): void; resume(): void; abort(): void};

const aborted = new Error('aborted');

const isInvalidRequest = (cause: Error): boolean => 'code' in cause && cause.code === 'UND_ERR_INVALID_ARG';

export function send(
  connections: Connections,
  request: UpstreamRequest,
  fresh: boolean,
  handler: UpstreamHandler,
): Upstream {
  const connection = connections.take(fresh);
  let controller: Dispatcher.DispatchController | undefined;
  let answering = false;
  let done = false;

  const stop = (): void => {
    done = true;
    controller?.abort(aborted);
    connection.destroy();
  };
  const bug = (error: unknown): void => {
    if (!done) stop();
    handler.onBug(error);
  };
  /** undici takes what a handler throws for a broken connection, and so would the breaker. */
  const run = (tell: () => void): void => {
    try {
      tell();
    } catch (error) {
      bug(error);
    }
  };
  const whyBroken = (cause: Error): Broken => ({
    cause,
    connected: controller !== undefined,
    // undici may find a used connection closed before it writes a byte: that is stale as well, and no failure to connect
    stale: connection.reused && !answering,
  });

  connection.client.dispatch(
    {path: request.path, method: request.method, headers: request.headers, body: request.body},
    {
      onRequestStart(started) {
        controller = started;
        if (!done) run(() => handler.onConnected());
      },
      onResponseStarted() {
        answering = true;
      },
      onResponseStart(_, status, headers) {
        if (done || status < 200) return;
        run(() => handler.onHead(status, headers));
      },
      onResponseData(_, chunk) {
        if (done) return;
        try {
          handler.onData(chunk); // for each token: no closure
        } catch (error) {
          bug(error);
        }
      },
      onResponseEnd() {
        if (done) return;
        done = true;
        connection.release(); // one that the backend is about to close turns out to be stale, if it is used before that
        run(() => handler.onEnd());
      },
      onResponseError(_, cause) {
        if (done) return;
        done = true;
        connection.destroy();
        run(() => (isInvalidRequest(cause) ? handler.onBug(cause) : handler.onBroken(whyBroken(cause))));
      },
    },
  );

  return {
    pause: () => controller?.pause(),
    resume: () => controller?.resume(),
    abort() {
      if (!done) stop();
    },
  };
}
