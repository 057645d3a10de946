/** The caller's side of one HTTP exchange, as the engine needs it. */
import type {ServerResponse} from 'node:http';
import type {Caller} from '../engine/call.ts';

export type CallerOptions = {
  /** Flat; on every answer. */
  headers: readonly string[];
  isDraining: () => boolean;
  /** He has left before the end of his answer. */
  gone: () => void;
};

export function createCaller(response: ServerResponse, options: CallerOptions): Caller {
  let drained: (() => void) | undefined;
  const closers: (() => void)[] = [];
  response.on('drain', () => {
    const resume = drained;
    drained = undefined;
    resume?.();
  });
  // One handler for the whole exchange. A caller that leaves while we wait for `drain` never drains: this is what ends the attempt.
  // First of all handlers, so that the log line, which is another's, has what the attempt came to.
  response.prependListener('close', () => {
    if (!response.writableFinished) options.gone();
    for (const closed of closers.splice(0)) closed();
  });
  return {
    headSent: () => response.headersSent,
    sendHead(headers, status = 200) {
      const closing = options.isDraining() ? ['connection', 'close'] : [];
      response.writeHead(status, [...headers, ...options.headers, ...closing]);
    },
    // Written after its end a response raises an error that nobody could answer.
    write: (bytes) => response.writableEnded || response.write(bytes),
    end: () => void response.end(),
    onDrain(next) {
      drained = next;
    },
    onClosed(closed) {
      if (response.destroyed) closed();
      else closers.push(closed);
    },
    destroy() {
      // HTTP/1.0 has no other sign of an end than a proper close.
      if (response.req.httpVersion === '1.0') response.socket?.resetAndDestroy();
      else response.destroy();
    },
  };
}
