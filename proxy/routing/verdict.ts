/** Whose fault a failed attempt is, which decides what happens next. */
import type {RetryReason} from '../config/schema.ts';

/**
 * - `Backend`: counts against the backend, the next one is tried.
 * - `NotSpoken`: the backend does not speak this API: no verdict, next rung, remembered for a minute.
 * - `UnknownModel`: the backend does not know a name that the caller chose: no verdict, next rung, not remembered.
 * - `TooLong`: only a later rung with a larger window may help.
 * - `Caller`: returned as it came.
 */
export type Fault = 'Backend' | 'NotSpoken' | 'UnknownModel' | 'TooLong' | 'Caller';

/** `Rejected`: the gateway's own credential or account, or a missing model: the same everywhere on this backend, so never tried again there. */
export type FailureReason = RetryReason | 'Rejected';

export type Verdict = {fault: 'Backend'; reason: FailureReason} | {fault: Exclude<Fault, 'Backend'>};

export type ReplyFacts = {
  status: number;
  contextLengthExceeded: boolean;
  contentFiltered: boolean;
  modelMissing: boolean;
  /** The route, not the caller, chose the model name that was sent. */
  modelIsFixed: boolean;
  /** No other backend may be asked, and what is missing may be what the request refers to. */
  carriedOnce: boolean;
};

const judgeNotSpoken = ({carriedOnce}: ReplyFacts): Verdict => ({fault: carriedOnce ? 'Caller' : 'NotSpoken'});

function judgeNotFound(facts: ReplyFacts): Verdict {
  if (!facts.modelMissing) return judgeNotSpoken(facts);
  if (facts.modelIsFixed) return {fault: 'Backend', reason: 'Rejected'};
  return {fault: facts.carriedOnce ? 'Caller' : 'UnknownModel'};
}

const judgeCredential = ({contentFiltered}: ReplyFacts): Verdict =>
  contentFiltered ? {fault: 'Caller'} : {fault: 'Backend', reason: 'Rejected'};

/** Some servers word a prompt that is too long as their own failure; a caller must not open a breaker with it. */
const judgeInternal = ({contextLengthExceeded}: ReplyFacts): Verdict =>
  contextLengthExceeded ? {fault: 'TooLong'} : {fault: 'Backend', reason: 'ServerError'};

const byStatus: Record<number, (facts: ReplyFacts) => Verdict> = {
  401: judgeCredential,
  402: judgeCredential,
  403: judgeCredential,
  404: judgeNotFound,
  405: judgeNotSpoken,
  407: judgeCredential,
  408: () => ({fault: 'Backend', reason: 'Timeout'}),
  429: () => ({fault: 'Backend', reason: 'RateLimited'}),
  500: judgeInternal,
  501: judgeNotSpoken,
};

/** `facts.status`: of a reply that is no success, or the one that an error inside a 200 stands for. */
export function judgeReply(facts: ReplyFacts): Verdict {
  const known = byStatus[facts.status];
  if (known !== undefined) return known(facts);
  if (facts.status >= 500) return {fault: 'Backend', reason: 'ServerError'};
  if (facts.status < 400) return {fault: 'Backend', reason: 'MalformedReply'}; // a redirect is not followed
  return {fault: facts.contextLengthExceeded && !facts.contentFiltered ? 'TooLong' : 'Caller'};
}
