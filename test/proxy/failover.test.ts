import {afterEach, describe, expect, it} from '@jest/globals';
import {chatBody, post, readEvents, startHarness, startUpstream} from './harness.ts';

const opened: {close(): Promise<void>}[] = [];
const keep = async <T extends {close(): Promise<void>}>(starting: Promise<T>): Promise<T> => {
  const started = await starting;
  opened.unshift(started);
  return started;
};
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

describe('failover', () => {
  it('answers from the next rung when the first one fails, and says so', async () => {
    const local = await keep(startUpstream({name: 'local'}));
    const cloud = await keep(startUpstream({name: 'cloud'}));
    const proxy = await keep(
      startHarness({
        routes: {
          backends: [
            {name: 'local', url: local.url},
            {name: 'cloud', url: cloud.url, priority: 1},
          ],
        },
      }),
    );
    local.behave({do: 'status', status: 503});

    const response = await post(proxy.url, chatBody());
    expect(response.status).toBe(200);
    expect(response.headers.get('x-modelroute-backend')).toBe('cloud');
    expect(await response.text()).toContain('Hello from cloud');

    const stream = await post(proxy.url, chatBody({stream: true}));
    expect((await readEvents(stream)).at(-1)).toBe('[DONE]');
  });
});
