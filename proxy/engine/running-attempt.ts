/** What every attempt keeps to, whatever it sends: it settles once, in its time, and hears of interruptions. */
import {RequestError, detailsOf} from '../wire/errors.ts';
import {endWithError, ignoreInterrupt, onInterrupt, type Call, type Interruption} from './call.ts';
import {backendFailure, type Failure} from './failure.ts';
import type {Loan} from './loan.ts';
import type {Receiver, Settled} from './receiver.ts';
import type {Trip} from './trip.ts';

export type RunningAttempt = {
  /** Takes the body of the answer, once its head is here. */
  receiver: Receiver | undefined;
  /** Content has come: a deadline that runs out now is not the backend's fault. */
  answering: boolean;
  /** No limit and no interruption ends it any more; what is returned says what has become of it. */
  handOver: () => (result: Settled) => void;
  settle: (result: Settled) => void;
  fail: (failure: Failure) => void;
  timedOut: (summary: string) => void;
  /** A bug of ours: that must not look like the backend's failure. */
  crash: (error: unknown) => void;
};

const interruptions: Record<Exclude<Interruption, 'CallerGone'>, Pick<Failure, 'code' | 'summary'>> = {
  DeadlineExceeded: {code: 'deadline_exceeded', summary: 'did not finish in timeouts.request'},
  ShuttingDown: {code: 'shutting_down', summary: 'was still answering when the drain period ended'},
};

/** A stream that has begun still ends in an error event; whoever logs the fault answers all other callers. */
function tellOfBug(call: Call): void {
  if (!call.caller.headSent()) return;
  const error = new RequestError('internal_error', 'ModelRoute failed; its log has the cause under the request id.');
  call.record.errorCode = error.code;
  endWithError(call, detailsOf(error), call.record.usage);
}

/** For the connection; and, where it is given, for the whole attempt. */
function limitTime(
  {call, engine}: Trip,
  {backend}: Loan,
  attemptMs: number | undefined,
  running: RunningAttempt,
): void {
  const now = engine.clock.now();
  call.watchdog.set('connect', now + backend.config.timeouts.connectMs, () =>
    running.fail(backendFailure('ConnectFailure', 'could not be connected to in timeouts.connect')),
  );
  if (attemptMs !== undefined)
    call.watchdog.set('attempt', now + attemptMs, () => running.timedOut('did not finish in its share of the time'));
}

export type AttemptOptions = {
  trip: Trip;
  loan: Loan;
  attemptMs: number | undefined;
  /** Returns what breaks off that which it has begun. */
  begin: (running: RunningAttempt) => () => void;
};

/** Rejects only with a bug of ours. */
export function runAttempt({trip, loan, attemptMs, begin}: AttemptOptions): Promise<Settled> {
  const {call} = trip;
  return new Promise((resolve, reject) => {
    let settled = false;
    let abort: (() => void) | undefined;
    const stop = (): void => {
      settled = true;
      call.watchdog.clearAttempt();
      onInterrupt(call, ignoreInterrupt);
      running.receiver?.closed();
    };
    const running: RunningAttempt = {
      receiver: undefined,
      answering: false,
      handOver() {
        stop();
        return resolve;
      },
      settle(result) {
        if (settled) return;
        stop();
        abort?.();
        resolve(result);
      },
      fail(failure) {
        const {receiver} = running;
        const outcome = receiver === undefined ? failure : receiver.broken(failure);
        if (outcome !== undefined) running.settle({type: 'Failed', failure: outcome});
      },
      timedOut: (summary) => running.fail(backendFailure('Timeout', summary)),
      crash(error) {
        if (!settled) {
          stop();
          abort?.();
          tellOfBug(call);
        }
        reject(error);
      },
    };
    onInterrupt(call, (why) => {
      if (why === 'CallerGone') return running.settle({type: 'CallerGone'});
      const {code, summary} = interruptions[why];
      const slow = why === 'DeadlineExceeded' && !running.answering;
      running.fail({...backendFailure('Timeout', summary), ...(slow ? {} : {verdict: undefined}), code});
    });
    limitTime(trip, loan, attemptMs, running);
    abort = begin(running);
    if (settled) abort();
  });
}
