/** Which headers pass, in each direction. Names are lower-case; lists are flat: name, value, name, value. */

/** What a model server may need to know of a caller. Everything else stays here, credentials first of all. */
const forwarded = new Set(['accept', 'idempotency-key', 'openai-beta', 'anthropic-beta', 'anthropic-version']);

/** Names that a `connection` header makes hop-by-hop: RFC 9110, 7.6.1. */
const namesIn = (connection: string): string[] => connection.toLowerCase().split(/\s*,\s*/);

/** `connection`: of the same request. */
export function requestHeaders(rawHeaders: readonly string[], connection: string | undefined): string[] {
  const hopByHop = connection === undefined ? [] : namesIn(connection);
  const headers: string[] = [];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? '').toLowerCase();
    if (forwarded.has(name) && !hopByHop.includes(name)) headers.push(name, rawHeaders[index + 1] ?? '');
  }
  return headers;
}

/** Of a connection (RFC 9110, 7.6.1), of a body that we frame anew, or of the account that the gateway pays with. */
const withheld = new Set([
  'connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade',
  'content-length', 'content-encoding', 'date', 'server', 'via', 'alt-svc', 'strict-transport-security', 'location', 'forwarded', 'x-real-ip',
  'set-cookie', 'www-authenticate', 'openai-organization', 'openai-project', 'anthropic-organization-id', 'x-request-id', 'request-id', 'x-powered-by', 'accept-ranges',
]); // prettier-ignore

const withheldPrefixes = ['x-modelroute-', 'x-forwarded-', 'x-envoy-', 'access-control-', 'cf-'];

export type ReplyHeaders = Readonly<Record<string, string | string[] | undefined>>;

const passes = (name: string, connection: readonly string[]): boolean =>
  !withheld.has(name) && !connection.includes(name) && !withheldPrefixes.some((prefix) => name.startsWith(prefix));

export const firstValue = (headers: ReplyHeaders, name: string): string | undefined => {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
};

/** A backend's answer headers that go on to the caller. */
export function answerHeaders(headers: ReplyHeaders): string[] {
  const {connection} = headers;
  const hopByHop = connection === undefined ? [] : namesIn(String(connection)); // of several lines: joined with commas
  const passed: string[] = [];
  for (const name of Object.keys(headers)) {
    const value = headers[name];
    if (value === undefined || !passes(name, hopByHop)) continue;
    if (typeof value === 'string') passed.push(name, value);
    else for (const each of value) passed.push(name, each);
  }
  return passed;
}

/** Milliseconds; a number of seconds or an HTTP date (RFC 9110, 10.2.3), or OpenAI's `retry-after-ms`. */
export function readRetryAfter(headers: ReplyHeaders, wallClockMs: number): number | undefined {
  const precise = Number(firstValue(headers, 'retry-after-ms') ?? NaN);
  if (precise >= 0) return precise;
  const value = firstValue(headers, 'retry-after');
  if (value === undefined) return undefined;
  if (/^\s*\d+(\.\d+)?\s*$/.test(value)) return Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, date - wallClockMs);
}

/** Media type without its parameters, lower-case. */
export function mediaType(contentType = ''): string {
  if (contentType === 'application/json') return contentType; // as nearly everybody writes it
  const end = contentType.indexOf(';');
  return (end === -1 ? contentType : contentType.slice(0, end)).trim().toLowerCase();
}
