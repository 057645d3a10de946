/** The one line per request, and its metrics. */
import type {Fields, Log} from '../telemetry/log.ts';
import type {Metrics, RequestObservation} from '../telemetry/metrics.ts';
import {errorCodes, type ErrorCode} from '../wire/errors.ts';
import type {RequestContext} from './context.ts';

export type Finished = {context: RequestContext; status: number; callerGone: boolean; now: number};

/** nginx's status for a caller that left before his answer. */
const callerGoneStatus = 499;

const isErrorCode = (code: string | undefined): code is ErrorCode => code !== undefined && code in errorCodes;

/** Nothing was sent through the app: either the server below it has refused the request, or there was nobody left. */
const statusWithoutAnswer = (code: string | undefined): number =>
  isErrorCode(code) ? errorCodes[code].status : callerGoneStatus;

type Line = {context: RequestContext; status: number; errorCode: string | undefined; totalMs: number};

function toObservation({context, status, errorCode, totalMs}: Line): RequestObservation {
  const {backend, attempts, firstTokenMs, usage, malformedEvents} = context.record;
  return {
    route: context.route,
    api: context.api,
    status,
    errorCode: errorCode ?? '',
    seconds: totalMs / 1000,
    attempts,
    backend: backend ?? '',
    firstTokenSeconds: firstTokenMs === undefined ? undefined : firstTokenMs / 1000,
    tokens: usage,
    malformedEvents,
  };
}

function toFields({context, status, errorCode, totalMs}: Line): Fields {
  const {record} = context;
  return {
    requestId: context.requestId,
    route: context.route,
    model: context.model.slice(0, 128),
    api: context.api,
    path: context.api === '' || context.api === 'other' ? context.path.slice(0, 128) : undefined,
    backend: record.backend,
    endpoint: record.endpoint,
    status,
    attempts: record.attempts,
    streamed: context.streamed,
    firstTokenMs: record.firstTokenMs && Math.round(record.firstTokenMs),
    totalMs: Math.round(totalMs),
    promptTokens: record.usage?.promptTokens,
    completionTokens: record.usage?.completionTokens,
    usageEstimated: record.usage?.estimated,
    error: errorCode,
    malformedEvents: record.malformedEvents || undefined,
    failures: record.failures.length > 0 ? record.failures : undefined,
    traceId: context.traceparent.slice(3, 35),
  };
}

export function reportRequest(log: Log, metrics: Metrics, {context, status, callerGone, now}: Finished): void {
  const errorCode = context.record.errorCode ?? (callerGone ? 'caller_gone' : undefined);
  const line: Line = {
    context,
    status: status === 0 ? statusWithoutAnswer(errorCode) : status,
    errorCode,
    totalMs: now - context.startedAt,
  };
  metrics.observe(toObservation(line));
  if (log.writes('info')) log.info('request', toFields(line));
}
