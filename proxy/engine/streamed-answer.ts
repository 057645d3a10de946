/** A streamed answer: nothing goes out before its first content, and then only whole events, until it has ended or is cut. */
import type {EventReading, StreamReader, Usage} from '../wire/api.ts';
import {answerHeaders, firstValue, type ReplyHeaders} from '../wire/headers.ts';
import {createSseSplitter, type SseEvent} from '../wire/sse.ts';
import {estimateUsage} from './call.ts';
import {backendFailure, cut, errorInside, type Failure} from './failure.ts';
import type {Receiver, ReceiverOptions} from './receiver.ts';
import type {Timer} from './clock.ts';
import {outOfMemory} from './memory.ts';

/** After the answer's end, for usage and `[DONE]`. */
const closingMs = 2_000;
/** One event. */
const maxEventBytes = 16 * 1024 * 1024;
/** All that may come before the first content. */
const maxHeldBytes = 1024 * 1024;
/** A backend may say back what it was asked, instructions and tools, in each of its first events, with escapes that make it longer. */
const heldPerAskedByte = 8;

type Flow = {
  committed: boolean;
  /** Events from before the first content. */
  held: Uint8Array[];
  heldBytes: number;
  /** Of the memory budget: what is held, and the event that has begun. */
  takenBytes: number;
  closed: boolean;
  paused: boolean;
  /** The caller has his whole answer. */
  endSent: boolean;
};

const malformed = (summary: string): Failure => backendFailure('MalformedReply', summary);

const streamHeaders = (headers: ReplyHeaders): string[] => [
  ...answerHeaders(headers),
  ...(firstValue(headers, 'cache-control') === undefined ? ['cache-control', 'no-cache'] : []),
  'x-accel-buffering',
  'no', // an nginx in front would hold tokens back
];

/** True: the event goes on to the caller. False: it is kept from him. A failure ends the stream. */
type Acceptance = boolean | Failure;

