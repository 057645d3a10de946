/** What a loop has under way, which is one request or one wait at a time; stopping ends either at once. */
import type {Clock} from './clock.ts';
import {KubeError} from './errors.ts';
import {watchSilence} from './silence.ts';

export type Asking = {
  signal: AbortSignal;
  /** A sign of life: the limit runs anew. */
  heard: () => void;
  /** From now on this is the limit. */
  limit: (ms: number) => void;
};

export type UnderWay = {
  /** Aborted after `limitMs` without a sign of life, and then throws a KubeError that says so, whatever `run` throws. */
  ask<Result>(limitMs: number, run: (asking: Asking) => Promise<Result>): Promise<Result>;
  /** Returns early when stopped. */
  pause(ms: number): Promise<void>;
  readonly stopped: boolean;
  stop(): void;
};

export function createUnderWay(clock: Clock): UnderWay {
  let stopped = false;
  let endCurrent = (): void => {};
  return {
    async ask(limitMs, run) {
      const controller = new AbortController(); // one per request: nothing gathers on a signal that lives for months
      const {signal} = controller;
      endCurrent = () => controller.abort();
      if (stopped) controller.abort();
      const silence = watchSilence(clock, limitMs, (ms) =>
        controller.abort(new KubeError(`nothing came for ${Math.round(ms / 1_000)} s`)),
      );
      try {
        return await run({signal, heard: silence.heard, limit: silence.limit});
      } catch (error) {
        signal.throwIfAborted(); // its reason says more than what a client makes of it
        throw error;
      } finally {
        silence.end();
      }
    },
    async pause(ms) {
      if (stopped || ms <= 0) return;
      const {promise, resolve} = Promise.withResolvers<void>();
      const timer = clock.after(ms, resolve);
      endCurrent = () => {
        timer.cancel();
        resolve();
      };
      await promise;
    },
    get stopped() {
      return stopped;
    },
    stop() {
      stopped = true;
      endCurrent();
    },
  };
}
