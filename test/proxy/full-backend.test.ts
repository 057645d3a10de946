import {afterEach, describe, expect, it} from '@jest/globals';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, startUpstream} from './harness.ts';
import {errorOf, liveView, podsBackend, podsOf, startLadder} from './ladder.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const hang = {do: 'hang', where: 'AfterTokens'} as const;
const streamed = chatBody({stream: true});
const cap = {maxConcurrentRequests: 2};

describe('a backend at its maxConcurrentRequests', () => {
  it('spills to the next rung at once, and takes requests again when one has ended', async () => {
    const {proxy, upstreams} = await startLadder(keep, [{name: 'local', backend: cap, behaves: hang}, {name: 'cloud'}]);
    const leaving = new AbortController();
    const first = await post(proxy.url, streamed, {signal: leaving.signal});
    const second = await post(proxy.url, streamed);
    expect([first, second].map(({headers}) => headers.get('x-modelroute-backend'))).toEqual(['local', 'local']);

    const third = await post(proxy.url, streamed);
    expect(third.headers.get('x-modelroute-backend')).toBe('cloud');
    expect(third.headers.get('x-modelroute-attempts')).toBe('1');
    expect(upstreams[0]?.requests().length).toBe(2);

    leaving.abort();
    await until(async () => (await liveView(proxy, 'local')).inFlight === 1, 'its place is free');
    upstreams[0]?.behave({do: 'answer'});
    expect((await post(proxy.url, streamed)).headers.get('x-modelroute-backend')).toBe('local');
  });

  it('is counted over all its endpoints', async () => {
    const pods = [await keep(startUpstream()), await keep(startUpstream()), await keep(startUpstream())];
    for (const pod of pods) pod.behave(hang);
    const cloud = await keep(startUpstream({name: 'cloud'}));
    const backends = [podsBackend(pods, cap), {name: 'cloud', url: cloud.url, priority: 1}];
    const proxy = await keep(startHarness({routes: {backends}, slices: podsOf(pods)}));
    const used = [];
    for (let request = 0; request < 4; request += 1)
      used.push((await post(proxy.url, streamed)).headers.get('x-modelroute-backend'));
    expect(used).toEqual(['pods', 'pods', 'cloud', 'cloud']);
  });

  it('never gets more than that, when many come at once', async () => {
    const {proxy, upstreams} = await startLadder(keep, [{name: 'local', backend: cap, behaves: hang}, {name: 'cloud'}]);
    const responses = await Promise.all(Array.from({length: 20}, () => post(proxy.url, streamed)));
    const local = responses.filter(({headers}) => headers.get('x-modelroute-backend') === 'local');
    expect([local.length, upstreams[0]?.requests().length]).toEqual([2, 2]);
  });

  it('is backends_full where there is no other, and is nobody’s fault', async () => {
    const {proxy, upstreams} = await startLadder(keep, [{name: 'local', backend: cap, behaves: hang}], {
      spec: {circuitBreaker: {consecutiveFailures: 1}},
    });
    await post(proxy.url, streamed);
    await post(proxy.url, streamed);
    const response = await post(proxy.url, streamed);
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('1');
    expect(response.headers.get('x-modelroute-attempts')).toBe('0');
    expect(await errorOf(response)).toMatchObject({code: 'backends_full', type: 'overloaded_error'});
    expect(upstreams[0]?.requests().length).toBe(2);
    expect((await liveView(proxy, 'local')).breaker).toBe('Closed');
  });
});

describe('without a cap', () => {
  it('a backend takes as many as come', async () => {
    const {proxy, upstreams} = await startLadder(keep, [{name: 'local', behaves: hang}, {name: 'cloud'}]);
    await Promise.all(Array.from({length: 100}, () => post(proxy.url, streamed)));
    expect(upstreams.map((upstream) => upstream.requests().length)).toEqual([100, 0]);
  });
});
