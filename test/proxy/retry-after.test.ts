import {afterEach, describe, expect, it} from '@jest/globals';
import {createFakeClock} from '../fake-clock.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, startUpstream, type Harness} from './harness.ts';
import {errorOf, liveView, patientBreaker, podsBackend, podsOf, startLadder} from './ladder.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const spec = {circuitBreaker: patientBreaker};
const limited = (headers: Record<string, string>, status = 429) => ({do: 'status', status, headers}) as const;

const answeredBy = async (proxy: Harness): Promise<string | null> => {
  const response = await post(proxy.url, chatBody());
  await response.text();
  return response.headers.get('x-modelroute-backend');
};

describe('a Retry-After', () => {
  it.each([
    ['in seconds', () => limited({'retry-after': '30'})],
    ['as an HTTP date', () => limited({'retry-after': new Date(Date.now() + 30_500).toUTCString()})],
    ['in milliseconds', () => limited({'retry-after-ms': '30000'})],
    ['with a 503', () => limited({'retry-after': '30'}, 503)],
  ])('%s holds its endpoint for all requests', async (_, behaviour) => {
    const clock = createFakeClock();
    const {proxy, upstreams} = await startLadder(keep, [{name: 'local'}, {name: 'cloud'}], {clock, spec});
    const [local] = upstreams;
    local?.behave(behaviour(), {times: 1});

    expect(await answeredBy(proxy)).toBe('cloud');
    expect(await answeredBy(proxy)).toBe('cloud');
    await clock.advance(28_000);
    expect(await answeredBy(proxy)).toBe('cloud');
    expect(local?.requests().length).toBe(1);
    await clock.advance(3_000);
    expect(await answeredBy(proxy)).toBe('local');
  });

  it('holds no other endpoint of that backend', async () => {
    const pods = [await keep(startUpstream()), await keep(startUpstream())];
    const proxy = await keep(
      startHarness({
        routes: {...spec, backends: [podsBackend(pods)], loadBalancing: {strategy: 'RoundRobin'}},
        slices: podsOf(pods),
        clock: createFakeClock(),
      }),
    );
    pods[0]?.behave(limited({'retry-after': '30'}));
    for (let request = 0; request < 12; request += 1) expect(await answeredBy(proxy)).toBe('pods');
    expect(pods[0]?.requests().length).toBe(1);
    expect(pods[1]?.requests().length).toBe(12);
    const held = (await liveView(proxy, 'pods')).endpoints.filter(({heldForMs}) => heldForMs > 0);
    expect(held.map(({address}) => address)).toEqual([`127.0.0.1:${pods[0]?.port}`]);
  });

  it('is told to the caller as 429 when it holds all there is, and nobody is asked meanwhile', async () => {
    const clock = createFakeClock();
    const {proxy, upstreams} = await startLadder(
      keep,
      [
        {name: 'local', behaves: limited({'retry-after': '60'})},
        {name: 'cloud', behaves: limited({'retry-after': '30'})},
      ],
      {clock, spec},
    );
    const first = await post(proxy.url, chatBody());
    expect([first.status, first.headers.get('retry-after')]).toEqual([429, '30']);
    expect((await errorOf(first)).code).toBe('backend_rate_limited');

    await clock.advance(10_000);
    const second = await post(proxy.url, chatBody());
    expect([second.status, second.headers.get('retry-after')]).toEqual([429, '20']);
    expect(second.headers.get('x-modelroute-attempts')).toBe('0');
    expect(await errorOf(second)).toMatchObject({code: 'backend_rate_limited', type: 'rate_limit_error'});
    expect(upstreams.map((upstream) => upstream.requests().length)).toEqual([1, 1]);
  });

  it('that a try has already waited for is not told again', async () => {
    const clock = createFakeClock();
    const {proxy, upstreams} = await startLadder(keep, [{name: 'local'}], {clock, spec});
    const [local] = upstreams;
    local?.behave(limited({'retry-after': '1'}), {times: 1});
    local?.behave(limited({'retry-after': '45'}));
    const asking = post(proxy.url, chatBody());
    await until(async () => {
      await clock.advance(50);
      return local?.requests().length === 2;
    }, 'the second try');
    const response = await asking;
    expect([response.status, response.headers.get('retry-after')]).toEqual([429, '45']);
  });

  it('is not told where another backend failed without one', async () => {
    const {proxy} = await startLadder(
      keep,
      [
        {name: 'local', behaves: limited({'retry-after': '60'})},
        {name: 'cloud', behaves: {do: 'status', status: 500}},
      ],
      {random: () => 0, spec},
    );
    const response = await post(proxy.url, chatBody());
    expect([response.status, response.headers.get('retry-after')]).toEqual([502, null]);
    expect((await errorOf(response)).code).toBe('backend_error');
  });

  it('that is short is waited for, by later requests as well', async () => {
    const clock = createFakeClock();
    const {proxy, upstreams} = await startLadder(keep, [{name: 'local'}], {clock, spec});
    const [local] = upstreams;
    local?.behave(limited({'retry-after': '30'}), {times: 1});
    expect((await post(proxy.url, chatBody())).status).toBe(429);
    const askedAt: number[] = [];
    local?.behave(() => void askedAt.push(clock.now()));
    const began = clock.now();
    await clock.advance(28_500); // 1.5 s are left, and maxWait is 2 s
    const asking = post(proxy.url, chatBody());
    await until(async () => {
      await clock.advance(20);
      return askedAt.length === 1;
    }, 'the request goes on');
    expect((await asking).status).toBe(200);
    expect((askedAt[0] ?? 0) - began).toBeGreaterThanOrEqual(30_000);
  });

  it('that is short is waited for on the way down the rungs too, rather than to fail', async () => {
    const clock = createFakeClock();
    const {proxy, upstreams} = await startLadder(keep, [{name: 'local'}, {name: 'cloud'}], {clock, spec});
    const [local, cloud] = upstreams;
    local?.behave({do: 'status', status: 401});
    cloud?.behave(limited({'retry-after': '3'}), {times: 1});
    expect((await post(proxy.url, chatBody())).status).toBe(502);
    await clock.advance(1_500);
    const asking = post(proxy.url, chatBody());
    await until(() => local?.requests().length === 2, 'the first rung is asked');
    await until(async () => {
      await clock.advance(100);
      return cloud?.requests().length === 2;
    }, 'the second rung is asked');
    const response = await asking;
    expect(response.status).toBe(200);
    expect(response.headers.get('x-modelroute-backend')).toBe('cloud');
  });
});
