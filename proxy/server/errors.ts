/** The one place where an error becomes a status. */
import type {ErrorRequestHandler, Response} from 'express';
import {RequestError, errorBody} from '../wire/errors.ts';
import type {Log} from '../telemetry/log.ts';
import {contextOf} from './context.ts';

const toRequestError = (error: unknown): RequestError =>
  error instanceof RequestError
    ? error
    : new RequestError('internal_error', 'ModelRoute failed; its log has the cause under the request id.', {
        cause: error,
      });

export function sendError(response: Response, error: RequestError): void {
  const context = contextOf(response);
  context.record.errorCode ??= error.code;
  const {backend, attempts} = context.record;
  const body = JSON.stringify(errorBody(error));
  response.writeHead(error.status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'x-request-id': context.requestId,
    ...(context.route === '' ? {} : {'x-modelroute-route': context.route, 'x-modelroute-attempts': String(attempts)}),
    ...(backend === undefined ? {} : {'x-modelroute-backend': backend}),
    ...error.headers,
  });
  response.end(body);
}

/** Express' error handler, last of the stack. */
export const handleErrors =
  (log: Log): ErrorRequestHandler =>
  (thrown: unknown, _request, response, _next) => {
    const error = toRequestError(thrown);
    if (error.code === 'internal_error')
      log.error('request failed', {requestId: contextOf(response).requestId, error: String((thrown as Error).stack)});
    if (response.destroyed) return;
    if (response.headersSent) response.destroy();
    else sendError(response, error);
  };
