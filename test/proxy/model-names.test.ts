import {afterAll, beforeAll, describe, expect, it} from '@jest/globals';
import type {Simulator} from '../../simulator/index.ts';
import {chatBody, post, startHarness, startUpstream, type Harness} from './harness.ts';

type ErrorReply = {error: {code: string; message: string; param: string | null}};

describe('the model that a caller names', () => {
  let upstream: Simulator;
  let proxy: Harness;

  beforeAll(async () => {
    upstream = await startUpstream();
    upstream.behave({do: 'answer', text: 'yes'});
    const backends = [{name: 'a', url: upstream.url, model: 'chat'}];
    proxy = await startHarness({
      routes: {
        all: {modelNames: ['*'], backends},
        prefix: {modelNames: ['gpt-*'], backends},
        longer: {modelNames: ['gpt-4*'], backends},
        suffix: {modelNames: ['*-mini'], backends},
        exact: {modelNames: ['gpt-4.1', 'org/model:7b'], backends},
      },
    });
  });
  afterAll(async () => {
    await proxy.close();
    await upstream.close();
  });

  it.each([
    ['an exact name before patterns that fit too', 'gpt-4.1', 'exact'],
    ['an exact name with a slash and a colon', 'org/model:7b', 'exact'],
    ['the longer pattern', 'gpt-4o', 'longer'],
    ['the shorter pattern where the longer does not fit', 'gpt-3.5', 'prefix'],
    ['the longer of a prefix and a suffix', 'gpt-x-mini', 'suffix'],
    ['a suffix', 'llama-mini', 'suffix'],
    ['the star where nothing else fits', 'GPT-4.1', 'all'],
    ['the star for a name of strange letters', 'naïve "model" \\ 🙂', 'all'],
  ])('leads by %s', async (_, model, route) => {
    const response = await post(proxy.url, chatBody({model}));
    expect(response.status).toBe(200);
    expect(response.headers.get('x-modelroute-route')).toBe(`team-a/${route}`);
    expect(await response.json()).toMatchObject({choices: [{message: {content: 'yes'}}]});
  });

  it('is written anew for a backend that knows it by another name, with not a byte changed around it', async () => {
    const body =
      '{ "a":1.0, "model" : "gpt-4o" ,"messages":[{"role":"user","content":"\\u0048i, \\"model\\""}],"z":12345678901234567890}';
    const response = await post(proxy.url, body);
    expect(response.status).toBe(200);
    expect(upstream.requests().at(-1)?.text).toBe(body.replace('"gpt-4o"', '"chat"'));
  });
});

describe('a model that no route serves', () => {
  it('is answered with 404 and the names that are near, and asks no backend', async () => {
    const upstream = await startUpstream();
    const proxy = await startHarness({
      routes: {one: {modelNames: ['llama-3', 'qwen-*'], backends: [{name: 'a', url: upstream.url}]}},
    });
    try {
      const response = await post(proxy.url, chatBody({model: 'lama-3'}));
      expect(response.status).toBe(404);
      const {error} = (await response.json()) as ErrorReply;
      expect(error).toMatchObject({code: 'model_not_found', param: 'model'});
      expect(error.message).toContain('"llama-3"');
      expect(upstream.requests()).toEqual([]);
    } finally {
      await proxy.close();
      await upstream.close();
    }
  });

  it('is one under a pattern that no longer stands in the config, and one again when it does', async () => {
    const upstream = await startUpstream();
    const backends = [{name: 'a', url: upstream.url, model: 'chat'}];
    const proxy = await startHarness({routes: {one: {modelNames: ['a-*'], backends}}});
    try {
      expect((await post(proxy.url, chatBody({model: 'a-1'}))).status).toBe(200);
      proxy.update({routes: {one: {modelNames: ['b-*'], backends}}});
      expect((await post(proxy.url, chatBody({model: 'a-1'}))).status).toBe(404);
      expect((await post(proxy.url, chatBody({model: 'b-1'}))).status).toBe(200);
    } finally {
      await proxy.close();
      await upstream.close();
    }
  });
});
