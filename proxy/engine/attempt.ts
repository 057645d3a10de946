/** One request to one endpoint, in whatever way it is sent, and its answer in the shape that was asked for. */
import {firstValue, mediaType, type ReplyHeaders} from '../wire/headers.ts';
import {describeBroken} from './broken.ts';
import {receiveBytes} from './byte-answer.ts';
import {backendFailure} from './failure.ts';
import type {Loan} from './loan.ts';
import type {Receiver, ReceiverOptions, Settled} from './receiver.ts';
import {runAttempt, type RunningAttempt} from './running-attempt.ts';
import {receiveStream} from './streamed-answer.ts';
import {attemptMsOf, provenanceOf, type Trip} from './trip.ts';
import type {Upstream, UpstreamHandler} from './upstream.ts';
import {receiveWhole} from './whole-answer.ts';

/** Puts the request on the wire. */
export type Send = (handler: UpstreamHandler) => Upstream;

function receive(options: ReceiverOptions): Receiver {
  const {request, caller} = options.call;
  const {status, headers} = options.head;
  const type = mediaType(firstValue(headers, 'content-type'));
  if (request.answer === 'Events' && status === 200 && type === 'text/event-stream') return receiveStream(options);
  // Some servers know no events for what they answer in bytes; once a keep-alive has gone out it is too late for those.
  const takesBytes = request.answer === 'Bytes' || (request.answer === 'Events' && !caller.headSent());
  if (takesBytes && status >= 200 && status < 300 && request.api.isBytes(type)) return receiveBytes(options);
  return receiveWhole(options);
}

type Answering = {trip: Trip; loan: Loan; running: RunningAttempt; upstream: () => Upstream | undefined};

function receiverFor({trip, loan, running, upstream}: Answering, status: number, headers: ReplyHeaders): Receiver {
  const {engine, call, route} = trip;
  const {timeouts} = loan.backend.config;
  return receive({
    call,
    clock: engine.clock,
    memory: engine.memory,
    head: {status, headers},
    modelIsFixed: loan.modelIsFixed,
    firstTokenMs: timeouts.firstTokenMs,
    tokenIdleMs: timeouts.tokenIdleMs,
    keepAliveMs: route.config.stream.keepAliveMs,
    provenance: () => provenanceOf(route, call),
    pause: () => upstream()?.pause(),
    resume: () => upstream()?.resume(),
    contentCame() {
      running.answering = true;
      loan.answers();
    },
    timedOut: running.timedOut,
    settle: running.settle,
  });
}

/** Of what nobody here knows, nobody knows either how long it takes to begin, or whether it begins before it is whole. */
function limitFirstToken({call, engine}: Trip, {backend}: Loan, running: RunningAttempt): void {
  const {answer, api} = call.request;
  if (answer === 'Whole' || (answer === 'Bytes' && api.carriedOnce)) return;
  call.watchdog.set('firstToken', engine.clock.now() + backend.config.timeouts.firstTokenMs, () => {
    const failure = backendFailure('Timeout', 'sent no content in timeouts.firstToken');
    running.fail(api.carriedOnce ? {...failure, verdict: undefined} : failure);
  });
}

/** Rejects only with a bug of ours. */
export const attempt = (trip: Trip, loan: Loan, send: Send): Promise<Settled> =>
  runAttempt({
    trip,
    loan,
    attemptMs: attemptMsOf(trip, loan.backend),
    begin(running) {
      let upstream: Upstream | undefined;
      limitFirstToken(trip, loan, running);
      upstream = send({
        onConnected: () => trip.call.watchdog.clear('connect'),
        onHead(status, headers) {
          running.receiver = receiverFor({trip, loan, running, upstream: () => upstream}, status, headers);
          const encoding = firstValue(headers, 'content-encoding') ?? 'identity';
          if (encoding !== 'identity' && status < 300)
            running.fail(backendFailure('MalformedReply', 'compressed its answer without being asked to'));
        },
        onData: (chunk) => running.receiver?.data(chunk),
        onEnd: () => running.receiver?.end(),
        onBroken: (broken) =>
          broken.stale ? running.settle({type: 'StaleConnection'}) : running.fail(describeBroken(broken)),
        onBug: running.crash,
      });
      const begun = upstream;
      return () => begun.abort();
    },
  });
