/** Which failed requests are sent again, and when. */
import type {Backoff} from './backoff.ts';
import type {KubeError} from './errors.ts';

/**
 * - `unsent`: nothing of the request can have reached the server;
 * - `broken`: it may have, and no whole answer came back;
 * - `answered`: the server answered, and not with 2xx;
 * - `distrusted`: one does not trust the other's certificate;
 * - `final`: another try would end the same.
 */
export type Fault = 'unsent' | 'broken' | 'answered' | 'distrusted' | 'final';

export type Failure = {error: KubeError; fault: Fault};

/** What retrying needs to know of a request. */
export type Retriable = {method: string; contentType?: string; answersAreFinal?: boolean};

/** Done twice, it leaves the same as done once. Of the patches only server-side apply is so. */
const isIdempotent = ({method, contentType}: Retriable): boolean =>
  ['GET', 'PUT', 'DELETE'].includes(method) || (method === 'PATCH' && contentType === 'application/apply-patch+yaml');

function mayRetry(request: Retriable, {fault, error}: Failure): boolean {
  if (fault === 'unsent') return true;
  if (fault === 'broken') return isIdempotent(request);
  if (fault !== 'answered') return false;
  if (error.status === 429) return true; // it was not even looked at
  return request.answersAreFinal !== true && error.status >= 500 && isIdempotent(request);
}

/** Not before the server's Retry-After. Undefined: not again. */
export const retryDelayMs = (request: Retriable, failure: Failure, backoff: Backoff): number | undefined =>
  mayRetry(request, failure) ? backoff.next(failure.error.retryAfterMs) : undefined;
