/** The one place where an error becomes a status. */
import type {ErrorRequestHandler} from 'express';
import type {ServerResponse} from 'node:http';
import {errorShapes} from '../wire/apis.ts';
import {RequestError, detailsOf, type ErrorCode} from '../wire/errors.ts';
import type {Log} from '../telemetry/log.ts';
import {CallerGoneError} from './body.ts';
import {contextOf} from './context.ts';
import {sendJson} from './send.ts';

function toRequestError(error: unknown): RequestError {
  if (error instanceof RequestError) return error;
  if (error instanceof URIError)
    // Express decodes the parts of a path
    return new RequestError('unknown_path', 'The path is not percent-encoded UTF-8.', {cause: error});
  return new RequestError('internal_error', 'ModelRoute failed; its log has the cause under the request id.', {
    cause: error,
  });
}

function sendError(response: ServerResponse, error: RequestError): void {
  const {record, route, callerApi, requestId} = contextOf(response);
  const {backend, attempts} = record;
  const headers = {
    ...(route === '' ? {} : {'x-modelroute-route': route, 'x-modelroute-attempts': String(attempts)}),
    ...(backend === undefined ? {} : {'x-modelroute-backend': backend}),
    ...error.headers,
  };
  sendJson(response, {status: error.status, value: errorShapes[callerApi](detailsOf(error), requestId), headers});
}

/** The server itself has refused what remained of a request, below Express; this is for its log line. Returns the request's id. */
export function noteRefusal(response: ServerResponse, code: ErrorCode): string {
  const {record, requestId} = contextOf(response);
  record.errorCode = code;
  return requestId;
}

/** Express' error handler, last of the stack. */
export const handleErrors =
  (log: Log): ErrorRequestHandler =>
  (thrown: unknown, _request, response, _next) => {
    const {record, requestId} = contextOf(response);
    if (thrown instanceof CallerGoneError) {
      record.errorCode ??= 'caller_gone';
      response.destroy();
      return;
    }
    const error = toRequestError(thrown);
    record.errorCode ??= error.code;
    if (error.code === 'internal_error')
      log.error('request failed', {
        requestId,
        error: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown),
      });
    if (response.destroyed) return;
    if (!response.headersSent) sendError(response, error);
    else if (!response.writableEnded) response.destroy(); // an answer that has begun must not look whole
  };
