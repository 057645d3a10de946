import {afterEach, describe, expect, it} from '@jest/globals';
import type {BehaviourInput} from '../../simulator/index.ts';
import {until} from '../until.ts';
import {keeper, post, type Harness} from './harness.ts';
import {lastError, startLadder, type Ladder} from './ladder.ts';
import {rawEvents, typedEvent, typedEventsIn} from './typed-streams.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const start = (behaves: BehaviourInput): Promise<Ladder> =>
  startLadder(keep, [{name: 'local', behaves}, {name: 'cloud'}], {spec: {retry: {maxAttempts: 1}}});

const ask = (proxy: Harness, fields: object = {}): Promise<Response> =>
  post(proxy.url, JSON.stringify({model: 'chat', prompt: 'a fox', stream: true, partial_images: 2, ...fields}), {
    path: '/v1/images/generations',
  });

const partial = typedEvent('image_generation.partial_image', {b64_json: 'iVBO', partial_image_index: 0});
const usage = {input_tokens: 3, output_tokens: 60, total_tokens: 63};
const completed = typedEvent('image_generation.completed', {b64_json: 'iVBORw0K', usage});

describe('a streamed picture', () => {
  it('passes with its previews, and is counted', async () => {
    const {proxy} = await start(rawEvents([partial, partial, completed]));
    const response = await ask(proxy);
    expect(response.headers.get('x-modelroute-backend')).toBe('local');
    expect(await response.text()).toBe(partial + partial + completed);
    await until(() => proxy.requests().length === 1, 'the log line');
    expect(proxy.requests()[0]).toMatchObject({
      api: 'image_generation',
      streamed: true,
      promptTokens: 3,
      completionTokens: 60,
      usageEstimated: false,
    });
  });

  it('comes whole from the simulator too, as many as were asked for', async () => {
    const {proxy} = await start({do: 'answer'});
    const names = typedEventsIn(await (await ask(proxy, {n: 2})).text()).map(({name}) => name);
    expect(names.filter((name) => name === 'image_generation.completed')).toHaveLength(2);
  });

  it.each<[string, BehaviourInput]>([
    ['is cut', rawEvents([], 'Cut')],
    ['ends with nothing', rawEvents([])],
    ['sends an error event', rawEvents([`event: error\ndata: {"type": "error", "error": {"message": "no GPU"}}\n\n`])],
    ['answers 500', {do: 'status', status: 500}],
  ])('is asked of the next backend unseen when the first %s before a preview', async (_, behaves) => {
    const {proxy} = await start(behaves);
    const response = await ask(proxy);
    expect(response.headers.get('x-modelroute-backend')).toBe('cloud');
    expect(typedEventsIn(await response.text()).at(-1)?.name).toBe('image_generation.completed');
  });

  it.each<[string, BehaviourInput, object]>([
    ['is cut after a preview', rawEvents([partial], 'Cut'), {}],
    ['ends after a preview', rawEvents([partial]), {}],
    ['brings one of two', rawEvents([partial, completed]), {n: 2}],
  ])('ends in an error when it %s', async (_, behaves, fields) => {
    const {proxy, upstreams} = await start(behaves);
    const text = await (await ask(proxy, fields)).text();
    expect(text.startsWith(partial)).toBe(true);
    const events = text.split('\n\n').flatMap((each) => (each.startsWith('data: ') ? [each.slice(6)] : []));
    expect(lastError(events)).toMatchObject({code: 'stream_cut', backend: 'local', attempts: 1});
    expect(upstreams[1]?.requests()).toEqual([]);
  });
});
