/** What requests ask for: how the answer comes, and what state they name. */
import {describe, expect, it} from '@jest/globals';
import {anyPost} from './any-post.ts';
import type {WireApi} from './api.ts';
import {images} from './images.ts';
import {messages} from './messages.ts';
import {readRequest, type InferenceRequest} from './request.ts';
import {responses} from './responses.ts';
import {speech} from './speech.ts';

const read = (api: WireApi, fields: object): InferenceRequest =>
  readRequest(api, new TextEncoder().encode(JSON.stringify({model: 'm', ...fields})));

describe('a request', () => {
  it.each<[WireApi, object, string]>([
    [responses, {}, 'Whole'],
    [responses, {stream: null}, 'Whole'],
    [responses, {stream: false}, 'Whole'],
    [responses, {stream: true}, 'Events'],
    [messages, {stream: true}, 'Events'],
    [images, {stream: true}, 'Events'],
    [images, {}, 'Whole'],
    [speech, {}, 'Bytes'],
    [speech, {stream_format: 'audio'}, 'Bytes'],
    [speech, {stream_format: null}, 'Bytes'],
    [speech, {stream_format: 7}, 'Bytes'],
    [speech, {stream_format: 'sse'}, 'Events'],
    [speech, {stream: true}, 'Bytes'],
    [anyPost('/songs')!, {stream: true}, 'Bytes'],
  ])('of $name with %j is answered as %s', (api, fields, answer) => {
    expect(read(api, fields).answer).toBe(answer);
  });

  it.each([responses, messages, images])('of $name is refused with a stream that is neither true nor false', (api) => {
    expect(() => read(api, {stream: 'true'})).toThrow('"stream" must be true or false.');
    expect(() => read(api, {stream: 1})).toThrow('"stream" must be true or false.');
  });

  it.each([
    [{}, 1],
    [{n: 3}, 3],
    [{n: null}, 1],
    [{n: 0}, 1],
    [{n: 1.5}, 1],
    [{n: '3'}, 1],
  ])('for pictures with %j waits for %i of them', (fields, choices) => {
    expect(read(images, {stream: true, ...fields}).choices).toBe(choices);
  });

  it.each<[object, string | undefined]>([
    [{}, undefined],
    [{previous_response_id: 'resp_1'}, 'previous_response_id'],
    [{previous_response_id: ''}, 'previous_response_id'],
    [{previous_response_id: null}, undefined],
    [{conversation: 'conv_1'}, 'conversation'],
    [{conversation: {id: 'conv_1'}}, 'conversation'],
    [{conversation: null}, undefined],
    [{background: true}, 'background'],
    [{background: false}, undefined],
    [{store: true}, undefined],
    [{input: [{previous_response_id: 'resp_1'}]}, undefined],
  ])('with %j names %s', (fields, member) => {
    const {stateNamed, carriedOnce} = read(responses, fields);
    expect(stateNamed).toBe(member);
    expect(carriedOnce).toBe(member !== undefined);
  });

  it('that names its state twice is refused: servers disagree on which counts', () => {
    const bytes = new TextEncoder().encode('{"model":"m","background":false,"background":true}');
    expect(() => readRequest(responses, bytes)).toThrow(/"background"/);
  });

  it('of an API without state may have fields of those names', () => {
    expect(read(messages, {conversation: 'conv_1'})).toMatchObject({stateNamed: undefined, carriedOnce: false});
  });

  it('that nobody knows is carried once', () => {
    expect(read(anyPost('/songs')!, {}).carriedOnce).toBe(true);
  });
});
