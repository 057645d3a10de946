/** POST /v1/…: from a body to an answer, through the engine. */
import type {Request, RequestHandler, Response} from 'express';
import {routeName} from '../config/schema.ts';
import {ignoreInterrupt, interrupt, onInterrupt, type Call} from '../engine/call.ts';
import type {Clock} from '../engine/clock.ts';
import type {WholeAnswer} from '../engine/dispatch.ts';
import type {Gateway} from '../engine/gateway.ts';
import type {LiveGateway, LiveRoute} from '../engine/live.ts';
import type {MemoryBudget} from '../engine/memory.ts';
import {createWatchdog, type Watchdog} from '../engine/watchdog.ts';
import type {ModelMatch} from '../routing/match.ts';
import {nearNames} from '../routing/near-names.ts';
import {hashBytes} from '../routing/strategies.ts';
import type {WireApi} from '../wire/api.ts';
import {RequestError} from '../wire/errors.ts';
import {answerHeaders, requestHeaders} from '../wire/headers.ts';
import {cachePrefix} from '../wire/prefix.ts';
import {readRequest, type InferenceRequest} from '../wire/request.ts';
import {CallerGoneError, readBody} from './body.ts';
import {createCaller} from './caller.ts';
import {contextOf, type RequestContext} from './context.ts';

export type InferenceDeps = {gateway: Gateway; clock: Clock; memory: MemoryBudget; isDraining: () => boolean};

export function liveOf(gateway: Gateway): LiveGateway {
  if (gateway.live === undefined)
    throw new RequestError('no_backend_available', 'This proxy has no config yet.', {headers: {'retry-after': '1'}});
  return gateway.live;
}

export function modelNotFound(model: string, {models}: LiveGateway): RequestError {
  const near = nearNames(model, models.names);
  const hint =
    near.length > 0
      ? ` Did you mean ${near.map((name) => `"${name}"`).join(' or ')}?`
      : ' GET /v1/models lists those that are.';
  return new RequestError('model_not_found', `No route serves the model "${model.slice(0, 128)}".${hint}`, {
    param: 'model',
  });
}

function findRoute(live: LiveGateway, model: string): ModelMatch<LiveRoute> {
  const match = live.models.find(model);
  if (match === undefined) throw modelNotFound(model, live);
  return match;
}

type CallParts = {
  request: Request;
  response: Response;
  inference: InferenceRequest;
  route: LiveRoute;
  watchdog: Watchdog;
};

function createCall(
  {request, response, inference, route, watchdog}: CallParts,
  deps: InferenceDeps,
  context: RequestContext,
): Call {
  const own = ['x-request-id', context.requestId];
  let prefixHash: number | undefined; // the same for every pick of this request
  const call: Call = {
    request: inference,
    headers: [
      ...requestHeaders(request.rawHeaders, request.headers.connection),
      'content-type',
      'application/json',
      'accept-encoding',
      'identity',
      'traceparent',
      context.traceparent,
      ...(context.tracestate === undefined ? [] : ['tracestate', context.tracestate]),
      ...own,
    ],
    caller: createCaller(response, {
      headers: own,
      isDraining: deps.isDraining,
      gone: () => interrupt(call, 'CallerGone'),
    }),
    watchdog,
    startedAt: context.startedAt,
    deadlineAt: context.startedAt + route.config.requestMs,
    record: context.record,
    prefixHash: () => (prefixHash ??= hashBytes(cachePrefix(inference.fields))),
    interrupted: undefined,
    onInterrupt: ignoreInterrupt,
  };
  return call;
}

function sendWhole(
  response: Response,
  {reply, provenance}: WholeAnswer,
  context: RequestContext,
  draining: boolean,
): void {
  response.writeHead(reply.status, [
    ...answerHeaders(reply.headers),
    'content-length',
    String(reply.body.length),
    'x-request-id',
    context.requestId,
    ...provenance,
    ...(draining ? ['connection', 'close'] : []),
  ]);
  response.end(reply.body);
}

async function carry(api: WireApi, deps: InferenceDeps, request: Request, response: Response): Promise<void> {
  const {gateway, memory} = deps;
  const context = contextOf(response);
  context.api = api.name;
  const live = liveOf(gateway);
  const body = await readBody(request, response, {maxBytes: live.config.limits.maxBodyBytes, memory});
  const watchdog = createWatchdog(deps.clock);
  response.once('close', () => {
    watchdog.stop();
    body.release();
  });
  const inference = readRequest(api, body.bytes);
  context.model = inference.model;
  context.streamed = inference.streamed;
  const match = findRoute(liveOf(gateway), inference.model);
  context.route = routeName(match.route.config);
  const call = createCall({request, response, inference, route: match.route, watchdog}, deps, context);
  const answer = await gateway.carry(call, match);
  if (answer !== undefined && call.interrupted !== 'CallerGone')
    sendWhole(response, answer, context, deps.isDraining());
  onInterrupt(call, () => response.destroy()); // a caller that does not read what he got in the time of his request
}

export const inference =
  (api: WireApi, deps: InferenceDeps): RequestHandler =>
  async (request, response) => {
    try {
      await carry(api, deps, request, response);
    } catch (error) {
      if (!(error instanceof CallerGoneError)) throw error;
      contextOf(response).record.errorCode ??= 'caller_gone';
      response.destroy();
    }
  };
