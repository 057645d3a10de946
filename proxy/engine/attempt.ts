/** One try: one request to one endpoint, its time limits, and what came of it. */
import {RequestError, errorBody} from '../wire/errors.ts';
import {answerHeaders, firstValue, mediaType, type ReplyHeaders} from '../wire/headers.ts';
import {writeBody} from '../wire/request.ts';
import {endWithError, ignoreInterrupt, onInterrupt, type Call, type Interruption} from './call.ts';
import type {Clock} from './clock.ts';
import {backendFailure, type Failure} from './failure.ts';
import type {LiveBackend, LiveEndpoint} from './live.ts';
import type {MemoryBudget} from './memory.ts';
import type {Receiver, Settled} from './receiver.ts';
import {receiveStream} from './streamed-answer.ts';
import {send, type Broken, type Upstream} from './upstream.ts';
import {receiveWhole} from './whole-answer.ts';

export type AttemptOptions = {
  call: Call;
  clock: Clock;
  memory: MemoryBudget;
  backend: LiveBackend;
  endpoint: LiveEndpoint;
  attemptMs: number | undefined;
  keepAliveMs: number;
  askForUsage: boolean;
  modelIsFixed: boolean;
  fresh: boolean;
  contentCame: () => void;
  /** Headers that say how the answer came about, flat. */
  provenance: () => readonly string[];
};

const interruptions: Record<Exclude<Interruption, 'CallerGone'>, Pick<Failure, 'code' | 'summary'>> = {
  DeadlineExceeded: {code: 'deadline_exceeded', summary: 'did not finish in timeouts.request'},
  ShuttingDown: {code: 'shutting_down', summary: 'was still answering when the drain period ended'},
};

const streamHeaders = (headers: ReplyHeaders): string[] => [
  ...answerHeaders(headers),
  ...(firstValue(headers, 'cache-control') === undefined ? ['cache-control', 'no-cache'] : []),
  'x-accel-buffering',
  'no', // an nginx in front would hold tokens back
];

function describeBroken({cause, connected}: Broken): Failure {
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : cause.name;
  const told = `${code}: ${cause.message}`;
  if (!connected) return backendFailure('ConnectFailure', 'could not be connected to', told);
  if (code.startsWith('HPE_') || code.startsWith('UND_ERR_RES') || code === 'UND_ERR_HEADERS_OVERFLOW') {
    return backendFailure('MalformedReply', 'broke HTTP in its answer', told);
  }
  return backendFailure('Reset', 'closed the connection before the end of its answer', told);
}

/** A stream that has begun still ends in an error event; whoever logs the fault answers all other callers. */
function tellOfBug(call: Call): void {
  if (!call.caller.headSent()) return;
  const error = new RequestError('internal_error', 'ModelRoute failed; its log has the cause under the request id.');
  call.record.errorCode = error.code;
  endWithError(call, errorBody(error).error, call.record.usage);
}

/** Not zeroed first: every byte of it is written. */
const allocate = (length: number): Buffer => Buffer.allocUnsafe(length);

const isEventStream = (headers: ReplyHeaders): boolean =>
  mediaType(firstValue(headers, 'content-type')) === 'text/event-stream';

/** Rejects only with a bug of ours: that must not look like the backend's failure. */
export function attempt(options: AttemptOptions): Promise<Settled> {
  const {call, clock, memory, backend, endpoint} = options;
  const {request, watchdog} = call;
  const {timeouts} = backend.config;

  return new Promise((resolve, reject) => {
    let receiver: Receiver | undefined;
    let upstream: Upstream | undefined;
    let settled = false;
    let contentSeen = false;

    const stop = (): void => {
      settled = true;
      watchdog.clearAttempt();
      onInterrupt(call, ignoreInterrupt);
      receiver?.closed();
      upstream?.abort();
    };
    const settle = (result: Settled): void => {
      if (settled) return;
      stop();
      resolve(result);
    };
    const crash = (error: unknown): void => {
      if (!settled) {
        stop();
        tellOfBug(call);
      }
      reject(error);
    };
    const fail = (failure: Failure): void => {
      const outcome = receiver === undefined ? failure : receiver.broken(failure);
      if (outcome !== undefined) settle({type: 'Failed', failure: outcome});
    };
    const timedOut = (summary: string): void => fail(backendFailure('Timeout', summary));

    onInterrupt(call, (why) => {
      if (why === 'CallerGone') return settle({type: 'CallerGone'});
      const {code, summary} = interruptions[why];
      const slow = why === 'DeadlineExceeded' && !contentSeen;
      fail({...backendFailure('Timeout', summary), ...(slow ? {} : {verdict: undefined}), code});
    });

    const receive = (status: number, headers: ReplyHeaders): Receiver => {
      const head = {status, headers};
      const common = {call, memory, head, modelIsFixed: options.modelIsFixed, settle};
      if (!request.streamed || status !== 200 || !isEventStream(headers)) return receiveWhole(common);
      return receiveStream({
        ...common,
        clock,
        firstTokenMs: timeouts.firstTokenMs,
        tokenIdleMs: timeouts.tokenIdleMs,
        keepAliveMs: options.keepAliveMs,
        pause: () => upstream?.pause(),
        resume: () => upstream?.resume(),
        timedOut,
        contentCame: () => {
          contentSeen = true;
          options.contentCame();
        },
        commit: () => {
          if (!call.caller.headSent()) call.caller.sendHead([...streamHeaders(headers), ...options.provenance()]);
        },
      });
    };

    const now = clock.now();
    watchdog.set('connect', now + timeouts.connectMs, () => {
      settle({
        type: 'Failed',
        failure: backendFailure('ConnectFailure', 'could not be connected to in timeouts.connect'),
      });
    });
    if (request.streamed)
      watchdog.set('firstToken', now + timeouts.firstTokenMs, () => timedOut('sent no content in timeouts.firstToken'));
    if (options.attemptMs !== undefined)
      watchdog.set('attempt', now + options.attemptMs, () => timedOut('did not finish in its share of the time'));

    upstream = send(
      endpoint.connections,
      {
        path: `${backend.basePath}${request.api.path}`,
        headers: [...call.headers, ...backend.authHeaders],
        body: writeBody(request, {model: backend.config.model, askForUsage: options.askForUsage}, allocate),
      },
      options.fresh,
      {
        onConnected: () => watchdog.clear('connect'),
        onHead(status, headers) {
          const encoding = firstValue(headers, 'content-encoding') ?? 'identity';
          receiver = receive(status, headers);
          if (encoding !== 'identity' && status < 300)
            fail(backendFailure('MalformedReply', 'compressed its answer without being asked to'));
        },
        onData: (chunk) => receiver?.data(chunk),
        onEnd: () => receiver?.end(),
        onBroken: (broken) => (broken.stale ? settle({type: 'StaleConnection'}) : fail(describeBroken(broken))),
        onBug: crash,
      },
    );
    if (settled) upstream.abort();
  });
}
