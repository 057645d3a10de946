/** /v1/responses/{id}: what one server holds. */
import {afterEach, describe, expect, it} from '@jest/globals';
import type {Simulator} from '../../simulator/index.ts';
import {until} from '../until.ts';
import {keeper, post, startHarness, startUpstream, type Harness} from './harness.ts';
import {errorOf, liveView, podsBackend, podsOf} from './ladder.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

type Stored = {id: string; status: string};

async function start(
  routes = 1,
): Promise<{proxy: Harness; upstream: Simulator; create: (fields?: object) => Promise<Stored>}> {
  const upstream = await keep(startUpstream());
  const backends = [{name: 'local', url: upstream.url}];
  const names = Array.from({length: routes}, (_, index) => (index === 0 ? 'chat' : `other-${index}`));
  const proxy = await keep(startHarness({routes: Object.fromEntries(names.map((name) => [name, {backends}]))}));
  const create = async (fields = {}): Promise<Stored> => {
    const body = JSON.stringify({model: 'chat', input: 'Hi', ...fields});
    return (await (await post(proxy.url, body, {path: '/v1/responses'})).json()) as Stored;
  };
  return {proxy, upstream, create};
}

const ask = (proxy: Harness, path: string, method = 'GET'): Promise<Response> =>
  fetch(`${proxy.url}/v1/responses/${path}`, {method});

describe('a stored response', () => {
  it('is fetched, listed, streamed again and deleted where it is', async () => {
    const {proxy, upstream, create} = await start();
    const {id} = await create();
    const fetched = await ask(proxy, id);
    expect(fetched.status).toBe(200);
    expect(fetched.headers.get('x-modelroute-backend')).toBe('local');
    expect(await fetched.json()).toMatchObject({id, status: 'completed'});
    expect((await ask(proxy, id, 'DELETE')).status).toBe(200);
    const gone = await ask(proxy, id);
    expect([gone.status, (await errorOf(gone)).type]).toEqual([404, 'invalid_request_error']);
    expect(upstream.requests().map(({method}) => method)).toEqual(['POST', 'GET', 'DELETE', 'GET']);
  });

  it('in the background can be looked after and cancelled', async () => {
    const {proxy, upstream, create} = await start();
    upstream.behave({do: 'answer', tokensPerSecond: 1, answerTokens: 60});
    const {id} = await create({background: true});
    const cancelled = await ask(proxy, `${id}/cancel`, 'POST');
    expect(cancelled.status).toBe(200);
    expect(await cancelled.json()).toMatchObject({id, status: 'cancelled'});
  });

  it('is found by the name of a model where there are several routes, which no backend gets to see', async () => {
    const {proxy, upstream, create} = await start(2);
    const {id} = await create();
    const unnamed = await ask(proxy, id);
    expect([unnamed.status, await errorOf(unnamed)]).toEqual([
      400,
      expect.objectContaining({
        code: 'stateful_unsupported',
        param: 'model',
        message: expect.stringContaining('?model='),
      }),
    ]);
    expect((await ask(proxy, `${id}?model=nobody`)).status).toBe(404);
    expect((await ask(proxy, `${id}?include%5B%5D=usage&model=chat`)).status).toBe(200);
    expect(upstream.requests().at(-1)?.path).toBe(`/v1/responses/${id}?include%5B%5D=usage`);
  });

  it.each(['', '/input_items'])(
    '%s is asked for with what its query may say, and never with a credential',
    async (below) => {
      const {proxy, upstream, create} = await start();
      const {id} = await create();
      const passed =
        'include%5B%5D=usage&stream=false&starting_after=1&include_obfuscation=false&after=a&before=b&limit=2&order=asc&include=x';
      const names = ['apikey', 'api_key', 'api-key', 'API_KEY', 'access_token', 'token', 'key', 'include%5B', 'Limit'];
      const dropped = names.map((name) => `${name}=sk-caller`).join('&');
      await (await ask(proxy, `${id}${below}?${dropped}&${passed}&${dropped}`)).text();
      expect(upstream.requests().at(-1)?.path).toBe(`/v1/responses/${id}${below}?${passed}`);
      await (await ask(proxy, `${id}${below}?${dropped}`)).text();
      expect(upstream.requests().at(-1)?.path).toBe(`/v1/responses/${id}${below}`);
      await until(() => proxy.requests().length === 3, 'the lines');
      expect(JSON.stringify([proxy.log, upstream.requests()])).not.toContain('sk-caller');
    },
  );

  it('is refused on a route with several endpoints', async () => {
    const upstreams = [await keep(startUpstream()), await keep(startUpstream())];
    const proxy = await keep(startHarness({routes: {backends: [podsBackend(upstreams)]}, slices: podsOf(upstreams)}));
    const response = await ask(proxy, 'resp_1');
    expect([response.status, (await errorOf(response)).code]).toEqual([400, 'stateful_unsupported']);
    expect(upstreams.flatMap((upstream) => upstream.requests())).toEqual([]);
  });

  it('is asked for once: a failure is an error, and nobody’s look-ups keep the API from others', async () => {
    const {proxy, upstream, create} = await start();
    for (let look = 0; look < 6; look += 1) expect((await ask(proxy, 'resp_unknown')).status).toBe(404);
    expect((await liveView(proxy, 'local')).breaker).toBe('Closed');
    const {id} = await create();
    upstream.behave({do: 'status', status: 500}, {times: 1});
    const before = upstream.requests().length;
    const failed = await ask(proxy, id);
    expect([failed.status, (await errorOf(failed)).code]).toEqual([502, 'backend_error']);
    expect(upstream.requests().length - before).toBe(1);
    await until(() => proxy.requests().length === 8, 'the lines');
  });

  it.each(['..', '%2e%2e', 'a%2fb', '..%2fmodels'])('is not looked for at %s', async (id) => {
    const {proxy, upstream} = await start();
    const {request} = await import('node:http');
    const status = await new Promise((resolve) => {
      request(proxy.url, {path: `/v1/responses/${id}`}, (response) => {
        response.resume();
        resolve(response.statusCode);
      }).end();
    });
    expect(status).toBe(404);
    expect(upstream.requests()).toEqual([]);
  });
});
