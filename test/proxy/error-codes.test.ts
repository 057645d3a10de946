/** Every code of the table, provoked over real sockets: a code without a case here fails. */
import {createServer} from 'node:net';
import {afterEach, describe, expect, it} from '@jest/globals';
import type {ModelGatewaySpec, ModelRouteSpec} from '../../operator/api/generated.ts';
import {errorCodes, type ErrorCode} from '../../proxy/wire/errors.ts';
import type {BehaviourInput} from '../../simulator/index.ts';
import {slice} from '../objects.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, readEvents, startHarness, startUpstream, type Harness, type Setup} from './harness.ts';
import {errorIn, exchange, openRaw, rawPost, type ErrorAnswer} from './raw-caller.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

type Told = {status: number; error: ErrorAnswer['error']};

/** In front of one backend that behaves like this. */
async function behind(
  behaviour: BehaviourInput = {do: 'answer'},
  spec: Partial<ModelRouteSpec> & {
    limits?: ModelGatewaySpec['limits'];
    requestTimeoutMs?: number;
    extra?: Partial<Setup>;
  } = {},
): Promise<Harness> {
  const {limits, requestTimeoutMs, extra, ...route} = spec;
  const upstream = await keep(startUpstream());
  upstream.behave(behaviour);
  return keep(
    startHarness({
      routes: {backends: [{name: 'local', url: upstream.url}], retry: {maxAttempts: 1}, ...route},
      ...(limits === undefined ? {} : {gateway: {limits}}),
      ...(requestTimeoutMs === undefined ? {} : {requestTimeoutMs}),
      ...extra,
    }),
  );
}

async function told(answering: Response | Promise<Response>): Promise<Told> {
  const response = await answering;
  return {status: response.status, error: ((await response.json()) as ErrorAnswer).error};
}

async function toldRaw(port: number, bytes: string): Promise<Told> {
  const [answer] = await exchange(port, bytes);
  return {status: answer!.status, error: errorIn(answer!)};
}

/** A port that nobody listens on any more. */
const closedPort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' ? (address?.port ?? 0) : 0));
    });
  });

const chat = (proxy: Harness, fields: object = {}): Promise<Told> => told(post(proxy.url, chatBody(fields)));

/** One request runs and goes on running. */
async function occupy(proxy: Harness, body = chatBody({stream: true})): Promise<void> {
  const caller = await keep(openRaw(proxy.port));
  caller.write(rawPost(body));
  await until(
    async () => /modelroute_requests_in_flight 1/.test(await (await fetch(`${proxy.admin}/metrics`)).text()),
    'it runs',
  );
}

type Case = {param?: string; provoke: () => Promise<Told>};

