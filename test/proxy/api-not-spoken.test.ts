import {afterEach, describe, expect, it} from '@jest/globals';
import {createFakeClock} from '../fake-clock.ts';
import {chatBody, keeper, post, type Harness} from './harness.ts';
import {errorOf, liveView, startLadder} from './ladder.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const notFound = (status: number) => ({do: 'status', status, body: {error: {message: 'Not Found'}}}) as const;

const backendOf = async (response: Response): Promise<string | null> => {
  await response.text();
  return response.headers.get('x-modelroute-backend');
};

const embed = (proxy: Harness): Promise<Response> =>
  fetch(`${proxy.url}/v1/embeddings`, {
    method: 'POST',
    headers: {'content-type': 'application/json'},
    body: JSON.stringify({model: 'chat', input: 'Hi'}),
  });

describe('a backend that does not speak an API', () => {
  it.each([404, 405, 501])('(%i) is left out of it for a minute, and then asked again', async (status) => {
    const clock = createFakeClock();
    const {proxy, upstreams} = await startLadder(keep, [{name: 'local', behaves: notFound(status)}, {name: 'cloud'}], {
      clock,
    });
    const ask = async (): Promise<string | null> => backendOf(await post(proxy.url, chatBody()));
    const [local] = upstreams;

    expect(await ask()).toBe('cloud');
    local?.behave({do: 'answer'});
    await clock.advance(59_999);
    expect(await ask()).toBe('cloud');
    expect(local?.requests().length).toBe(1);
    await clock.advance(1);
    expect(await ask()).toBe('local');
    expect((await liveView(proxy, 'local')).breaker).toBe('Closed');
  });

  it('is still asked for the APIs that it speaks', async () => {
    const {proxy, upstreams} = await startLadder(keep, [{name: 'local'}, {name: 'cloud'}]);
    const [local] = upstreams;
    local?.behave(({path}) => (path.endsWith('/embeddings') ? notFound(404) : undefined));
    expect(await backendOf(await embed(proxy))).toBe('cloud');
    expect(await backendOf(await post(proxy.url, chatBody()))).toBe('local');
    expect(await backendOf(await embed(proxy))).toBe('cloud');
    expect(local?.requests().filter(({path}) => path.endsWith('/embeddings'))).toHaveLength(1);
  });

  it('is asked in spite of that where nothing else is left, and a success is learnt from', async () => {
    const {proxy, upstreams} = await startLadder(keep, [{name: 'local', behaves: notFound(404)}, {name: 'cloud'}]);
    const [local, cloud] = upstreams;
    expect(await backendOf(await post(proxy.url, chatBody()))).toBe('cloud');
    cloud?.behave({do: 'status', status: 401}, {times: 1});
    local?.behave({do: 'answer'});
    const response = await post(proxy.url, chatBody());
    expect(response.headers.get('x-modelroute-attempts')).toBe('2');
    expect(await backendOf(response)).toBe('local');
    expect(await backendOf(await post(proxy.url, chatBody()))).toBe('local');
  });

  it('is one error where no backend does, asked anew by each request', async () => {
    const {proxy, upstreams} = await startLadder(keep, [
      {name: 'local', behaves: notFound(404)},
      {name: 'cloud', behaves: notFound(405)},
    ]);
    for (let request = 1; request <= 2; request += 1) {
      const response = await post(proxy.url, chatBody());
      expect(response.status).toBe(404);
      const {code, message} = await errorOf(response);
      expect(code).toBe('api_not_supported');
      expect(message).toMatch(/^No backend of route team-a\/chat speaks \/v1\/chat\/completions;/);
      expect(upstreams.map((upstream) => upstream.requests().length)).toEqual([request, request]);
    }
  });

  it('does not hide why another one failed', async () => {
    const {proxy} = await startLadder(keep, [
      {name: 'local', behaves: {do: 'status', status: 429, headers: {'retry-after': '30'}}},
      {name: 'cloud', behaves: notFound(404)},
    ]);
    const response = await post(proxy.url, chatBody());
    expect([response.status, response.headers.get('retry-after')]).toEqual([429, '30']);
    expect((await errorOf(response)).message).toContain('local answered 429; cloud answered 404');
  });
});
