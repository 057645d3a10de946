/** The simulator's rerank, score and tokenize, which are vLLM's, Jina's and SGLang's. */
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals';
import {startSimulator, type Simulator} from '../../simulator/index.ts';

let simulator: Simulator;
beforeAll(async () => {
  simulator = await startSimulator({models: ['rank'], contextWindow: 1000});
});
afterAll(() => simulator.close());

type Result = {index: number; relevance_score: number; document?: {text: string}};
type Json = {
  results: Result[];
  data: {index: number; score: number}[];
  usage: object;
  error: {code: string | null; param: string};
};

const ask = async (path: string, body: object): Promise<{status: number; json: Json}> => {
  const response = await fetch(`${simulator.origin}${path}`, {method: 'POST', body: JSON.stringify(body)});
  return {status: response.status, json: (await response.json()) as Json};
};

const documents = ['dogs', 'a black cat', {text: 'cat'}];

describe('rerank', () => {
  it('sorts by relevance', async () => {
    const {json} = await ask('/v1/rerank', {model: 'rank', query: 'a cat', documents});
    expect(json.results.map(({index}) => index)).toEqual([1, 2, 0]);
    const scores = json.results.map(({relevance_score}) => relevance_score);
    expect(scores).toEqual([...scores].sort((one, other) => other - one));
    expect(scores.every((score) => score >= 0 && score <= 1)).toBe(true);
    expect(json.results[0]).not.toHaveProperty('document');
    expect(json).toMatchObject({model: 'rank', usage: {prompt_tokens: 9, total_tokens: 9}});
  });

  it('returns the first ones, with their documents', async () => {
    const body = {model: 'rank', query: 'a cat', documents, top_n: 2, return_documents: true};
    const {json} = await ask('/v1/rerank', body);
    expect(json.results.map(({document}) => document)).toEqual([{text: 'a black cat'}, {text: 'cat'}]);
  });

  it('takes 10,000 documents', async () => {
    const many = Array.from({length: 10_000}, (_, index) => `document ${index}`);
    const {json} = await ask('/v1/rerank', {model: 'rank', query: 'document 77', documents: many});
    expect([json.results.length, json.results[0]?.index]).toEqual([10_000, 77]);
  });

  it.each([
    ['an unknown model', {model: 'x', query: 'a', documents}, '404 model'],
    ['no documents', {model: 'rank', query: 'a', documents: []}, '400 documents'],
    ['too long a document', {model: 'rank', query: 'a', documents: ['x'.repeat(4004)]}, '400 documents'],
  ])('refuses %s', async (_, body, expected) => {
    const {status, json} = await ask('/v1/rerank', body);
    expect(`${status} ${json.error.param}`).toBe(expected);
  });
});

describe('score', () => {
  it.each([
    ['one with many', {text_1: 'a cat', text_2: ['a cat', 'dogs']}],
    ['pairs', {queries: ['a cat', 'a cat'], documents: ['a cat', 'dogs']}],
  ])('compares %s', async (_, body) => {
    const {json} = await ask('/v1/score', {model: 'rank', ...body});
    expect(json.data).toMatchObject([
      {index: 0, object: 'score'},
      {index: 1, object: 'score'},
    ]);
    expect(json.data[0]!.score).toBeGreaterThan(json.data[1]!.score);
    expect(json.usage).toMatchObject({prompt_tokens: 6});
  });

  it.each([{text_1: 'a'}, {text_1: ['a', 'b'], text_2: ['c', 'd', 'e']}])('refuses %j', async (body) => {
    expect((await ask('/v1/score', {model: 'rank', ...body})).status).toBe(400);
  });
});

describe('tokenize', () => {
  it.each(['/tokenize', '/v1/tokenize'])('counts and numbers tokens: %s', async (path) => {
    const {json} = await ask(path, {model: 'rank', prompt: 'a cat, a', return_token_strs: true});
    expect(json).toEqual({
      count: 4,
      max_model_len: 1000,
      tokens: Array.from({length: 4}, () => expect.any(Number)),
      token_strs: ['a', ' cat', ',', ' a'],
    });
  });

  it('takes messages, and not both', async () => {
    const messages = [{role: 'user', content: 'a cat'}];
    expect((await ask('/tokenize', {messages})).json).toMatchObject({count: 2, token_strs: null});
    expect((await ask('/tokenize', {messages, prompt: 'a'})).status).toBe(400);
    expect((await ask('/tokenize', {model: 'x', prompt: 'a'})).status).toBe(404);
  });
});
