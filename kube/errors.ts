/** What went wrong between us and the API server, in words that may be logged. */
import {STATUS_CODES} from 'node:http';
import {jsonIn} from './json.ts';

export type KubeErrorParts = {
  /** HTTP. */
  status?: number;
  reason?: string;
  retryAfterMs?: number | undefined;
  cause?: unknown;
};

export class KubeError extends Error {
  override readonly name = 'KubeError';
  /** HTTP; 0: no answer came, or none that can be used. */
  readonly status: number;
  /** Of the Status, such as `NotFound` or `Expired`; '' if there is none. */
  readonly reason: string;
  /** When the server wants to be asked again. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, {status = 0, reason = '', retryAfterMs, cause}: KubeErrorParts = {}) {
    super(message, cause === undefined ? undefined : {cause});
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}

type Status = {code: number; reason: string; message: string; retryAfterMs: number | undefined};

const isObject = (value: unknown): value is {[member: string]: unknown} => typeof value === 'object' && value !== null;
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
const secondsToMs = (value: unknown): number | undefined =>
  typeof value === 'number' && value > 0 ? value * 1_000 : undefined;

const parseStatus = (value: unknown): Status | undefined =>
  isObject(value) && value['kind'] === 'Status'
    ? {
        code: typeof value['code'] === 'number' ? value['code'] : 0,
        reason: textOf(value['reason']),
        message: textOf(value['message']),
        retryAfterMs: isObject(value['details']) ? secondsToMs(value['details']['retryAfterSeconds']) : undefined,
      }
    : undefined;

const longestExcerpt = 300;

const excerpt = (text: string): string => {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  return line.length > longestExcerpt ? `${line.slice(0, longestExcerpt)}…` : line;
};

/**
 * From a Status, as the body of an answer or the object of a watch's ERROR event. `where`: method and path. Undefined if `body` is no
 * Status. (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/)
 */
export function kubeErrorOfStatus(where: string, body: unknown, parts: KubeErrorParts = {}): KubeError | undefined {
  const found = parseStatus(body);
  if (found === undefined) return undefined;
  const status = parts.status ?? found.code;
  const title = found.reason === '' ? (STATUS_CODES[status] ?? '') : found.reason;
  const message = [`${status} ${title}`.trim(), found.message].filter((part) => part !== '').join(': ');
  return new KubeError(`${where}: ${message}`, {
    status,
    reason: found.reason,
    retryAfterMs: parts.retryAfterMs ?? found.retryAfterMs,
  });
}

/** From an answer that is not 2xx, whoever it comes from: a load balancer in between sends HTML. */
export function kubeErrorOfAnswer(where: string, status: number, text: string, retryAfterMs?: number): KubeError {
  const known = kubeErrorOfStatus(where, jsonIn(text), {status, retryAfterMs});
  if (known !== undefined) return known;
  const title = `${status} ${STATUS_CODES[status] ?? ''}`.trim();
  const said = excerpt(text);
  return new KubeError(`${where}: ${title}${said === '' ? '' : `: ${said}`}`, {status, retryAfterMs});
}

/** Seconds, as Kubernetes sends it (RFC 9110, 10.2.3 also has a date). Undefined if there is none. */
export const retryAfterMsOf = (header: string | string[] | undefined): number | undefined =>
  typeof header === 'string' && /^\d{1,9}$/.test(header) ? Number(header) * 1_000 : undefined;
