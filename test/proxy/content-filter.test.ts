import {afterEach, describe, expect, it} from '@jest/globals';
import {chatBody, keeper, post, readEvents} from './harness.ts';
import {errorOf, liveView, startLadder} from './ladder.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const circuitBreaker = {consecutiveFailures: 1};
const refusal = {
  message: 'The prompt was filtered.',
  type: 'invalid_request_error',
  param: 'prompt',
  code: 'content_filter',
};

describe.each([
  ['plain', {}],
  ['streamed', {stream: true}],
])('a content filter’s refusal of a %s request', (_, fields) => {
  it.each([
    ['400', {do: 'status', status: 400, body: {error: refusal}} as const],
    ['403', {do: 'status', status: 403, body: {error: refusal}} as const],
    [
      'OpenAI’s word for it',
      {do: 'status', status: 400, body: {error: {...refusal, code: 'content_policy_violation'}}} as const,
    ],
    ['an error inside a 200', {do: 'status', status: 200, body: {error: refusal}} as const],
  ])('as %s is returned, and asked of nobody else, nor twice', async (_, behaves) => {
    const {proxy, upstreams} = await startLadder(keep, [{name: 'local', behaves}, {name: 'cloud'}], {
      spec: {circuitBreaker},
    });
    const response = await post(proxy.url, chatBody(fields));
    expect(response.status).toBe(behaves.status === 200 ? 400 : behaves.status);
    expect(await errorOf(response)).toMatchObject({message: refusal.message});
    expect(upstreams.map((upstream) => upstream.requests().length)).toEqual([1, 0]);
    expect((await liveView(proxy, 'local')).breaker).toBe('Closed');
  });
});

describe('a stream', () => {
  it('that a content filter finishes is an answer', async () => {
    const {proxy} = await startLadder(
      keep,
      [{name: 'local', behaves: {do: 'answer', finishReason: 'content_filter'}}, {name: 'cloud'}],
      {spec: {circuitBreaker}},
    );
    const response = await post(proxy.url, chatBody({stream: true}));
    expect(response.headers.get('x-modelroute-backend')).toBe('local');
    const events = await readEvents(response);
    expect(events.at(-2)).toContain('content_filter');
    expect(events.at(-1)).toBe('[DONE]');
  });

  it('in which a content filter sends an error before any content is not rerouted', async () => {
    const {proxy, upstreams} = await startLadder(
      keep,
      [{name: 'local', behaves: {do: 'errorEvent', afterTokens: 0, error: refusal}}, {name: 'cloud'}],
      {spec: {circuitBreaker}},
    );
    const response = await post(proxy.url, chatBody({stream: true}));
    expect(response.status).toBe(400);
    expect(await errorOf(response)).toMatchObject({code: 'content_filter'});
    expect(upstreams[1]?.requests()).toEqual([]);
  });
});
