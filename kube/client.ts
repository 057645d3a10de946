/**
 * The thin Kubernetes client that proxy and operator stand on: JSON over few kept connections, sent again where that is safe, one deadline
 * for all of it (https://kubernetes.io/docs/reference/using-api/api-concepts/).
 */
import {begun, whole} from './answer.ts';
import {createBackoff} from './backoff.ts';
import {startCall, type Call} from './call.ts';
import type {Clock} from './clock.ts';
import type {KubeConfig} from './credentials.ts';
import {streamLines} from './line-stream.ts';
import {createOpening, type Opening} from './opening.ts';
import type {KubeRequest} from './request.ts';
import {retryDelayMs, type Failure} from './retry.ts';

export type {KubeRequest} from './request.ts';

export type KubeClient = {
  /**
   * The answer's body, parsed. Throws {@link KubeError}. Sent again after a 429, and if it is idempotent also after a 5xx or a broken
   * connection: so a PUT may conflict with itself (409), and a DELETE find nothing any more (404).
   */
  request(request: KubeRequest): Promise<unknown>;
  /**
   * The lines of a streamed answer (a watch), parsed, as they come; ends when the server ends it; throws {@link KubeError}. Returning from
   * the iteration closes the connection's request. It is sent again only when credentials were refused. An answer has to begin within 30 s;
   * after that it has no deadline.
   */
  stream(request: KubeRequest): AsyncIterable<unknown>;
  /** What runs ends with a {@link KubeError}. */
  close(): Promise<void>;
};

export type KubeClientOptions = {
  config: KubeConfig;
  clock: Clock;
  /** From 0 to below 1. */
  random: () => number;
  /** For a whole request: connecting, waits and further tries included. */
  deadlineMs?: number;
  maxAnswerBytes?: number;
};

const defaultDeadlineMs = 30_000;
/** A watch's headers come at once, before its first event. */
const streamHeadMs = 30_000;
const defaultMaxAnswerBytes = 64 * 1_048_576;
const backoffMs = {firstMs: 50, longestMs: 5_000};

type Asking = {opening: Opening; random: () => number; maxAnswerBytes: number};

async function attempt(
  call: Call,
  request: KubeRequest,
  {opening, maxAnswerBytes}: Asking,
): Promise<{answer: unknown} | Failure> {
  const outcome = await begun(call, opening.open(call, request, 'request'));
  return 'opened' in outcome ? whole(call, outcome.opened, maxAnswerBytes) : outcome;
}

/** Tries until there is an answer, another try would not help, or the next would come after the deadline. */
async function ask(call: Call, request: KubeRequest, asking: Asking): Promise<unknown> {
  const backoff = createBackoff({...backoffMs, random: asking.random});
  const renewed = asking.opening.createRenewal();
  for (;;) {
    const outcome = await attempt(call, request, asking);
    if ('answer' in outcome) return outcome.answer;
    call.failed(outcome.error);
    if (await renewed(outcome)) continue;
    const delayMs = retryDelayMs(request, outcome, backoff);
    if (delayMs === undefined || delayMs >= call.leftMs()) throw outcome.error;
    await call.wait(delayMs);
  }
}

/** Throws an Error if the config cannot be used. */
export function createKubeClient(options: KubeClientOptions): KubeClient {
  const {config, clock, random, deadlineMs = defaultDeadlineMs, maxAnswerBytes = defaultMaxAnswerBytes} = options;
  const opening = createOpening(config, clock);
  const calls = new Set<Call>();
  let closed = false;

  const begin = ({method, path, signal}: KubeRequest, limitMs: number): Call => {
    const call = startCall({where: `${method} ${path}`, clock, deadlineMs: limitMs, signal});
    if (closed) call.abort('the client is closed');
    calls.add(call);
    return call;
  };
  const end = (call: Call): void => {
    calls.delete(call);
    call.end();
  };

  return {
    async request(request) {
      const call = begin(request, deadlineMs);
      try {
        return await ask(call, request, {opening, random, maxAnswerBytes});
      } finally {
        end(call);
      }
    },
    stream: (request) => ({
      [Symbol.asyncIterator]: () => streamLines(opening, request, () => begin(request, streamHeadMs), end),
    }),
    async close() {
      closed = true;
      for (const call of calls) call.abort('the client is closed');
      await opening.close();
    },
  };
}
