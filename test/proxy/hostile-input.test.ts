import {afterAll, beforeAll, describe, expect, it} from '@jest/globals';
import * as fc from 'fast-check';
import {errorCodes} from '../../proxy/wire/errors.ts';
import type {Simulator} from '../../simulator/index.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, startUpstream, type Harness} from './harness.ts';
import {openRaw, rawPost, readAnswers, type ErrorAnswer} from './raw-caller.ts';

const {keep, closeAll} = keeper();
let upstream: Simulator;
let proxy: Harness;

beforeAll(async () => {
  upstream = await keep(startUpstream());
  proxy = await keep(
    startHarness({
      routes: {
        // One failure would open the breaker, and then every good request would fail.
        backends: [{name: 'local', url: upstream.url}],
        circuitBreaker: {
          consecutiveFailures: 1,
          minRequests: 1,
          failurePercent: 1,
          openDuration: '20s',
          whenAllOpen: 'FailFast',
        },
      },
      gateway: {limits: {maxBodyBytes: '256Ki', maxHeaderBytes: '8Ki'}},
      requestTimeoutMs: 200,
    }),
  );
});
afterAll(closeAll);

const isError = (body: string): boolean => {
  const {error} = JSON.parse(body) as Partial<ErrorAnswer>;
  return (
    typeof error?.message === 'string' &&
    typeof error.type === 'string' &&
    (error.param === null || typeof error.param === 'string') &&
    (error.code === null || typeof error.code === 'string')
  );
};

