/** One call of the client: its name in messages, its deadline, and what else ends it early. */
import type {Clock} from './clock.ts';
import {KubeError} from './errors.ts';

export type Call = {
  /** Method and path. */
  readonly where: string;
  /** Its reason is the KubeError to throw. */
  readonly signal: AbortSignal;
  /** Infinity: no deadline. */
  leftMs(): number;
  /** For the words of the deadline, if it comes to that. */
  failed(error: KubeError): void;
  /** Rejects with the signal's reason. */
  wait(ms: number): Promise<void>;
  /** What it was for has come: there is no deadline any more. */
  lift(): void;
  abort(why: string, cause?: unknown): void;
  /** Whatever of it still runs is aborted. Leaves no timer and no listener. */
  end(): void;
};

export type CallOptions = {
  where: string;
  clock: Clock;
  /** For the whole of it, or until it is lifted. */
  deadlineMs: number;
  /** The caller's. */
  signal: AbortSignal | undefined;
};

export function startCall({where, clock, deadlineMs, signal}: CallOptions): Call {
  const controller = new AbortController();
  let endsAt = clock.now() + deadlineMs;
  let lastFailure: KubeError | undefined;

  const stop = (error: KubeError): void => controller.abort(error); // the first reason stays
  const leave = (): void => stop(new KubeError(`${where}: aborted`, {cause: signal?.reason}));
  const expire = (): void => {
    const last = lastFailure === undefined ? '' : `; the last try: ${lastFailure.message.replace(`${where}: `, '')}`;
    stop(new KubeError(`${where}: no answer within ${deadlineMs} ms${last}`, {cause: lastFailure}));
  };
  const deadline = clock.after(deadlineMs, expire);
  signal?.addEventListener('abort', leave);
  if (signal?.aborted === true) leave();

  return {
    where,
    signal: controller.signal,
    leftMs: () => endsAt - clock.now(),
    failed(error) {
      lastFailure = error;
    },
    async wait(ms) {
      const {promise, resolve} = Promise.withResolvers<void>();
      const timer = clock.after(ms, resolve);
      controller.signal.addEventListener('abort', () => resolve());
      if (controller.signal.aborted) resolve();
      await promise;
      timer.cancel();
      controller.signal.throwIfAborted();
    },
    lift() {
      deadline.cancel();
      endsAt = Infinity;
    },
    abort: (why, cause) => stop(new KubeError(`${where}: ${why}`, {cause})),
    end() {
      deadline.cancel();
      signal?.removeEventListener('abort', leave);
      stop(new KubeError(`${where}: over`));
    },
  };
}
