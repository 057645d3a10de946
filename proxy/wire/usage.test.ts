import {describe, expect, it} from '@jest/globals';
import {readUsage} from './usage.ts';

describe('the usage that a backend reports', () => {
  it.each([
    ['of chat', {prompt_tokens: 3, completion_tokens: 4, total_tokens: 7}, [3, 4]],
    ['of embeddings, which complete nothing', {prompt_tokens: 3, total_tokens: 3}, [3, 0]],
    ['that is a total only', {total_tokens: 5}, [5, 0]],
    ['that is a total and what was completed', {completion_tokens: 4, total_tokens: 7}, [3, 4]],
    ['that does not add up', {completion_tokens: 9, total_tokens: 7}, [0, 9]],
    ['of a response', {input_tokens: 3, output_tokens: 4, total_tokens: 7}, [3, 4]],
    [
      'of a response, whose cached tokens are among the others',
      {input_tokens: 3, input_tokens_details: {cached_tokens: 2}, output_tokens: 4},
      [3, 4],
    ],
    [
      'of a message, whose cached tokens are beside the others',
      {input_tokens: 3, cache_read_input_tokens: 100, cache_creation_input_tokens: 20, output_tokens: 4},
      [123, 4],
    ],
    ['of a message that has no cache', {input_tokens: 3, cache_read_input_tokens: null, output_tokens: 4}, [3, 4]],
    ['of the end of a message', {output_tokens: 4}, [0, 4]],
    ['of nothing', {prompt_tokens: 0, completion_tokens: 0}, [0, 0]],
    ['that is known in part', {prompt_tokens: 3, completion_tokens: null}, [3, 0]],
  ])('is read %s', (_, usage, [promptTokens, completionTokens]) => {
    expect(readUsage(usage)).toEqual({promptTokens, completionTokens, estimated: false});
  });

  it.each([
    ['empty', {}],
    ['null', null],
    ['missing', undefined],
    ['text', 'many'],
    ['a list', [1, 2]],
    ['without numbers', {prompt_tokens: null}],
    ['with negative numbers', {prompt_tokens: -1, completion_tokens: -1}],
    ['with numbers in text', {prompt_tokens: '3', completion_tokens: '4'}],
    ['with numbers that are none', {prompt_tokens: NaN, completion_tokens: Infinity}],
    ['about other things', {input_tokens_details: {cached_tokens: 2}}],
  ])('is none where it is %s', (_, usage) => {
    expect(readUsage(usage)).toBeUndefined();
  });
});
