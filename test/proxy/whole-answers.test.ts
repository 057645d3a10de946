import {request as httpRequest} from 'node:http';
import {afterEach, describe, expect, it} from '@jest/globals';
import type {BehaviourInput, Simulator} from '../../simulator/index.ts';
import {until} from '../until.ts';
import {chatBody, keeper, post, startHarness, startUpstream, type Harness, type Setup} from './harness.ts';

const {keep, closeAll} = keeper();
afterEach(closeAll);

type Started = {local: Simulator; cloud: Simulator; proxy: Harness};

async function setUp(setup: Partial<Setup> = {}): Promise<Started> {
  const local = await keep(startUpstream({name: 'local'}));
  const cloud = await keep(startUpstream({name: 'cloud'}));
  const backends = [
    {name: 'local', url: local.url},
    {name: 'cloud', url: cloud.url, priority: 1},
  ];
  const proxy = await keep(startHarness({routes: {backends, retry: {maxAttempts: 1}}, ...setup}));
  return {local, cloud, proxy};
}

const json = {'content-type': 'application/json'};
const rawJson = (body: string, headers: Record<string, string> = json): BehaviourInput => ({
  do: 'raw',
  headers,
  chunks: [{text: body}],
});

const breaks: Record<string, BehaviourInput> = {
  'is truncated, though HTTP finds it whole': {do: 'truncated'},
  'is cut': {do: 'cut'},
  'is reset halfway': {do: 'reset', where: 'AfterTokens'},
  'is shorter than its content-length': {do: 'wrongContentLength'},
  'is longer than its content-length': rawJson('{"choices":[]}', {...json, 'content-length': '3'}),
  'says JSON and is a page': {do: 'notJson'},
  'is a page': rawJson('<html></html>', {'content-type': 'text/html'}),
  'is empty': rawJson(''),
  'is a JSON list': rawJson('[]'),
  'has no choices': rawJson('{"object":"chat.completion"}'),
  'has malformed usage': rawJson('{"choices":[],"usage":{"prompt_tokens":}}'),
  'is an error in a 200': rawJson('{"error":{"message":"local has no GPU","type":"server_error"}}'),
  'is an event stream': rawJson('data: {"choices":[]}\n\n', {'content-type': 'text/event-stream'}),
  'is compressed': rawJson('{"choices":[]}', {...json, 'content-encoding': 'br'}),
  'is a redirect': {do: 'status', status: 302, headers: {location: 'http://10.0.0.7/'}},
};

describe('a whole answer that is broken', () => {
  it.each(Object.entries(breaks))('is asked for elsewhere when it %s', async (_, behaviour) => {
    const {local, proxy} = await setUp();
    local.behave(behaviour);
    const response = await post(proxy.url, chatBody());
    expect(response.headers.get('x-modelroute-backend')).toBe('cloud');
    expect(response.headers.get('x-modelroute-attempts')).toBe('2');
    expect(await response.text()).toContain('Hello from cloud');
  });

  it.each(Object.entries(breaks))('is one clean error when nobody else is there and it %s', async (_, behaviour) => {
    const {local, cloud, proxy} = await setUp();
    local.behave(behaviour);
    cloud.behave(behaviour);
    const response = await post(proxy.url, chatBody());
    const body = await response.text();
    expect(response.status).toBe(502);
    expect(JSON.parse(body)).toEqual({
      error: {
        message: expect.stringContaining('local'),
        type: 'api_error',
        param: null,
        code: expect.stringMatching(/^backend_/),
      },
    });
    expect(body).not.toMatch(/127\.0\.0\.1|10\.0\.0\.7|GPU|<html/);
  });
});

describe('a whole answer', () => {
  it('passes as its backend made it, to the last byte and header', async () => {
    const {local, proxy} = await setUp();
    const body =
      ' {"choices" : [ {"message":{"content":"h\\u00e9llo \\ud83d\\ude00 é"}} ] ,"model":"qwen", "extra":{"a":1} }\n';
    local.behave(rawJson(body, {...json, 'x-extra': 'kept'}));
    const response = await post(proxy.url, chatBody());
    expect(Buffer.from(await response.arrayBuffer()).equals(Buffer.from(body))).toBe(true);
    expect(response.headers.get('x-extra')).toBe('kept');
    expect(response.headers.get('content-length')).toBe(String(Buffer.byteLength(body)));
  });

  it('may be huge', async () => {
    const {local, proxy} = await setUp();
    local.behave({do: 'hugeEvent', bytes: 20_000_000});
    const answer = (await post(proxy.url, chatBody()).then((response) => response.json())) as {
      choices: {message: {content: string}}[];
    };
    expect(answer.choices[0]!.message.content.length).toBe(20_000_000);
  });
});

describe('the memory that all answers share', () => {
  const limits = {maxBodyBytes: '1Mi', maxBufferedBytes: '12Mi'};

  it('refuses an answer that does not fit, blames no backend and asks no other', async () => {
    const {local, cloud, proxy} = await setUp({gateway: {limits}});
    local.behave({do: 'hugeEvent', bytes: 20_000_000});
    const response = await post(proxy.url, chatBody());
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({error: {code: 'overloaded', type: 'overloaded_error'}});
    expect(cloud.requests()).toEqual([]);
    expect(await fetch(`${proxy.admin}/backends`).then((answer) => answer.text())).toContain('"lastError": null');
    await until(() => local.activeRequests() === 0, 'the backend’s answer to be let go');
  });

  it('is given back by every request, whatever became of it', async () => {
    const {local, proxy} = await setUp({gateway: {limits}});
    for (const behaviour of [...Object.values(breaks), {do: 'hugeEvent', bytes: 20_000_000} as const]) {
      local.behave(behaviour);
      await post(proxy.url, chatBody()).then((response) => response.text());
      await post(proxy.url, chatBody({stream: true})).then((response) => response.text());
    }
    const buffered = async (): Promise<string | undefined> => {
      const metrics = await fetch(`${proxy.admin}/metrics`).then((answer) => answer.text());
      return /^modelroute_buffered\S* (\d+)/m.exec(metrics)?.[1];
    };
    await until(async () => (await buffered()) === '0', 'no byte to be held');
  });

  it('stays taken until a slow caller has read his answer', async () => {
    const {local, proxy} = await setUp({gateway: {limits}});
    local.behave({do: 'hugeEvent', bytes: 9_000_000});
    const slow = httpRequest(`${proxy.url}/v1/chat/completions`, {method: 'POST', headers: json});
    const answered = new Promise<NodeJS.ReadableStream>((resolve) => slow.on('response', resolve));
    slow.end(chatBody());
    const unread = await answered;

    expect((await post(proxy.url, chatBody())).status).toBe(503);
    unread.resume();
    await new Promise((resolve) => unread.on('end', resolve));
    await until(() => proxy.requests().length === 2, 'the slow caller’s request to end');
    expect((await post(proxy.url, chatBody())).status).toBe(200);
  });
});
