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

/** A class, since each request has one: its methods then are no closures of it. */
export class ResponseCaller implements Caller {
  readonly #response: ServerResponse;
  readonly #options: CallerOptions;
  readonly #closers: (() => void)[] = [];
  #drained: (() => void) | undefined;

  constructor(response: ServerResponse, options: CallerOptions) {
    this.#response = response;
    this.#options = options;
    response.on('drain', () => this.#drain());
    // One handler for the whole exchange. A caller that leaves while we wait for `drain` never drains: this is what ends the attempt.
    // First of all handlers, so that the log line, which is another's, has what the attempt came to.
    response.prependListener('close', () => {
      if (!response.writableFinished) options.gone();
      for (const closed of this.#closers.splice(0)) closed();
    });
  }

  headSent(): boolean {
    return this.#response.headersSent;
  }

  sendHead(headers: readonly string[], status = 200): void {
    const closing = this.#options.isDraining() ? ['connection', 'close'] : [];
    this.#response.writeHead(status, [...headers, ...this.#options.headers, ...closing]);
  }

  write(bytes: Uint8Array | string): boolean {
    if (this.#response.writableEnded) return true; // written now it would raise an error that nobody could answer
    // Node holds the three pieces of an HTTP chunk back until the next tick, to send them as one; here they are complete at once.
    const {socket} = this.#response;
    socket?.cork();
    const hasRoom = this.#response.write(bytes);
    socket?.uncork();
    return hasRoom;
  }

  end(): void {
    this.#response.end();
  }

  onDrain(next: () => void): void {
    this.#drained = next;
  }

  onClosed(closed: () => void): void {
    if (this.#response.destroyed) closed();
    else this.#closers.push(closed);
  }

  destroy(): void {
    // HTTP/1.0 has no other sign of an end than a proper close.
    if (this.#response.req.httpVersion === '1.0') this.#response.socket?.resetAndDestroy();
    else this.#response.destroy();
  }

  #drain(): void {
    const resume = this.#drained;
    this.#drained = undefined;
    resume?.();
  }
}
