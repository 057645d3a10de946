/** Requests and responses as Express wants them, from the start. */
import type {Express} from 'express';
import {IncomingMessage, ServerResponse} from 'node:http';

export type MessageClasses = {IncomingMessage: typeof IncomingMessage; ServerResponse: typeof ServerResponse};

/**
 * For the server of `app`. Express gives each request and response the prototype of its own, and an object whose prototype has
 * changed is slow in V8 from then on; for those of these classes nothing is left to change.
 */
export function messageClassesOf(app: Express): MessageClasses {
  class Request extends IncomingMessage {}
  class Response<R extends IncomingMessage = IncomingMessage> extends ServerResponse<R> {}
  Object.assign(app, {
    request: Object.setPrototypeOf(Request.prototype, app.request) as unknown,
    response: Object.setPrototypeOf(Response.prototype, app.response) as unknown,
  });
  return {IncomingMessage: Request, ServerResponse: Response};
}
