/** From a request that has been read to its end: its route, its way through the engine, and what the engine leaves to be sent. */
import type {Request, Response} from 'express';
import {routeName} from '../config/schema.ts';
import {ignoreInterrupt, interrupt, onInterrupt, type Call} from '../engine/call.ts';
import type {Clock} from '../engine/clock.ts';
import type {WholeAnswer} from '../engine/dispatch.ts';
import type {Gateway} from '../engine/gateway.ts';
import type {LiveRoute} from '../engine/live.ts';
import type {Attempt} from '../engine/loan.ts';
import type {MemoryBudget} from '../engine/memory.ts';
import {Watchdog} from '../engine/watchdog.ts';
import type {ModelMatch} from '../routing/match.ts';
import {hashBytes} from '../routing/strategies.ts';
import {RequestError} from '../wire/errors.ts';
import {answerHeaders, requestHeaders} from '../wire/headers.ts';
import {cachePrefix} from '../wire/prefix.ts';
import type {InferenceRequest} from '../wire/request.ts';
import {ResponseCaller} from './caller.ts';
import {contextOf} from './context.ts';
import {liveOf} from './routes.ts';
import {apiNotSupported, checkSpoken, checkState} from './spoken.ts';

export type CarryDeps = {
  gateway: Gateway;
  clock: Clock;
  memory: MemoryBudget;
  random: () => number;
  isDraining: () => boolean;
};

export type Carried = {
  request: Request;
  response: Response;
  inference: InferenceRequest;
  match: ModelMatch<LiveRoute>;
  /** Flat; what this request sends beside the allow-listed. */
  headers: readonly string[];
  /** How it is sent, in JSON unless given. */
  attempt?: Attempt;
};

const hasHeader = (headers: readonly string[], name: string): boolean =>
  headers.some((each, index) => index % 2 === 0 && each === name);

/** Both flat. */
function addMissing(headers: string[], defaults: readonly string[]): void {
  for (let index = 0; index + 1 < defaults.length; index += 2) {
    const [name = '', value = ''] = defaults.slice(index, index + 2);
    if (!hasHeader(headers, name)) headers.push(name, value);
  }
}

/** Of a request without a prompt any endpoint is as good. */
function prefixHash({fields}: InferenceRequest, random: () => number): number {
  const prefix = cachePrefix(fields);
  return prefix.length === 0 ? Math.floor(random() * 2 ** 32) : hashBytes(prefix);
}

function createCall({request, response, inference, match, headers}: Carried, deps: CarryDeps): Call {
  const context = contextOf(response);
  const watchdog = new Watchdog(deps.clock);
  response.on('close', () => watchdog.stop());
  const sent = requestHeaders(request.rawHeaders, request.headers.connection);
  addMissing(sent, inference.api.defaultHeaders);
  sent.push(...headers, 'traceparent', context.traceparent, 'x-request-id', context.requestId);
  if (context.tracestate !== undefined) sent.push('tracestate', context.tracestate);
  let hash: number | undefined; // the same for every pick of this request
  const call: Call = {
    request: inference,
    headers: sent,
    caller: new ResponseCaller(response, {
      headers: context.idHeaders,
      isDraining: deps.isDraining,
      gone: () => interrupt(call, 'CallerGone'),
    }),
    watchdog,
    startedAt: context.startedAt,
    deadlineAt: context.startedAt + match.route.config.requestMs,
    record: context.record,
    prefixHash: () => (hash ??= prefixHash(inference, deps.random)),
    interrupted: undefined,
    sendsBytes: false,
    onInterrupt: ignoreInterrupt,
  };
  return call;
}

function sendWhole(response: Response, {reply, provenance}: WholeAnswer, draining: boolean): void {
  response.writeHead(reply.status, [
    ...answerHeaders(reply.headers),
    'content-length',
    String(reply.body.length),
    ...contextOf(response).idHeaders,
    ...provenance,
    ...(draining ? ['connection', 'close'] : []),
  ]);
  response.end(reply.body);
}

/** Throws {@link RequestError} while nothing has gone out. */
export async function carry(carried: Carried, deps: CarryDeps): Promise<void> {
  const {response, inference, match, attempt} = carried;
  const {gateway, isDraining} = deps;
  const {api} = inference;
  const context = contextOf(response);
  context.model = inference.model;
  context.streamed = inference.answer === 'Events' || (inference.answer === 'Bytes' && !inference.carriedOnce);
  context.route = routeName(match.route.config);
  checkSpoken(api, match.route, liveOf(gateway));
  checkState(inference, match.route);
  const call = createCall(carried, deps);
  try {
    const answer = await gateway.carry(call, match, attempt);
    if (answer !== undefined && call.interrupted !== 'CallerGone') sendWhole(response, answer, isDraining());
  } catch (error) {
    if (error instanceof RequestError && error.code === 'api_not_supported')
      throw apiNotSupported(api, context.route, liveOf(gateway));
    throw error;
  }
  onInterrupt(call, () => response.destroy()); // a caller that does not read what he got in the time of his request
}
