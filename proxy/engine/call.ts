/** One caller's request on its way through the engine: who asked, what is left of its time, and what became of it. */
import {estimateTokens, type Usage} from '../wire/api.ts';
import type {ErrorCode, ErrorDetails} from '../wire/errors.ts';
import type {InferenceRequest} from '../wire/request.ts';
import type {Watchdog} from './watchdog.ts';

/** Why a request ends from outside of its attempt. */
export type Interruption = 'CallerGone' | 'DeadlineExceeded' | 'ShuttingDown';

/** The caller's connection, as the engine sees it. */
export type Caller = {
  headSent(): boolean;
  /** `headers`: flat. `status`: 200 unless given. */
  sendHead(headers: readonly string[], status?: number): void;
  /** False: it is full; wait for `onDrain`. */
  write(bytes: Uint8Array | string): boolean;
  end(): void;
  onDrain(drained: () => void): void;
  /** Once his connection has taken all of the answer, or is gone. */
  onClosed(closed: () => void): void;
  /** Breaks his connection off. */
  destroy(): void;
};

/** What the one log line and the metrics say. */
export type CallRecord = {
  backend: string | undefined;
  endpoint: string | undefined;
  attempts: number;
  firstTokenMs: number | undefined;
  usage: Usage | undefined;
  errorCode: ErrorCode | 'caller_gone' | 'upstream_refused' | undefined;
  /** Causes of failed attempts, for the log only: they may name addresses. */
  failures: string[];
  malformedEvents: number;
};

export type Call = {
  readonly request: InferenceRequest;
  /** Allow-listed and ours, flat; the same for every attempt. */
  readonly headers: readonly string[];
  readonly caller: Caller;
  readonly watchdog: Watchdog;
  readonly startedAt: number;
  readonly deadlineAt: number;
  readonly record: CallRecord;
  /** Hash of the prompt's prefix. */
  readonly prefixHash: () => number;
  interrupted: Interruption | undefined;
  /** What has begun to go out is not read here. */
  sendsBytes: boolean;
  /** The stage that runs now is told here. */
  onInterrupt: (why: Interruption) => void;
};

export const newRecord = (): CallRecord => ({
  backend: undefined,
  endpoint: undefined,
  attempts: 0,
  firstTokenMs: undefined,
  usage: undefined,
  errorCode: undefined,
  failures: [],
  malformedEvents: 0,
});

/** For what is said at the deadline to reach a caller; one who does not read it is left. */
const farewellMs = 2_000;

export const ignoreInterrupt = (): void => {};

/**
 * Names the stage that is to be told. A function and not an assignment in place: V8 puts a function literal that is assigned to a
 * property into the old generation at once, and from there it keeps its whole request from the scavenger.
 */
export function onInterrupt(call: Call, stage: (why: Interruption) => void): void {
  call.onInterrupt = stage;
}

/** Ends whatever the request is doing. Once. */
export function interrupt(call: Call, why: Interruption): void {
  if (call.interrupted !== undefined) return;
  call.interrupted = why;
  if (why === 'DeadlineExceeded') {
    call.watchdog.set('request', call.deadlineAt + farewellMs, () => call.caller.destroy());
  }
  call.onInterrupt(why);
}

export const estimateUsage = (call: Call, completionTokens: number): Usage => ({
  promptTokens: estimateTokens(call.request.fields.bytes.length),
  completionTokens,
  estimated: true,
});

/** Ends what has begun, so that nobody takes it for whole: a stream of events with one more, any other by breaking it off. */
export function endWithError(call: Call, error: ErrorDetails, usage: Usage | undefined): void {
  if (call.request.answer !== 'Events' || call.sendsBytes) return call.caller.destroy();
  const {backend, attempts} = call.record;
  call.caller.write(
    call.request.api.errorEvent({...error, ...(backend === undefined ? {} : {backend}), attempts}, usage),
  );
  call.caller.end();
}
