/** What a caller's request passes, top to bottom. */
import express, {type Express, type Request, type RequestHandler} from 'express';
import type {Log} from '../telemetry/log.ts';
import {apis} from '../wire/apis.ts';
import {RequestError} from '../wire/errors.ts';
import {formApis, realtimeApi} from '../wire/relayed-apis.ts';
import {createContext, setContext, type RequestContext} from './context.ts';
import {handleErrors} from './errors.ts';
import {forms} from './forms.ts';
import {anyInference, inference} from './inference.ts';
import {getModel, listModels} from './models.ts';
import {realtime} from './realtime.ts';
import {storedResponse} from './stored-responses.ts';
import type {CarryDeps} from './carry.ts';

export type AppDeps = CarryDeps & {
  log: Log;
  /** Once per request, when its answer has ended or its caller has left. */
  finished: (context: RequestContext, status: number, callerGone: boolean) => void;
};

const openContext =
  ({clock, finished}: AppDeps): RequestHandler =>
  (request, response, next) => {
    const context = createContext(request, clock.now());
    setContext(response, context);
    response.on('close', () =>
      finished(context, response.headersSent ? response.statusCode : 0, !response.writableFinished),
    );
    requireHost(request);
    next();
  };

/** RFC 9112, 3.2: a request without `host` is answered with 400. Node would do it without a body. */
function requireHost({headers, httpVersion}: Request): void {
  if (headers.host === undefined && httpVersion === '1.1')
    throw new RequestError('malformed_http', 'The request has no host header.', {headers: {connection: 'close'}});
}

const onlyMethod =
  (allowed: string): RequestHandler =>
  ({method, path}) => {
    throw new RequestError('method_not_allowed', `${path} takes ${allowed}, not ${method}.`, {
      headers: {allow: allowed},
    });
  };

const unknownPath: RequestHandler = ({path}) => {
  const known = [...apis, ...formApis, realtimeApi].map((api) => `/v1${api.path}`).join(', ');
  throw new RequestError('unknown_path', `No API has the path ${path.slice(0, 200)}. There are ${known}, /v1/models.`);
};

export function createApp(deps: AppDeps): Express {
  const app = express();
  app.disable('x-powered-by').disable('etag');
  app.use(openContext(deps));
  for (const api of apis) app.route(`/v1${api.path}`).post(inference(api, deps)).all(onlyMethod('POST'));
  for (const api of formApis) app.route(`/v1${api.path}`).post(forms(api, deps)).all(onlyMethod('POST'));
  app.route(`/v1${realtimeApi.path}`).get(realtime(deps)).all(onlyMethod('GET'));
  app.route('/v1/models').get(listModels(deps.gateway)).all(onlyMethod('GET, HEAD'));
  app.route('/v1/models/*id').get(getModel(deps.gateway)).all(onlyMethod('GET, HEAD'));
  app.route('/v1/responses/:id').get(storedResponse('GET', deps)).delete(storedResponse('DELETE', deps));
  app.post('/v1/responses/:id/cancel', storedResponse('POST', deps));
  app.get('/v1/responses/:id/input_items', storedResponse('GET', deps));
  app.post('/v1/*rest', anyInference(deps));
  app.use(unknownPath);
  app.use(handleErrors(deps.log));
  return app;
}
