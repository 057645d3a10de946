import {describe, expect, it} from '@jest/globals';
import {behaviourNames, parseBehaviour, parseInstruction} from './behaviour.ts';

describe('a behaviour', () => {
  it.each([
    [{do: 'hang'}, {do: 'hang', where: 'BeforeHeaders', tokens: 1}],
    [
      {do: 'cut', afterBytes: 3},
      {do: 'cut', afterBytes: 3, graceful: false},
    ],
    [
      {do: 'pings', answerTokens: 4},
      {do: 'pings', answerTokens: 4, intervalMs: 100, thenAnswer: false},
    ],
    [
      {do: 'raw', chunks: [{text: 'a'}]},
      {
        do: 'raw',
        status: 200,
        headers: {'content-type': 'text/event-stream'},
        chunks: [{text: 'a', afterMs: 0}],
        end: 'End',
      },
    ],
  ])('has defaults: %j', (input, expected) => {
    expect(parseBehaviour(input)).toEqual(expected);
  });

  it.each([
    ['an unknown name lists the known ones', {do: 'explode'}, `do: expected one of ${behaviourNames.join(', ')}`],
    ['no name', {}, `do: expected one of ${behaviourNames.join(', ')}`],
    ['not an object', 'hang', 'expected an object with the key "do", got "hang"'],
    ['nothing', undefined, 'expected an object with the key "do", got nothing'],
    ['a missing field', {do: 'delay'}, 'ms: '],
    ['a field out of range', {do: 'status', status: 999}, 'status: '],
    ['a field of another behaviour', {do: 'hang', afterBytes: 3}, 'afterBytes: not a field of this behaviour'],
    ['a field deep inside', {do: 'raw', chunks: [{text: 'a'}, {text: 'b', afterMs: -1}]}, 'chunks.1.afterMs: '],
    [
      'text and base64 at once',
      {do: 'raw', chunks: [{text: 'a', base64: 'YQ=='}]},
      'chunks.0: expected either text or base64',
    ],
  ])('that is wrong is refused by its field: %s', (_, input, message) => {
    expect(() => parseBehaviour(input)).toThrow(message);
  });

  it('may say for how many requests', () => {
    expect(parseInstruction({do: 'notJson', body: 'x', times: 2})).toEqual({
      behaviour: {do: 'notJson', body: 'x'},
      times: 2,
    });
    expect(parseInstruction({do: 'notJson', body: 'x'}).times).toBeUndefined();
  });

  it.each([0, 1.5, 'two', null])('refuses times: %j', (times) => {
    expect(() => parseInstruction({do: 'answer', times})).toThrow('times: expected a whole number, at least 1');
  });
});