const cases: Record<ErrorCode, Case> = {
  malformed_http: {provoke: async () => toldRaw((await behind()).port, 'nonsense\r\n\r\n')},
  invalid_json: {provoke: async () => told(post((await behind()).url, '{'))},
  invalid_form: {
    async provoke() {
      const headers = {'content-type': 'multipart/form-data; boundary=x'};
      return told(post((await behind()).url, '--x\r\n', {path: '/v1/audio/transcriptions', headers}));
    },
  },
  missing_model: {param: 'model', provoke: async () => told(post((await behind()).url, '{}'))},
  invalid_value: {param: 'stream', provoke: async () => chat(await behind(), {stream: 'yes'})},
  cross_site: {
    async provoke() {
      const headers = {'content-type': 'multipart/form-data; boundary=x', 'sec-fetch-site': 'cross-site'};
      return told(post((await behind()).url, '', {path: '/v1/audio/transcriptions', headers}));
    },
  },
  model_not_found: {param: 'model', provoke: async () => chat(await behind(), {model: 'nobody'})},
  unknown_path: {provoke: async () => told(fetch(`${(await behind()).url}/v2`))},
  api_not_supported: {provoke: async () => chat(await behind({do: 'status', status: 501}))},
  stateful_unsupported: {
    param: 'previous_response_id',
    async provoke() {
      const backends = await Promise.all(
        [1, 2].map(async (each) => ({name: `b${each}`, url: (await keep(startUpstream())).url})),
      );
      const body = JSON.stringify({model: 'chat', input: 'Hi', previous_response_id: 'resp_1'});
      return told(post((await behind({do: 'answer'}, {backends})).url, body, {path: '/v1/responses'}));
    },
  },
  method_not_allowed: {provoke: async () => told(fetch(`${(await behind()).url}/v1/embeddings`))},
  upgrade_required: {provoke: async () => told(fetch(`${(await behind()).url}/v1/realtime?model=chat`))},
  request_timeout: {
    provoke: async () =>
      toldRaw((await behind({do: 'answer'}, {requestTimeoutMs: 200})).port, rawPost('{', 'x-a: ').slice(0, -10)),
  },
  body_too_large: {
    provoke: async () => chat(await behind({do: 'answer'}, {limits: {maxBodyBytes: '1Ki'}}), {x: 'x'.repeat(2_000)}),
  },
  unsupported_media_type: {
    provoke: async () => told(post((await behind()).url, chatBody(), {headers: {'content-type': 'text/plain'}})),
  },
  headers_too_large: {
    provoke: async () => toldRaw((await behind()).port, rawPost(chatBody(), `x-a: ${'a'.repeat(20_000)}\r\n`)),
  },
  backend_rate_limited: {
    provoke: async () => chat(await behind({do: 'status', status: 429, headers: {'retry-after': '7'}})),
  },
  backend_connect_failed: {
    provoke: async () =>
      chat(
        await behind({do: 'answer'}, {backends: [{name: 'local', url: `http://127.0.0.1:${await closedPort()}/v1`}]}),
      ),
  },
  backend_reset: {provoke: async () => chat(await behind({do: 'reset'}))},
  backend_error: {provoke: async () => chat(await behind({do: 'status', status: 500}))},
  backend_refused: {provoke: async () => chat(await behind({do: 'status', status: 401}))},
  backend_malformed_reply: {provoke: async () => chat(await behind({do: 'notJson'}))},
  backend_timeout: {provoke: async () => chat(await behind({do: 'hang'}, {timeouts: {attempt: '50ms'}}))},
  deadline_exceeded: {provoke: async () => chat(await behind({do: 'hang'}, {timeouts: {request: '50ms'}}))},
  stream_cut: {
    async provoke() {
      const response = await post((await behind({do: 'cut', afterTokens: 1})).url, chatBody({stream: true}));
      const last = (await readEvents(response)).at(-1) ?? '';
      return {status: response.status, error: (JSON.parse(last) as ErrorAnswer).error};
    },
  },
  no_backend_available: {
    provoke: async () =>
      chat(
        await behind(
          {do: 'answer'},
          {
            backends: [{name: 'local', serviceRef: {name: 'vllm', port: 8000}}],
            extra: {slices: [slice({endpoints: []})]},
          },
        ),
      ),
  },
  backends_full: {
    async provoke() {
      const upstream = await keep(startUpstream());
      upstream.behave({do: 'hang'});
      const proxy = await keep(
        startHarness({routes: {backends: [{name: 'local', url: upstream.url, maxConcurrentRequests: 1}]}}),
      );
      await occupy(proxy);
      return chat(proxy);
    },
  },
  overloaded: {
    async provoke() {
      const proxy = await behind({do: 'hang'}, {limits: {maxBufferedBytes: '1Mi', maxBodyBytes: '1Mi'}});
      await occupy(proxy, chatBody({x: 'x'.repeat(900_000)}));
      return chat(proxy, {x: 'x'.repeat(500_000)});
    },
  },
  shutting_down: {
    async provoke() {
      const proxy = await behind({do: 'hang'}, {limits: {drainPeriod: '50ms'}});
      const answering = post(proxy.url, chatBody());
      await until(
        async () => /modelroute_requests_in_flight 1/.test(await (await fetch(`${proxy.admin}/metrics`)).text()),
        'it runs',
      );
      const draining = proxy.proxy.drain();
      const answer = await told(answering);
      await draining;
      return answer;
    },
  },
  internal_error: {
    async provoke() {
      let broken = false;
      const random = (): number => {
        if (broken) throw new Error('the test broke it');
        return 0.5;
      };
      const upstream = await keep(startUpstream());
      const backends = ['a', 'b'].map((name) => ({name, url: upstream.url}));
      const proxy = await keep(startHarness({routes: {backends}, random}));
      broken = true;
      const answer = await chat(proxy);
      await until(
        () => proxy.log.some(({level, error}) => level === 'error' && String(error).includes('the test broke it')),
        'the cause is logged',
      );
      expect(JSON.stringify(answer)).not.toContain('the test broke it');
      return answer;
    },
  },
};

/** Where it comes as an event, its status has gone out. */
const streamed: readonly ErrorCode[] = ['stream_cut'];

describe('an error', () => {
  it.each(Object.keys(errorCodes) as ErrorCode[])('%s has its status, type, code and param', async (code) => {
    const {param = null, provoke} = cases[code];
    const {status, error} = await provoke();
    expect(error).toMatchObject({code, type: errorCodes[code].type, param});
    expect(status).toBe(streamed.includes(code) ? 200 : errorCodes[code].status);
    expect(error.message.length).toBeGreaterThan(10);
    expect(error.message).not.toMatch(/127\.0\.0\.1|localhost|http:\/\/|ECONN|undefined|\[object/);
  });

  it('has a case here for every code, and none for others', () => {
    expect(Object.keys(cases).sort()).toEqual(Object.keys(errorCodes).sort());
  });
});
