/** How an attempt can fail, as the next decision, the caller and the log need it. */
import type {FailureReason, ReplyFacts, Verdict} from '../routing/verdict.ts';
import {judgeReply} from '../routing/verdict.ts';
import type {UpstreamError, Usage} from '../wire/api.ts';
import type {ErrorCode} from '../wire/errors.ts';
import type {InferenceRequest} from '../wire/request.ts';
import {readRetryAfter, type ReplyHeaders} from '../wire/headers.ts';

export type Reply = {status: number; headers: ReplyHeaders; body: Uint8Array};

export type Failure = {
  /** Undefined: no verdict, and no further attempt (a deadline that ran out on a healthy stream, memory that is full). */
  verdict: Verdict | undefined;
  code: ErrorCode;
  /** For callers: names no address. */
  summary: string;
  /** For the log: may name addresses, but never in a backend's own words, which may quote a prompt. */
  cause: string;
  retryAfterMs?: number | undefined;
  /** As it came, for where it is the caller's own fault. */
  reply?: Reply;
  error?: UpstreamError;
  /** Content had gone out: nothing else may follow it. */
  committed: boolean;
  usage?: Usage | undefined;
};

const codes: Record<FailureReason, ErrorCode> = {
  ConnectFailure: 'backend_connect_failed',
  Reset: 'backend_reset',
  ServerError: 'backend_error',
  RateLimited: 'backend_rate_limited',
  Timeout: 'backend_timeout',
  MalformedReply: 'backend_malformed_reply',
  Rejected: 'backend_refused',
};

/** The backend's fault, before any content. `cause`: for the log, where it says more than the summary. */
export const backendFailure = (reason: FailureReason, summary: string, cause = summary): Failure => ({
  verdict: {fault: 'Backend', reason},
  code: codes[reason],
  summary,
  cause,
  committed: false,
});

/** A limit that ran out while the caller did not read says nothing of the backend, and a caller's own error opens no breaker. */
const keepsVerdict = ({verdict}: Failure, callerIsSlow: boolean): boolean =>
  verdict?.fault === 'Backend' && !(callerIsSlow && verdict.reason === 'Timeout');

/** A failure after content: the answer is cut, whoever cut it. `callerIsSlow`: he does not read as fast as the backend writes. */
export const cut = (failure: Failure, callerIsSlow: boolean, usage: Usage | undefined): Failure => ({
  ...failure,
  verdict: keepsVerdict(failure, callerIsSlow) ? failure.verdict : undefined,
  code: failure.code === 'deadline_exceeded' || failure.code === 'shutting_down' ? failure.code : 'stream_cut',
  committed: true,
  usage,
});

const codeOf = (verdict: Verdict): ErrorCode => (verdict.fault === 'Backend' ? codes[verdict.reason] : 'backend_error');

const factsOf = (
  {carriedOnce}: InferenceRequest,
  status: number,
  error: UpstreamError,
  modelIsFixed: boolean,
): ReplyFacts => ({
  status,
  carriedOnce,
  contextLengthExceeded: error.contextLengthExceeded,
  contentFiltered: error.contentFiltered,
  modelMissing: error.modelMissing,
  modelIsFixed,
});

const longestWord = 64;

/** ` (type, code)` as the backend calls it. */
function kindOf({body: {type, code}}: UpstreamError): string {
  const words = [type, code]
    .filter((word) => word !== null && word !== '')
    .map((word) => String(word).slice(0, longestWord));
  return words.length > 0 ? ` (${words.join(', ')})` : '';
}

/** A reply that is no success. */
export function refusal(request: InferenceRequest, reply: Reply, error: UpstreamError, modelIsFixed: boolean): Failure {
  const verdict = judgeReply(factsOf(request, reply.status, error, modelIsFixed));
  const summary = `answered ${reply.status}`;
  return {
    verdict,
    code: codeOf(verdict),
    summary,
    cause: `${summary}${kindOf(error)}`,
    retryAfterMs: readRetryAfter(reply.headers, Date.now()),
    reply,
    error,
    committed: false,
  };
}

/** An error inside a 200. One that names no status is the backend's. */
export function errorInside(
  request: InferenceRequest,
  error: UpstreamError,
  headers: ReplyHeaders,
  modelIsFixed: boolean,
): Failure {
  const status = error.status ?? (error.contextLengthExceeded || error.contentFiltered ? 400 : 500);
  const body = new TextEncoder().encode(JSON.stringify(request.api.errorBody(error.body, undefined)));
  const failure = refusal(request, {status, headers: {'content-type': 'application/json'}, body}, error, modelIsFixed);
  const retryAfterMs = readRetryAfter(headers, Date.now());
  return {
    ...failure,
    summary: 'sent an error inside its answer',
    cause: `sent an error inside a 200${kindOf(error)}`,
    retryAfterMs,
  };
}