export function receiveStream(options: ReceiverOptions): Receiver {
  const {call, clock, head} = options;
  const {request, caller, watchdog} = call;
  const reader: StreamReader = request.api.createStreamReader(request.choices);
  const splitter = createSseSplitter();
  const mostHeldBytes = maxHeldBytes + heldPerAskedByte * request.fields.bytes.length;
  const flow: Flow = {
    committed: false,
    held: [],
    heldBytes: 0,
    takenBytes: 0,
    closed: false,
    paused: false,
    endSent: false,
  };
  /** The last chunk; time of the clock. */
  let receivedAt = clock.now();
  let progressAt = -Infinity;
  /** Not on the watchdog: that stops with the caller's connection, and he may have had the end of his answer before. */
  let closing: Timer | undefined;

  const usage = (): Usage | undefined =>
    request.api.counted ? (reader.usage() ?? estimateUsage(call, reader.contentEvents())) : undefined;
  const asFailure = (failure: Failure): Failure => (flow.committed ? cut(failure, flow.paused, usage()) : failure);

  /** A token only notes when it came, and the limit looks at that when it would expire: it is not moved for each. */
  const watchIdle = (from: number): void =>
    watchdog.set('tokenIdle', from + options.tokenIdleMs, () => {
      if (progressAt > from) watchIdle(progressAt);
      else options.timedOut('sent no token in timeouts.tokenIdle');
    });

  const send = (bytes: Uint8Array | string): void => {
    watchdog.move('keepAlive', receivedAt + options.keepAliveMs);
    if (caller.write(bytes) || flow.paused) return;
    flow.paused = true; // a caller that reads slowly is no fault of the backend
    options.pause();
    watchdog.clear('tokenIdle');
    closing?.cancel();
    caller.onDrain(() => {
      flow.paused = false;
      if (flow.closed) return;
      if (reader.finished()) waitForEnd();
      else watchIdle(clock.now());
      options.resume();
    });
  };

  const commit = (): void => {
    if (!caller.headSent()) caller.sendHead([...streamHeaders(head.headers), ...options.provenance()]);
  };

  const endCaller = (): void => {
    call.record.usage = usage(); // before his connection closes: the log line is written then
    flow.endSent = true;
    watchdog.clear('keepAlive');
    caller.end();
  };

  const finish = (): void => {
    commit();
    if (!reader.ended()) send(request.api.endOfStream);
    if (!flow.endSent) endCaller();
    options.settle({type: 'Answered'});
  };

  const waitForEnd = (): void => {
    closing?.cancel();
    if (!flow.paused || flow.endSent) closing = clock.after(closingMs, finish);
  };

  const acceptContent = (): Acceptance => {
    progressAt = receivedAt;
    if (flow.committed) return true;
    flow.committed = true;
    watchdog.clear('firstToken');
    watchIdle(receivedAt);
    options.contentCame();
    commit();
    return true;
  };

  const accept: Record<EventReading['kind'], (reading: EventReading) => Acceptance> = {
    Content: acceptContent,
    Progress() {
      progressAt = receivedAt;
      if (!flow.committed) watchdog.move('firstToken', receivedAt + options.firstTokenMs);
      return true;
    },
    Neither({onlyUsage}) {
      if (reader.ended() && !reader.finished()) return malformed('ended its stream before its answer had finished');
      return onlyUsage !== true || request.wantsUsage;
    },
    Malformed({error}) {
      call.record.malformedEvents += 1;
      return error === undefined ? false : malformed('sent content in an event that is not JSON');
    },
    Error({error}) {
      return errorInside(request, error ?? request.api.readError(new Uint8Array()), head.headers, options.modelIsFixed);
    },
  };

  const read = (events: SseEvent[], passed: Uint8Array[]): Failure | undefined => {
    for (const event of events) {
      if (reader.ended()) break; // what follows the end is not part of the answer
      const reading = reader.read(event);
      const acceptance = accept[reading.kind](reading);
      if (typeof acceptance === 'object') return acceptance;
      if (acceptance) passed.push(event.raw);
    }
    return splitter.pendingBytes() > maxEventBytes ? malformed('sent an event of more than 16 MiB') : undefined;
  };

  /** Before the first content events wait; with it they all go. */
  const pass = (events: Uint8Array[]): Failure | undefined => {
    if (!flow.committed) {
      flow.held.push(...events);
      flow.heldBytes += events.reduce((bytes, {length}) => bytes + length, 0);
      return flow.heldBytes > mostHeldBytes ? malformed('sent too much without any content') : undefined;
    }
    const all = flow.held.length > 0 ? [...flow.held, ...events] : events;
    flow.held = [];
    flow.heldBytes = 0;
    const [first] = all;
    if (first !== undefined) send(all.length === 1 ? first : Buffer.concat(all));
    return undefined;
  };

  /** The answer is whole: what may still come has two seconds. */
  const close = (): void => {
    watchdog.clear('tokenIdle');
    watchdog.clear('attempt');
    if (reader.ended()) endCaller();
    waitForEnd();
  };

  /** What waits here for its rest counts against the memory of all. */
  const account = (): Failure | undefined => {
    const bytes = flow.heldBytes + splitter.pendingBytes() - flow.takenBytes;
    if (bytes > 0 && !options.memory.take(bytes)) return outOfMemory;
    if (bytes < 0) options.memory.give(-bytes);
    flow.takenBytes += bytes;
    return undefined;
  };

  const end = (failure: Failure): void => {
    if (reader.finished()) finish();
    else options.settle({type: 'Failed', failure: asFailure(failure)});
  };

  return {
    data(chunk) {
      if (flow.endSent) return;
      receivedAt = clock.now(); // asked once for all that a token moves
      const wasFinished = reader.finished();
      const passed: Uint8Array[] = [];
      const broken = read(splitter.push(chunk), passed);
      const failure = pass(passed) ?? broken ?? account();
      if (failure !== undefined) end(failure);
      else if (reader.finished() && (!wasFinished || reader.ended())) close();
    },
    end: () => end(malformed('ended its stream before its answer had finished')),
    broken(failure) {
      if (!reader.finished()) return asFailure(failure);
      finish();
      return undefined;
    },
    closed() {
      flow.closed = true;
      closing?.cancel();
      options.memory.give(flow.takenBytes);
      if (flow.committed) call.record.usage ??= usage();
    },
  };
}
