/** What belongs to one HTTP request from its first byte to its log line. */
import {randomUUID} from 'node:crypto';
import type {IncomingHttpHeaders, IncomingMessage, ServerResponse} from 'node:http';
import type {CallRecord} from '../engine/call.ts';
import {newRecord} from '../engine/call.ts';

export type RequestContext = {
  readonly requestId: string;
  readonly traceparent: string;
  /** What a caller says with a trace of his own. */
  readonly tracestate: string | undefined;
  /** Without its query. */
  readonly path: string;
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

const hex = (): string => randomUUID().replaceAll('-', '');

/** Taken from the caller where it is well-formed, else made; not sampled, since nobody here records it. */
function readTrace({traceparent, tracestate}: IncomingHttpHeaders): Pick<RequestContext, 'traceparent' | 'tracestate'> {
  if (typeof traceparent !== 'string' || !validTraceparent.test(traceparent))
    return {traceparent: `00-${hex()}-${hex().slice(0, 16)}-00`, tracestate: undefined};
  return {traceparent, tracestate: typeof tracestate === 'string' ? tracestate : undefined};
}

export function createContext({headers, url = ''}: IncomingMessage, now: number): RequestContext {
  const given = headers['x-request-id'];
  return {
    requestId: typeof given === 'string' && safeRequestId.test(given) ? given : randomUUID(),
    ...readTrace(headers),
    path: url.split('?', 1)[0] ?? '',
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
