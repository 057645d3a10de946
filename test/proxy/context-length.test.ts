import {afterEach, describe, expect, it} from '@jest/globals';
import {chatBody, keeper, post} from './harness.ts';
import {errorOf, startLadder, type Rung} from './ladder.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const long = {messages: [{role: 'user', content: 'word '.repeat(500)}]};

/** Takes as many tokens as it declares; undeclared: it refuses the long prompt all the same. */
const rung = (name: string, contextWindow?: number, takes = contextWindow ?? 100): Rung => ({
  name,
  backend: contextWindow === undefined ? {} : {contextWindow},
  options: {contextWindow: takes},
});

describe.each([
  ['plain', {}],
  ['streamed', {stream: true}],
])('a %s prompt that is too long', (_, fields) => {
  it.each<[what: string, rungs: Rung[], asked: number[], backend: string]>([
    ['a later rung with a larger window', [rung('a', 100), rung('b', 10_000)], [1, 1], 'b'],
    ['past one that is not larger', [rung('a', 200), rung('b', 100), rung('c', 10_000)], [1, 0, 1], 'c'],
    ['past one of the same size', [rung('a', 100), rung('b', 100), rung('c', 10_000)], [1, 0, 1], 'c'],
    ['past one that declares none', [rung('a', 100), rung('b', undefined), rung('c', 10_000)], [1, 0, 1], 'c'],
    [
      'one more when the larger one is too small as well',
      [rung('a', 100), rung('b', 200), rung('c', 10_000)],
      [1, 1, 1],
      'c',
    ],
    ['a declared one where the first declares none', [rung('a'), rung('b', 10_000)], [1, 1], 'b'],
  ])('goes to %s', async (_, rungs, asked, backend) => {
    const {proxy, upstreams} = await startLadder(keep, rungs);
    const response = await post(proxy.url, chatBody({...long, ...fields}));
    expect(response.status).toBe(200);
    expect(response.headers.get('x-modelroute-backend')).toBe(backend);
    expect(upstreams.map((upstream) => upstream.requests().length)).toEqual(asked);
  });

  it.each<[what: string, rungs: Rung[], asked: number[]]>([
    ['no rung declares a larger window', [rung('a', 100), rung('b', undefined, 10_000)], [1, 0]],
    [
      'only an earlier rung, which is down, has a larger one',
      [{...rung('a', 10_000), behaves: {do: 'status', status: 401}}, rung('b', 100)],
      [1, 1],
    ],
    ['there is no other rung', [rung('a', 100)], [1]],
  ])('is told to the caller as it came where %s', async (_, rungs, asked) => {
    const {proxy, upstreams} = await startLadder(keep, rungs);
    const response = await post(proxy.url, chatBody({...long, ...fields}));
    expect(response.status).toBe(400);
    expect(await errorOf(response)).toMatchObject({code: 'context_length_exceeded', type: 'invalid_request_error'});
    expect(upstreams.map((upstream) => upstream.requests().length)).toEqual(asked);
  });
});

describe('an earlier rung with a larger window', () => {
  it('is not gone back to', async () => {
    const {proxy, upstreams} = await startLadder(keep, [rung('a', 10_000), rung('b', 100)], {
      spec: {
        circuitBreaker: {consecutiveFailures: 1, openDuration: '1h', maxOpenDuration: '1h', whenAllOpen: 'TryAll'},
      },
    });
    upstreams[0]?.behave({do: 'status', status: 401}, {times: 1});
    expect((await post(proxy.url, chatBody())).headers.get('x-modelroute-backend')).toBe('b');
    const response = await post(proxy.url, chatBody(long));
    expect(response.status).toBe(400);
    expect((await errorOf(response)).code).toBe('context_length_exceeded');
    expect(upstreams.map((upstream) => upstream.requests().length)).toEqual([1, 2]);
  });
});
