import {afterAll, beforeAll, describe, expect, it} from '@jest/globals';
import {until} from '../until.ts';
import {keeper, startHarness, type Harness} from './harness.ts';

const {keep, closeAll} = keeper();
let proxy: Harness;

beforeAll(async () => {
  const backends = [{name: 'a', url: 'http://127.0.0.1:9/v1'}]; // never asked
  proxy = await keep(
    startHarness({
      routes: {
        chat: {backends},
        open: {modelNames: ['meta-llama/Llama-3.1-8B', 'qwen/*', 'sp ace'], backends},
      },
    }),
  );
});
afterAll(closeAll);

const get = (path: string, init: RequestInit = {}): Promise<Response> => fetch(`${proxy.url}/v1/models${path}`, init);
const model = (id: string): object => ({id, object: 'model', created: 0, owned_by: 'team-a'});

describe('GET /v1/models', () => {
  it('lists the exact names of all routes, and no patterns', async () => {
    const response = await get('');
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(await response.json()).toEqual({
      object: 'list',
      data: ['chat', 'meta-llama/Llama-3.1-8B', 'sp ace'].map(model),
    });
  });

  it('says how long it is, also to HEAD', async () => {
    const body = await (await get('')).text();
    const head = await get('', {method: 'HEAD'});
    expect(head.status).toBe(200);
    expect(head.headers.get('content-length')).toBe(String(body.length));
    expect(await head.text()).toBe('');
  });

  it('is whole whatever the caller says that he has', async () => {
    for (const headers of [{'if-none-match': '*'}, {'if-modified-since': new Date().toUTCString()}])
      expect((await get('', {headers})).status).toBe(200);
  });

  it('shows a changed config at once', async () => {
    const own = await startHarness({routes: {backends: [{name: 'a', url: 'http://127.0.0.1:9/v1'}]}});
    try {
      own.update({routes: {next: {backends: [{name: 'a', url: 'http://127.0.0.1:9/v1'}]}}});
      expect(await (await fetch(`${own.url}/v1/models`)).json()).toMatchObject({data: [{id: 'next'}]});
    } finally {
      await own.close();
    }
  });
});

describe('GET /v1/models/{id}', () => {
  it.each([
    ['a name', '/chat', 'chat'],
    ['a name with a slash', '/meta-llama/Llama-3.1-8B', 'meta-llama/Llama-3.1-8B'],
    ['a name with an encoded slash', '/meta-llama%2FLlama-3.1-8B', 'meta-llama/Llama-3.1-8B'],
    ['a name with a space', '/sp%20ace', 'sp ace'],
    ['a name under a pattern', '/qwen/qwen3-32b', 'qwen/qwen3-32b'],
  ])('knows %s', async (_, path, id) => {
    const response = await get(path);
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual(model(id));
  });

  it('does not know others, and says which are near', async () => {
    const response = await get('/chatt');
    expect(response.status).toBe(404);
    expect(await response.json()).toEqual({
      error: {
        message: 'No route serves the model "chatt". Did you mean "chat"?',
        type: 'invalid_request_error',
        param: 'model',
        code: 'model_not_found',
      },
    });
    await until(() => proxy.requests().some(({error}) => error === 'model_not_found'), 'its log line');
  });

  it('is not fooled by names of JavaScript', async () => {
    for (const name of ['__proto__', 'constructor', 'toString']) expect((await get(`/${name}`)).status).toBe(404);
  });
});
