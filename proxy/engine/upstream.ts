/** Sends one request over one connection, and says what comes back, until it ends or breaks. */
import type {Dispatcher} from 'undici';
import type {ReplyHeaders} from '../wire/headers.ts';
import type {Connections} from './connections.ts';

export type UpstreamRequest = {path: string; headers: string[]; body: Uint8Array};

/** After `onEnd` or `onBroken` nothing follows; after `abort` nothing at all. */
export type UpstreamHandler = {
  /** The connection stands and the request is being written. */
  onConnected(): void;
  onHead(status: number, headers: ReplyHeaders): void;
  onData(chunk: Uint8Array): void;
  onEnd(): void;
  onBroken(broken: Broken): void;
};

export type Broken = {
  cause: Error;
  connected: boolean;
  /** A reset of a used connection before any byte came back: it had gone stale, which says nothing of the backend. */
  stale: boolean;
};

export type Upstream = {pause(): void; resume(): void; abort(): void};

const aborted = new Error('aborted');

export function send(
  connections: Connections,
  request: UpstreamRequest,
  fresh: boolean,
  handler: UpstreamHandler,
): Upstream {
  const connection = connections.take(fresh);
  let controller: Dispatcher.DispatchController | undefined;
  let answered = false;
  let done = false;

  connection.client.dispatch(
    {path: request.path, method: 'POST', headers: request.headers, body: request.body},
    {
      onRequestStart(started) {
        controller = started;
        if (!done) handler.onConnected();
      },
      onResponseStart(_, status, headers) {
        if (done || status < 200) return;
        answered = true;
        handler.onHead(status, headers);
      },
      onResponseData(_, chunk) {
        if (!done) handler.onData(chunk);
      },
      onResponseEnd() {
        if (done) return;
        done = true;
        connection.release();
        handler.onEnd();
      },
      onResponseError(_, cause) {
        if (done) return;
        done = true;
        connection.destroy();
        const connected = controller !== undefined;
        handler.onBroken({cause, connected, stale: connection.reused && connected && !answered});
      },
    },
  );

  return {
    pause: () => controller?.pause(),
    resume: () => controller?.resume(),
    abort() {
      if (done) return;
      done = true;
      controller?.abort(aborted);
      connection.destroy();
    },
  };
}
