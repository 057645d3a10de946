import {afterEach, describe, expect, it} from '@jest/globals';
import type {BehaviourSource, Simulator} from '../../simulator/index.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, readEvents, type Harness} from './harness.ts';
import {startLadder} from './ladder.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const hasOptions = ({body}: {body: unknown}): boolean =>
  typeof body === 'object' && body !== null && 'stream_options' in body;
const asked = (upstream: Simulator): boolean[] => upstream.requests().map(hasOptions);

/** A server that has never heard of `stream_options`. */
const refusing =
  (status: number): BehaviourSource =>
  (request) =>
    hasOptions(request)
      ? {do: 'status', status, body: {error: {message: 'Extra inputs are not permitted: stream_options'}}}
      : {do: 'answer', usage: 'Never'};

async function start(behaves?: BehaviourSource) {
  const {proxy, upstreams, setup} = await startLadder(keep, [
    {name: 'local', ...(behaves && {behaves})},
    {name: 'cloud'},
  ]);
  const [local, cloud] = upstreams;
  if (local === undefined || cloud === undefined) throw new Error('two were started');
  return {proxy, local, cloud, setup};
}

const stream = async (proxy: Harness, fields: object = {}): Promise<string[]> =>
  readEvents(await post(proxy.url, chatBody({stream: true, ...fields})));

describe('usage in a stream', () => {
  it('is asked for, counted, and kept from a caller who did not ask', async () => {
    const {proxy, local} = await start();
    const events = await stream(proxy);
    expect(local.requests()[0]?.body).toMatchObject({stream_options: {include_usage: true}});
    expect(events.at(-1)).toBe('[DONE]');
    expect(events.filter((event) => event.includes('"choices":[]'))).toEqual([]);
    await until(() => proxy.requests().length === 1, 'the log line');
    expect(proxy.requests()[0]).toMatchObject({completionTokens: 5, usageEstimated: false});
  });

  it('is passed on to a caller who asked', async () => {
    const {proxy, local} = await start();
    const events = await stream(proxy, {stream_options: {include_usage: true}});
    expect(JSON.parse(events.at(-2) ?? '')).toMatchObject({choices: [], usage: {completion_tokens: 5}});
    expect(local.requests()).toHaveLength(1);
  });

  it('is asked for beside what else the caller’s stream_options say', async () => {
    const {proxy, local} = await start();
    await stream(proxy, {stream_options: {include_usage: false, include_obfuscation: false}});
    expect(local.requests()[0]?.body).toMatchObject({
      stream_options: {include_usage: true, include_obfuscation: false},
    });
  });

  it('is not asked for in a plain request', async () => {
    const {proxy, local} = await start();
    await post(proxy.url, chatBody());
    expect(asked(local)).toEqual([false]);
  });
});

describe('a backend that refuses stream_options', () => {
  it.each([400, 422])('with %i is asked once more without, as one attempt, and that is remembered', async (status) => {
    const {proxy, local, setup} = await start(refusing(status));
    const response = await post(proxy.url, chatBody({stream: true}));
    expect(response.headers.get('x-modelroute-backend')).toBe('local');
    expect(response.headers.get('x-modelroute-attempts')).toBe('1');
    expect((await readEvents(response)).at(-1)).toBe('[DONE]');
    expect(asked(local)).toEqual([true, false]);

    await stream(proxy);
    expect(asked(local)).toEqual([true, false, false]);
    await until(() => proxy.requests().length === 2, 'the log lines');
    expect(proxy.requests()[1]).toMatchObject({usageEstimated: true});

    proxy.update(setup);
    await stream(proxy);
    expect(asked(local)).toEqual([true, false, false, false]);
  });

  it('is remembered at its first content, before its stream has ended', async () => {
    const {proxy, local} = await start((request) =>
      hasOptions(request) ? {do: 'status', status: 400} : {do: 'hang', where: 'AfterTokens'},
    );
    const first = await post(proxy.url, chatBody({stream: true}));
    expect(first.status).toBe(200);
    await post(proxy.url, chatBody({stream: true}));
    expect(asked(local)).toEqual([true, false, false]);
  });

  it('is not remembered if the second reply is a refusal as well', async () => {
    const {proxy, local} = await start({do: 'status', status: 400});
    for (let request = 0; request < 2; request += 1)
      expect((await post(proxy.url, chatBody({stream: true}))).status).toBe(400);
    expect(asked(local)).toEqual([true, false, true, false]);
  });

  it('is not remembered if the second reply is a failure', async () => {
    const {proxy, local} = await start((request) => ({do: 'status', status: hasOptions(request) ? 400 : 401}));
    for (let request = 0; request < 2; request += 1) {
      const response = await post(proxy.url, chatBody({stream: true}));
      expect(response.headers.get('x-modelroute-backend')).toBe('cloud');
    }
    expect(asked(local)).toEqual([true, false, true, false]);
  });

  it('is not blamed for what the caller asked himself', async () => {
    const {proxy, local, cloud} = await start(refusing(400));
    const response = await post(proxy.url, chatBody({stream: true, stream_options: {include_usage: true}}));
    expect(response.status).toBe(400);
    expect([asked(local), asked(cloud)]).toEqual([[true], []]);
  });
});
