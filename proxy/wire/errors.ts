/**
 * Every error that ModelRoute makes, in one table: code → HTTP status, OpenAI error type, meaning. docs/errors.md is held to it by
 * a test. Messages name routes and backends, never an address, a URL or a key.
 */

type Entry = {status: number; type: ErrorType; meaning: string};

export type ErrorType =
  'invalid_request_error' | 'rate_limit_error' | 'api_error' | 'timeout_error' | 'overloaded_error';

export const errorCodes = {
  // The caller's request
  malformed_http: {
    status: 400,
    type: 'invalid_request_error',
    meaning: 'The bytes are no valid HTTP/1.1 request; the connection is closed.',
  },
  invalid_json: {
    status: 400,
    type: 'invalid_request_error',
    meaning: 'The body is not a JSON object in UTF-8, is nested too deep, or names a key twice.',
  },
  invalid_form: {
    status: 400,
    type: 'invalid_request_error',
    meaning: 'The body is not one whole `multipart/form-data` form, or names the model twice.',
  },
  missing_model: {status: 400, type: 'invalid_request_error', meaning: 'The request names no `model`.'},
  invalid_value: {
    status: 400,
    type: 'invalid_request_error',
    meaning: 'A field that ModelRoute has to read has the wrong type.',
  },
  cross_site: {
    status: 403,
    type: 'invalid_request_error',
    meaning:
      'A web page of another site called, in a way that a browser does not ask for leave to: with a form, or a WebSocket.',
  },
  model_not_found: {status: 404, type: 'invalid_request_error', meaning: 'No route serves this model name.'},
  unknown_path: {status: 404, type: 'invalid_request_error', meaning: 'No API has this path.'},
  api_not_supported: {status: 404, type: 'invalid_request_error', meaning: 'No backend of the route speaks this API.'},
  stateful_unsupported: {
    status: 400,
    type: 'invalid_request_error',
    meaning:
      'The request refers to what one server holds (`previous_response_id`, `conversation`, `background`, a stored response), and the route has several, or the gateway has several routes and none is named.',
  },
  method_not_allowed: {
    status: 405,
    type: 'invalid_request_error',
    meaning: 'The path exists, with another method; see the `allow` header.',
  },
  request_timeout: {
    status: 408,
    type: 'timeout_error',
    meaning: 'The request did not arrive in time; the connection is closed.',
  },
  body_too_large: {
    status: 413,
    type: 'invalid_request_error',
    meaning: 'The body is larger than the gateway’s `limits.maxBodyBytes`.',
  },
  unsupported_media_type: {
    status: 415,
    type: 'invalid_request_error',
    meaning: 'The body is not what this path takes, `application/json` or a multipart form, in plain bytes.',
  },
  upgrade_required: {
    status: 426,
    type: 'invalid_request_error',
    meaning: 'The path is a WebSocket, and the request is no handshake of one.',
  },
  headers_too_large: {
    status: 431,
    type: 'invalid_request_error',
    meaning: 'The headers are larger than the gateway’s `limits.maxHeaderBytes`; the connection is closed.',
  },
  // Backends
  backend_rate_limited: {
    status: 429,
    type: 'rate_limit_error',
    meaning: 'Every backend that was asked limits its rate; see the `retry-after` header.',
  },
  backend_connect_failed: {status: 502, type: 'api_error', meaning: 'No connection to the backend could be made.'},
  backend_reset: {status: 502, type: 'api_error', meaning: 'The backend closed the connection before its answer.'},
  backend_error: {status: 502, type: 'api_error', meaning: 'The backend answered with a server error.'},
  backend_refused: {
    status: 502,
    type: 'api_error',
    meaning: 'The backend refused the gateway’s credential or does not know the model that the route names.',
  },
  backend_malformed_reply: {
    status: 502,
    type: 'api_error',
    meaning: 'The backend’s answer breaks its protocol, or is not whole.',
  },
  backend_timeout: {
    status: 504,
    type: 'timeout_error',
    meaning: 'The backend did not connect, start or go on in the time that the route gives it.',
  },
  deadline_exceeded: {status: 504, type: 'timeout_error', meaning: 'The route’s `timeouts.request` ran out.'},
  stream_cut: {
    status: 502,
    type: 'api_error',
    meaning: 'The stream broke after content had been sent: what came is not the whole answer.',
  },
  no_backend_available: {
    status: 503,
    type: 'overloaded_error',
    meaning: 'No backend of the route can take the request: none is ready, or every breaker is open.',
  },
  backends_full: {status: 503, type: 'overloaded_error', meaning: 'Every backend is at its `maxConcurrentRequests`.'},
  // The gateway itself
  overloaded: {
    status: 503,
    type: 'overloaded_error',
    meaning: 'Bodies in memory exceed the gateway’s `limits.maxBufferedBytes`.',
  },
  shutting_down: {
    status: 503,
    type: 'overloaded_error',
    meaning: 'This proxy is going away: its drain period is over, or it takes no new WebSockets any more.',
  },
  internal_error: {
    status: 500,
    type: 'api_error',
    meaning: 'A fault in ModelRoute; the log has the cause under the request id.',
  },
} as const satisfies Record<string, Entry>;

export type ErrorCode = keyof typeof errorCodes;

type Details = {
  param?: string;
  cause?: unknown;
  /** Response headers that belong to this error, such as `allow` and `retry-after`. */
  headers?: Record<string, string>;
};

/** The base of all errors that reach a caller. `server/errors` alone turns it into a status. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
  readonly code: ErrorCode;
  readonly param: string | null;
  readonly headers: Record<string, string>;

  constructor(code: ErrorCode, message: string, details: Details = {}) {
    super(message, {cause: details.cause});
    this.code = code;
    this.param = details.param ?? null;
    this.headers = details.headers ?? {};
  }

  get status(): number {
    return errorCodes[this.code].status;
  }

  get type(): ErrorType {
    return errorCodes[this.code].type;
  }
}

/** What an error says, in OpenAI's words; `backend` and `attempts` only where headers can no longer carry them. */
export type ErrorDetails = {
  message: string;
  type: string;
  param: string | null;
  code: string | number | null;
  backend?: string;
  attempts?: number;
};

export const detailsOf = ({message, type, param, code}: RequestError): ErrorDetails => ({message, type, param, code});

/** OpenAI's shape, which is also that of errors that belong to no API. */
export const errorBody = (error: RequestError): {error: ErrorDetails} => ({error: detailsOf(error)});
