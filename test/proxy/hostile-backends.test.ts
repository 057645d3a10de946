/** Answers with names that every JavaScript object has something under. */
import {afterEach, describe, expect, it} from '@jest/globals';
import type {BehaviourInput} from '../../simulator/index.ts';
import {chatBody, keeper, post} from './harness.ts';
import {liveView, startLadder, type Ladder} from './ladder.ts';
import {messages, rawEvents, responses, typedEvent, wholeStream} from './typed-streams.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

const names = ['constructor', '__proto__', 'toString', 'hasOwnProperty'];

const behind = (behaves: BehaviourInput, api: 'OpenAI' | 'Anthropic' = 'OpenAI'): Promise<Ladder> =>
  startLadder(keep, [{name: 'local', behaves, backend: {api}}], {spec: {retry: {maxAttempts: 1}}});

describe.each(names)('a backend that says %s', (name) => {
  it.each([responses, messages])('as the type of an event of $name is passed on', async (dialect) => {
    const {path, opening, body} = dialect;
    const all = opening + typedEvent(name) + wholeStream(dialect, 'One').slice(opening.length);
    const {proxy} = await behind(rawEvents([all]), dialect.api);
    const response = await post(proxy.url, body(), {path});
    expect([response.status, await response.text()]).toEqual([200, all]);
  });

  it.each([responses, messages])(
    'as the code and type of an error inside $name has failed',
    async ({path, body, api}) => {
      const error = `{"message": "no", "code": "${name}", "type": "${name}"}`;
      const {proxy} = await behind(rawEvents([`event: error\ndata: {"type": "error", "error": ${error}}\n\n`]), api);
      const response = await post(proxy.url, body(), {path});
      expect(response.status).toBe(502);
      expect(await response.json()).toMatchObject({error: {code: 'backend_error'}});
      expect((await liveView(proxy, 'local')).lastError).not.toBeNull();
    },
  );

  it('as the code of a refusal is quoted as it is', async () => {
    const body = {type: 'error', error: {type: name, code: name, message: 'no'}};
    const {proxy} = await behind({do: 'status', status: 400, body}, 'Anthropic');
    const response = await post(proxy.url, messages.body(), {path: messages.path});
    expect([response.status, await response.json()]).toEqual([400, body]);
  });

  it('as the coding of a refusal has refused', async () => {
    const {proxy} = await behind({do: 'status', status: 400, body: 'no', headers: {'content-encoding': name}});
    const response = await post(proxy.url, chatBody());
    expect(response.status).toBe(400);
    expect((await liveView(proxy, 'local')).lastError).toBeNull();
    expect(proxy.log.filter(({level}) => level === 'error')).toEqual([]);
  });
});
