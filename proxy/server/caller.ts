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
  response.on('drain', () => {
    const resume = drained;
    drained = undefined;
    resume?.();
  });
  // One handler for the whole exchange. A caller that leaves while we wait for `drain` never drains: this is what ends the attempt.
  response.on('close', () => {
    if (!response.writableFinished) options.gone();
  });
  return {
    get headSent() {
      return response.headersSent;
    },
    sendHead(headers) {
      const closing = options.isDraining() ? ['connection', 'close'] : [];
      response.writeHead(200, [...headers, ...options.headers, ...closing]);
    },
    write: (bytes) => response.write(bytes),
    end: () => void response.end(),
    onDrain(next) {
      drained = next;
    },
  };
}
