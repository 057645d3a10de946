/** One request on one connection: what goes out and what comes back, until it ends, breaks or is aborted. */
import type {Dispatcher} from 'undici';

export type Head = {status: number; headers: Record<string, string | string[] | undefined>};

export type Exchange = {
  /** Rejects with {@link BrokenExchange}, or with the reason of the signal. */
  readonly head: Promise<Head>;
  /** The body, once. Throws as `head` does. */
  readonly chunks: AsyncIterable<Uint8Array>;
};

/** How far it came. While `connecting`, nothing of the request can have reached the server. */
export type Stage = 'connecting' | 'waiting' | 'answering';

/** No whole answer came. The cause is undici's or the system's. */
export class BrokenExchange extends Error {
  override readonly name = 'BrokenExchange';
  readonly stage: Stage;
  override readonly cause: Error;

  constructor(cause: Error, stage: Stage) {
    super(cause.message, {cause});
    this.cause = cause;
    this.stage = stage;
  }
}

/** So much may wait for whoever reads; then the server has to. */
const highWaterBytes = 1_048_576;

/** undici's own `request` hears a signal only once a connection stands; this at once. */
export function startExchange(
  dispatcher: Dispatcher,
  options: Dispatcher.DispatchOptions,
  signal: AbortSignal,
): Exchange {
  const head = Promise.withResolvers<Head>();
  head.promise.catch(() => {}); // whoever waits for it has it too
  const waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  let controller: Dispatcher.DispatchController | undefined;
  let stage: Stage = 'connecting';
  let ended = false;
  let failure: Error | undefined;
  let wake = (): void => {};

  const finish = (error?: Error): void => {
    if (ended) return;
    ended = true;
    failure = error;
    signal.removeEventListener('abort', abort);
    if (error !== undefined) head.reject(error);
    wake();
  };
  const abort = (): void => {
    waiting.length = 0;
    const reason: unknown = signal.reason;
    finish(reason instanceof Error ? reason : new Error('aborted'));
    controller?.abort(failure ?? new Error('aborted'));
  };

  async function* read(): AsyncGenerator<Uint8Array, void> {
    for (;;) {
      const chunk = waiting.shift();
      if (chunk !== undefined) {
        waitingBytes -= chunk.length;
        if (waiting.length === 0) controller?.resume();
        yield chunk;
      } else if (failure !== undefined) throw failure;
      else if (ended) return;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
  }

  signal.addEventListener('abort', abort);
  if (signal.aborted) abort();
  else
    dispatcher.dispatch(options, {
      onRequestStart(started) {
        controller = started;
        if (ended) started.abort(failure ?? new Error('bug: ended before it began'));
        else stage = 'waiting';
      },
      onResponseStart(_controller, status, headers) {
        if (status < 200) return; // more is to come
        stage = 'answering';
        head.resolve({status, headers});
      },
      onResponseData(receiving, chunk) {
        waiting.push(chunk);
        waitingBytes += chunk.length;
        if (waitingBytes >= highWaterBytes) receiving.pause();
        wake();
      },
      onResponseEnd: () => finish(),
      onResponseError: (_controller, cause) => finish(new BrokenExchange(cause, stage)),
    });
  return {head: head.promise, chunks: read()};
}
