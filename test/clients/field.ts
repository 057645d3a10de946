/** What the clients' tests share: a proxy with its routes, the model servers behind it, and what became of a call. */
import type {Backend, ModelRouteSpec} from '../../operator/api/generated.ts';
import type {Simulator} from '../../simulator/index.ts';
import {startHarness, startUpstream, type Harness, type keeper} from '../proxy/harness.ts';
import {patientBreaker} from '../proxy/ladder.ts';
import {until} from '../until.ts';

export const models = ['chat', 'embed', 'voice', 'ears', 'picture', 'judge'];

/** The caller's own; no backend may see it. */
export const callersKey = 'sk-of-the-caller';

export type Field = {
  proxy: Harness;
  /** Backend `local` of every route. */
  upstream: Simulator;
  /** Backend `cloud` of the route `pair`, asked when `local` fails. */
  second: Simulator;
  /** Nothing runs upstream any more. */
  settled: () => Promise<void>;
};

/**
 * Routes: `chat` (with all of {@link models}); `pair`, over two servers; `lively`, which keeps waiting callers awake and gives up after
 * 300 ms without content. Each asks once, with a breaker that stays closed.
 */
export async function startField(
  keep: ReturnType<typeof keeper>['keep'],
  api: 'OpenAI' | 'Anthropic' = 'OpenAI',
): Promise<Field> {
  const upstream = await keep(startUpstream({models, tokens: 8, name: 'local'}));
  const second = await keep(startUpstream({models, tokens: 8, name: 'cloud'}));
  const local: Backend = {name: 'local', url: upstream.url, api};
  const patient: Partial<ModelRouteSpec> = {retry: {maxAttempts: 1}, circuitBreaker: patientBreaker};
  const proxy = await keep(
    startHarness({
      routes: {
        chat: {...patient, modelNames: models, backends: [local]},
        pair: {
          ...patient,
          backends: [
            {...local, model: 'chat'},
            {name: 'cloud', url: second.url, api, model: 'chat', priority: 1},
          ],
        },
        lively: {
          ...patient,
          backends: [{...local, model: 'chat'}],
          stream: {keepAlive: '20ms'},
          timeouts: {firstToken: '300ms'},
        },
      },
    }),
  );
  return {
    proxy,
    upstream,
    second,
    settled: () =>
      until(() => upstream.activeRequests() + second.activeRequests() === 0, 'nothing runs at the model servers'),
  };
}

/** The only request that came. */
export function onlyRequest({requests}: Simulator): ReturnType<Simulator['requests']>[number] {
  const [only, ...others] = requests();
  if (only === undefined || others.length > 0)
    throw new Error(`${others.length + (only === undefined ? 0 : 1)} requests came, not one`);
  return only;
}

/** What came, one by one. */
export const bodiesOf = ({requests}: Simulator): Record<string, unknown>[] =>
  requests().map(({body}) => body as Record<string, unknown>);

/** The last message of the last request. */
export function lastMessage(upstream: Simulator): unknown {
  const {messages} = bodiesOf(upstream).at(-1) ?? {};
  return Array.isArray(messages) ? messages.at(-1) : undefined;
}

type BackendView = {name: string; breaker: string; lastError: {message: string} | null};

export async function expectNothingBlamed({proxy}: Field): Promise<void> {
  const response = await fetch(`${proxy.admin}/backends`);
  const {routes} = (await response.json()) as {routes: {backends: BackendView[]}[]};
  const blamed = routes
    .flatMap(({backends}) => backends)
    .filter(({breaker, lastError}) => breaker !== 'Closed' || lastError !== null);
  if (blamed.length > 0) throw new Error(`it is held against a backend: ${JSON.stringify(blamed)}`);
}

/** By its caller: the backend has stopped, and nothing is held against it. */
export async function wasLeft(field: Field): Promise<void> {
  const {upstream} = field;
  await until(() => upstream.aborted() === 1 && upstream.activeRequests() === 0, 'the backend has stopped');
  await expectNothingBlamed(field);
}

export async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const each of stream) all.push(each);
  return all;
}

/** What a call raises. */
export const raised = async (asking: PromiseLike<unknown>): Promise<unknown> =>
  asking.then(
    (value) => {
      throw new Error(`it raised nothing, but came to ${JSON.stringify(value)?.slice(0, 500)}`);
    },
    (error: unknown) => error,
  );

/** What a stream brings before it raises something, and what that is. */
export async function collectUntilRaised<T>(opening: PromiseLike<AsyncIterable<T>> | AsyncIterable<T>): Promise<{
  all: T[];
  error: unknown;
}> {
  const all: T[] = [];
  const reading = async (): Promise<void> => {
    for await (const each of await opening) all.push(each);
  };
  return {error: await raised(reading()), all};
}

/** A `fetch` for a client, and what has come over its wire. */
export function overhearing(): {fetch: typeof fetch; heard: () => string} {
  let text = '';
  const decoder = new TextDecoder();
  return {
    heard: () => text,
    fetch: async (input, init) => {
      const response = await fetch(input, init);
      const body = response.body?.pipeThrough(
        new TransformStream<Uint8Array, Uint8Array>({
          transform(bytes, controller) {
            text += decoder.decode(bytes, {stream: true});
            controller.enqueue(bytes);
          },
        }),
      );
      return new Response(body, response);
    },
  };
}

/** A tool for OpenAI's APIs and Anthropic's; a simulator fills its arguments with {@link weatherArguments}. */
export const weatherSchema = {
  type: 'object' as const,
  properties: {city: {type: 'string'}, days: {type: 'integer'}},
  required: ['city', 'days'],
  additionalProperties: false,
};
export const weatherArguments = {city: 'a sample', days: 1};
