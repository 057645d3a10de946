import {afterEach, describe, expect, it} from '@jest/globals';
import type {BehaviourInput} from '../../simulator/index.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, readEvents} from './harness.ts';
import {liveView, startLadder} from './ladder.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const shapes = [
  ['plain', {}],
  ['streamed', {stream: true}],
] as const;

describe.each(shapes)('a %s request', (_, fields) => {
  it('is answered from the next rung when the first one fails, which says so', async () => {
    const {proxy} = await startLadder(keep, [{name: 'local', behaves: {do: 'status', status: 503}}, {name: 'cloud'}]);
    const response = await post(proxy.url, chatBody(fields));
    expect(response.status).toBe(200);
    expect(response.headers.get('x-modelroute-route')).toBe('team-a/chat');
    expect(response.headers.get('x-modelroute-backend')).toBe('cloud');
    expect(response.headers.get('x-modelroute-attempts')).toBe('3');
    const text = await response.text();
    expect(text).toContain(' cloud');
    expect(text).not.toContain(' local');
    await until(() => proxy.requests().length === 1, 'the log line');
    expect(proxy.requests()[0]).toMatchObject({status: 200, backend: 'cloud', attempts: 3});
    expect(proxy.requests()[0]?.['failures']).toHaveLength(2);
  });

  it('goes down as many rungs as it takes', async () => {
    const broken: BehaviourInput = {do: 'status', status: 401};
    const names = ['a', 'b', 'c', 'd', 'e'];
    const {proxy} = await startLadder(
      keep,
      names.map((name) => (name === 'e' ? {name} : {name, behaves: broken})),
    );
    const response = await post(proxy.url, chatBody(fields));
    expect(response.headers.get('x-modelroute-backend')).toBe('e');
    expect(response.headers.get('x-modelroute-attempts')).toBe('5');
  });

  it('goes back to the first rung once that has recovered', async () => {
    const {proxy, upstreams} = await startLadder(keep, [{name: 'local', behaves: {do: 'reset'}}, {name: 'cloud'}], {
      spec: {circuitBreaker: {consecutiveFailures: 1, openDuration: '1s', maxOpenDuration: '1s'}},
    });
    const backendOf = async (): Promise<string | null> => {
      const response = await post(proxy.url, chatBody(fields));
      await response.text();
      return response.headers.get('x-modelroute-backend');
    };
    expect(await backendOf()).toBe('cloud');
    expect((await liveView(proxy, 'local')).breaker).toBe('Open');
    upstreams[0]?.behave({do: 'answer'});
    await until(async () => (await backendOf()) === 'local', 'the first rung answers again');
    expect((await liveView(proxy, 'local')).breaker).toBe('Closed');
  });
});

describe('what a stream sends before its first content', () => {
  it.each<[what: string, behaviour: BehaviourInput]>([
    ['a role and then a cut', {do: 'cut', afterTokens: 0}],
    ['a role and then a graceful end', {do: 'cut', afterTokens: 0, graceful: true}],
    ['a role and then an error', {do: 'errorEvent', afterTokens: 0}],
    ['a role and then a reset', {do: 'reset', where: 'AfterTokens', tokens: 0}],
    ['nothing but [DONE]', {do: 'raw', chunks: [{text: 'data: [DONE]\n\n'}]}],
    ['nothing at all', {do: 'raw', chunks: []}],
  ])('is never seen when it fails over: %s', async (_, behaves) => {
    const {proxy} = await startLadder(keep, [{name: 'local', behaves}, {name: 'cloud'}], {random: () => 0});
    const response = await post(proxy.url, chatBody({stream: true}));
    expect(response.headers.get('x-modelroute-backend')).toBe('cloud');
    const events = await readEvents(response);
    expect(events.filter((event) => event.includes('"role":"assistant"'))).toHaveLength(1);
    expect(events.filter((event) => event === '[DONE]')).toHaveLength(1);
    expect(events.at(-1)).toBe('[DONE]');
  });
});
