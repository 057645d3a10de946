/**
 * An answer in bytes that nobody here reads, such as speech: it goes out as it comes. Its end alone says that it is whole, so a cut one
 * ends with the caller's connection and never with a proper end.
 */
import {answerHeaders, firstValue} from '../wire/headers.ts';
import {estimateUsage} from './call.ts';
import {backendFailure, cut} from './failure.ts';
import type {Receiver, ReceiverOptions} from './receiver.ts';

type State = {committed: boolean; paused: boolean; closed: boolean};

export function receiveBytes(options: ReceiverOptions): Receiver {
  const {call, clock, head} = options;
  const {caller, watchdog, request} = call;
  const state: State = {committed: false, paused: false, closed: false};
  watchdog.clear('keepAlive'); // an event before it would be taken for its first bytes

  const watchIdle = (): void =>
    watchdog.set('tokenIdle', clock.now() + options.tokenIdleMs, () =>
      options.timedOut('sent no byte in timeouts.tokenIdle'),
    );

  const commit = (): void => {
    state.committed = true;
    call.sendsBytes = true;
    watchdog.clear('firstToken');
    options.contentCame();
    const length = firstValue(head.headers, 'content-length');
    caller.sendHead(
      [
        ...answerHeaders(head.headers),
        ...(length === undefined ? [] : ['content-length', length]),
        ...options.provenance(),
      ],
      head.status,
    );
    if (request.api.counted) call.record.usage = estimateUsage(call, 0);
  };

  const pauseUntilDrained = (): void => {
    state.paused = true; // a caller that reads slowly is no fault of the backend
    options.pause();
    watchdog.clear('tokenIdle');
    caller.onDrain(() => {
      state.paused = false;
      if (state.closed) return;
      watchIdle();
      options.resume();
    });
  };

  return {
    data(chunk) {
      if (!state.committed) {
        commit();
        watchIdle();
      } else watchdog.move('tokenIdle', clock.now() + options.tokenIdleMs);
      if (!caller.write(chunk) && !state.paused) pauseUntilDrained();
    },
    end() {
      if (!state.committed && !request.carriedOnce) {
        const failure = backendFailure('MalformedReply', 'answered with nothing');
        return options.settle({type: 'Failed', failure});
      }
      if (!state.committed) commit();
      watchdog.clear('tokenIdle');
      caller.end();
      options.settle({type: 'Answered'});
    },
    broken: (failure) => (state.committed ? cut(failure, state.paused, call.record.usage) : failure),
    closed() {
      state.closed = true;
    },
  };
}
