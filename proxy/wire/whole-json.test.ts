import {describe, expect, it} from '@jest/globals';
import type {AnswerReading} from './api.ts';
import {chat} from './chat.ts';
import {completions} from './completions.ts';
import {countTokens} from './count-tokens.ts';
import {embeddings} from './embeddings.ts';
import {JsonSyntaxError} from './json-scan.ts';
import {messages} from './messages.ts';
import {rerank} from './rerank.ts';
import {responses} from './responses.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('a whole answer', () => {
  const usage = {prompt_tokens: 3, completion_tokens: 4};
  const read = (body: unknown, api = chat): AnswerReading => api.readAnswer(encode(JSON.stringify(body)));

  it.each<[string, AnswerReading, AnswerReading]>([
    ['its usage', read({choices: [], usage}), {usage: {promptTokens: 3, completionTokens: 4, estimated: false}}],
    [
      'its usage, of embeddings',
      read({data: [], usage: {prompt_tokens: 3, total_tokens: 3}}, embeddings),
      {usage: {promptTokens: 3, completionTokens: 0, estimated: false}},
    ],
    [
      'no problem where error is null',
      read({choices: [], error: null, usage}),
      {usage: {promptTokens: 3, completionTokens: 4, estimated: false}},
    ],
    ['that a list is missing', read({message: 'hi'}), {problem: 'the answer has no list "choices"'}],
    ['that the list is none', read({choices: {}}), {problem: 'the answer has no list "choices"'}],
    ['that the list has another name', read({choices: []}, embeddings), {problem: 'the answer has no list "data"'}],
    [
      'the length of a message',
      read({choices: [{message: {content: 'Hello', reasoning_content: 'Hm'}}]}),
      {contentLength: 7},
    ],
    ['the length of all choices', read({choices: [{text: 'ab'}, {text: 'cd'}]}, completions), {contentLength: 4}],
    [
      'its usage, of a response',
      read({output: [], usage: {input_tokens: 3, output_tokens: 4, total_tokens: 7}}, responses),
      {usage: {promptTokens: 3, completionTokens: 4, estimated: false}},
    ],
    [
      'the length of a response: text, refusals, calls of tools',
      read(
        {
          output: [
            {type: 'reasoning', summary: []},
            {
              type: 'message',
              content: [
                {type: 'output_text', text: 'ab'},
                {type: 'refusal', refusal: 'cd'},
              ],
            },
            {type: 'function_call', arguments: 'ef'},
            {type: 'custom_tool_call', input: 'gh'},
          ],
        },
        responses,
      ),
      {contentLength: 8},
    ],
    [
      'the length of a message of blocks',
      read(
        {
          content: [
            {type: 'thinking', thinking: 'ab', signature: 'xxxx'},
            {type: 'text', text: 'cd'},
            {type: 'tool_use', input: {a: 1}},
          ],
        },
        messages,
      ),
      {contentLength: 11},
    ],
    ['a list under either of its names', read({results: []}, rerank), {contentLength: 0}],
    ['a list under the other', read({data: []}, rerank), {contentLength: 0}],
    ['that both are missing', read({}, rerank), {problem: 'the answer has no list "results" or "data"'}],
    ['a number', read({input_tokens: 0}, countTokens), {}],
    ['that a number is missing', read({}, countTokens), {problem: 'the answer has no "input_tokens"'}],
    ['no error where a response says null', read({output: [], error: null}, responses), {contentLength: 0}],
    ['no length of vectors', read({data: [{embedding: [1, 2, 3]}]}, embeddings), {contentLength: 0}],
    [
      'the length of tool calls',
      read({choices: [{message: {content: null, tool_calls: [{function: {name: 'f', arguments: '{}'}}]}}]}),
      {contentLength: 3},
    ],
  ])('tells %s', (_, reading, expected) => {
    expect(reading).toEqual(expected);
  });

  it('may be an error', () => {
    expect(read({error: {message: 'No.', code: 503}}).error).toMatchObject({message: 'No.', status: 503});
  });

  it.each(['', '{', '{"choices":[', '<html>', '[]', '{"choices":[]}}'])('is refused when it is %j', (body) => {
    expect(() => chat.readAnswer(encode(body))).toThrow(JsonSyntaxError);
  });
});