/** The backend's answer, or an error in OpenAI's shape; of ours, one that is the caller's fault. */
function judge(status: number, body: string): void {
  if (status === 200) {
    expect(body).toMatch(/"object": ?"(chat\.completion|list|model|text_completion)|^data: /);
    return;
  }
  expect(status).toBeGreaterThanOrEqual(400);
  expect(status).toBeLessThan(500);
  expect(isError(body)).toBe(true);
  const {code} = (JSON.parse(body) as ErrorAnswer).error;
  if (code in errorCodes) expect(errorCodes[code as keyof typeof errorCodes].status).toBe(status);
}

async function stillServes(): Promise<void> {
  const response = await post(proxy.url, chatBody());
  expect(await response.text()).toContain('Hello');
  expect(response.headers.get('x-modelroute-attempts')).toBe('1');
}

const bodies: readonly string[] = [
  chatBody(),
  chatBody({stream: true, stream_options: {include_usage: true}, n: 2}),
  chatBody({
    stream: true,
    tools: [{type: 'function', function: {name: 'f', parameters: {type: 'object'}}}],
    prompt_cache_key: 'k',
  }),
  JSON.stringify({
    model: 'chat',
    messages: [{role: 'user', content: [{type: 'text', text: '\u{1f600} \u0000 \\u2028'}]}],
  }),
];

type Edit = {at: number; drop: number; put: Uint8Array};

/** Bytes that parsers stumble over. */
const piece = fc.oneof(
  fc.uint8Array({maxLength: 8}),
  fc
    .constantFrom(
      '"',
      '\\',
      '\\u',
      '\\ud800',
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      'null',
      'true',
      '1e999',
      '-',
      '"model":',
      '"stream":',
      '\0',
      '\ufeff',
      '{"a":'.repeat(600),
    )
    .map((text) => new TextEncoder().encode(text)),
);
const edit: fc.Arbitrary<Edit> = fc.record({at: fc.nat(400), drop: fc.nat(12), put: piece});

function mutate(body: string, edits: readonly Edit[]): Buffer {
  let bytes = Buffer.from(body);
  for (const {at, drop, put} of edits) {
    const start = at % (bytes.length + 1);
    bytes = Buffer.concat([bytes.subarray(0, start), put, bytes.subarray(start + drop)]);
  }
  return bytes;
}

const anyValue = fc.jsonValue({maxDepth: 4});
const anyRequest = fc
  .record(
    {
      model: fc.oneof(fc.constant('chat'), anyValue),
      messages: anyValue,
      stream: fc.oneof(fc.boolean(), anyValue),
      stream_options: anyValue,
      n: anyValue,
      prompt: anyValue,
      tools: anyValue,
    },
    {requiredKeys: []},
  )
  .map((value) => Buffer.from(JSON.stringify(value)));

const anyBody = fc.oneof(
  fc.constantFrom(...bodies).map((body) => Buffer.from(body)),
  fc.tuple(fc.constantFrom(...bodies), fc.array(edit, {maxLength: 2})).map(([body, edits]) => mutate(body, edits)),
  anyRequest,
  fc.uint8Array({maxLength: 300}).map((bytes) => Buffer.from(bytes)),
);

const headerName = fc.oneof(
  fc.constantFrom(
    'authorization',
    'connection',
    'content-length',
    'transfer-encoding',
    'expect',
    'host',
    'upgrade',
    'te',
    'content-type',
    'content-encoding',
    'x-request-id',
    'traceparent',
    'accept',
    'keep-alive',
    '',
    ':',
    'a b',
  ),
  fc.string({maxLength: 12}),
);
const headerValue = fc.oneof(
  fc.constantFrom(
    'chunked',
    '0',
    '5',
    '-1',
    'close',
    '100-continue',
    'websocket',
    'gzip',
    'application/json',
    '*',
    '\r\n x',
    'a'.repeat(5_000),
  ),
  fc.string({maxLength: 30, unit: 'binary'}),
);
const anyHeaders = fc
  .array(fc.tuple(headerName, headerValue), {maxLength: 6})
  .map((list) => list.map(([name, value]) => `${name}: ${value}\r\n`).join(''));

/** Callers that come at the same time, so that one who is left waiting for the rest of his bytes does not hold up the others. */
const together = 25;
const runs = {numRuns: 6, seed: 7, endOnFailure: true};
const crowd = <T>(caller: fc.Arbitrary<T>): fc.Arbitrary<T[]> =>
  fc.array(caller, {minLength: together, maxLength: together, size: 'max'});

/** All of them; how often each status came, so that a test can tell that it did not only test one refusal. */
async function assertAll<T>(
  caller: fc.Arbitrary<T>,
  ask: (input: T) => Promise<number[]>,
): Promise<Map<number, number>> {
  const seen = new Map<number, number>();
  await fc.assert(
    fc.asyncProperty(crowd(caller), async (callers) => {
      const statuses = await Promise.all(callers.map(ask));
      for (const status of statuses.flat()) seen.set(status, (seen.get(status) ?? 0) + 1);
    }),
    runs,
  );
  return seen;
}

/** What one gets for his bytes until the connection is closed: the statuses, each judged. */
async function judgeRaw(bytes: string | Buffer): Promise<number[]> {
  const caller = await openRaw(proxy.port);
  try {
    caller.write(bytes);
    await caller.closed();
    const answers = readAnswers(caller.received().replace(/^(HTTP\/1\.1 100 Continue\r\n\r\n)+/, ''));
    for (const {status, body, whole} of answers) if (whole) judge(status, body);
    return answers.map(({status}) => status);
  } finally {
    await caller.close();
  }
}

const closing = 'connection: close\r\n';
const apiPath = fc.oneof(fc.constant('/v1/chat/completions'), fc.constantFrom('/v1/completions', '/v1/embeddings'));

describe('hostile input', () => {
  it('in a body gets an answer or an error of the caller, and harms nobody', async () => {
    const seen = await assertAll(fc.tuple(anyBody, apiPath), async ([body, path]) => {
      const headers = {'content-type': 'application/json'};
      const response = await fetch(`${proxy.url}${path}`, {method: 'POST', headers, body: new Uint8Array(body)});
      judge(response.status, await response.text());
      return [response.status];
    });
    expect(seen.get(400)).toBeGreaterThan(30);
    expect(seen.get(200)).toBeGreaterThan(10);
    await stillServes();
  });

  it('in headers gets an answer or an error of the caller, and harms nobody', async () => {
    const seen = await assertAll(fc.tuple(anyHeaders, fc.constantFrom(...bodies)), ([headers, body]) =>
      judgeRaw(rawPost(body, `${closing}${headers}`)),
    );
    expect(seen.get(400)).toBeGreaterThan(20);
    expect(seen.get(200)).toBeGreaterThan(20);
    await stillServes();
  });

  it('in a path gets an answer or an error of the caller, and harms nobody', async () => {
    const known = ['v1', 'models', 'chat', '%', '%2e%2e', '..', '%00', '%ff', '?', '#', '//', ';', '*', '\\'];
    const parts = fc.array(fc.oneof(fc.constantFrom(...known), fc.webSegment()), {maxLength: 6});
    const method = fc.constantFrom('GET', 'POST', 'PUT', 'OPTIONS', 'PROPFIND');
    const seen = await assertAll(fc.tuple(method, parts), ([verb, path]) =>
      judgeRaw(`${verb} /${path.join('/')} HTTP/1.1\r\nhost: models\r\n${closing}\r\n`),
    );
    expect([...seen.values()].reduce((sum, count) => sum + count, 0)).toBe(runs.numRuns * together);
    expect(seen.get(404)).toBeGreaterThan(30);
    await stillServes();
  });

  it('that is hardly HTTP any more, or none, harms nobody', async () => {
    const wild = fc.oneof(
      fc.uint8Array({minLength: 1, maxLength: 400}).map((bytes) => Buffer.from(bytes)),
      fc
        .tuple(fc.constantFrom(...bodies), fc.array(edit, {minLength: 1, maxLength: 5}))
        .map(([body, edits]) => mutate(rawPost(body, closing), edits)),
    );
    const seen = await assertAll(wild, judgeRaw);
    expect(seen.get(400)).toBeGreaterThan(30);
    await stillServes();
  });

  it('leaves no byte held, no request running, no breaker open and nothing in the log that is our fault', async () => {
    await stillServes();
    await until(async () => {
      const metrics = await (await fetch(`${proxy.admin}/metrics`)).text();
      return (
        /^modelroute_buffered_bytes 0$/m.test(metrics) &&
        /^modelroute_requests_in_flight 0$/m.test(metrics) &&
        /^modelroute_backend_breaker_state\{.*\} 0$/m.test(metrics)
      );
    }, 'all is as before');
    await until(() => upstream.activeRequests() === 0, 'nothing runs upstream');
    expect(proxy.log.filter(({level}) => level !== 'info')).toEqual([]);
  });
});
