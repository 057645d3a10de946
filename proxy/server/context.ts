/** What belongs to one HTTP request from its first byte to its log line. */
import {randomFillSync, randomUUID} from 'node:crypto';
import type {IncomingHttpHeaders, IncomingMessage, ServerResponse} from 'node:http';
import type {CallRecord} from '../engine/call.ts';
import {newRecord} from '../engine/call.ts';
import {callerApiOf, type CallerApi} from '../wire/apis.ts';

export type RequestContext = {
  readonly requestId: string;
  readonly traceparent: string;
  /** What a caller says with a trace of his own. */
  readonly tracestate: string | undefined;
  /** Without its query. */
  readonly path: string;
  readonly callerApi: CallerApi;
  /** The id, flat, in the headers where his clients look for it. */
  readonly idHeaders: readonly string[];
  readonly startedAt: number;
  readonly record: CallRecord;
  route: string;
  model: string;
  api: string;
  streamed: boolean;
};

const safeRequestId = /^[\w.:/+=@-]{1,128}$/;
/** https://www.w3.org/TR/trace-context/#traceparent-header */
const validTraceparent = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

const traceBytes = 16;
const spanBytes = 8;
/** Drawn for many requests at once: a draw for each would cost as much as the rest of its context. */
const randomness = Buffer.allocUnsafe(256 * (traceBytes + spanBytes));
let used = randomness.length;

function randomHex(bytes: number): string {
  if (used + bytes > randomness.length) {
    randomFillSync(randomness);
    used = 0;
  }
  used += bytes;
  return randomness.toString('hex', used - bytes, used);
}

/** Taken from the caller where it is well-formed, else made; not sampled, since nobody here records it. */
function readTrace({traceparent, tracestate}: IncomingHttpHeaders): Pick<RequestContext, 'traceparent' | 'tracestate'> {
  if (typeof traceparent !== 'string' || !validTraceparent.test(traceparent))
    return {traceparent: `00-${randomHex(traceBytes)}-${randomHex(spanBytes)}-00`, tracestate: undefined};
  return {traceparent, tracestate: typeof tracestate === 'string' ? tracestate : undefined};
}

export function createContext({headers, url = ''}: IncomingMessage, now: number): RequestContext {
  const given = headers['x-request-id'];
  const requestId = typeof given === 'string' && safeRequestId.test(given) ? given : randomUUID();
  const query = url.indexOf('?');
  const path = query === -1 ? url : url.slice(0, query);
  const callerApi = callerApiOf(path, headers['anthropic-version']);
  return {
    requestId,
    ...readTrace(headers),
    path,
    callerApi,
    idHeaders:
      callerApi === 'Anthropic' ? ['x-request-id', requestId, 'request-id', requestId] : ['x-request-id', requestId],
    startedAt: now,
    record: newRecord(),
    route: '',
    model: '',
    api: '',
    streamed: false,
  };
}

/** A property and no WeakMap: with keys that live for one request each, that keeps the garbage collector busier than the requests. */
type WithContext = ServerResponse & {requestContext?: RequestContext};

export function setContext(response: WithContext, context: RequestContext): void {
  response.requestContext = context;
}

export function contextOf({requestContext}: WithContext): RequestContext {
  if (requestContext === undefined) throw new Error('bug: a response without its context');
  return requestContext;
}
