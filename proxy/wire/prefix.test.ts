import {describe, expect, it} from '@jest/globals';
import type {WireApi} from './api.ts';
import {chat} from './chat.ts';
import {completions} from './completions.ts';
import {embeddings} from './embeddings.ts';
import {cachePrefix} from './prefix.ts';
import {readRequest} from './request.ts';

const prefixOf = (body: object, api: WireApi = chat): string =>
  new TextDecoder().decode(
    cachePrefix(readRequest(api, new TextEncoder().encode(JSON.stringify({model: 'chat', ...body}))).fields),
  );

const system = {role: 'system', content: 'Be kind.'};
const user = {role: 'user', content: [{type: 'text', text: 'Hi, role: "user"'}]};
const later = [
  {role: 'assistant', content: 'Hello.'},
  {role: 'user', content: 'And now?'},
];

describe('the prefix that requests share', () => {
  it.each<[string, object, WireApi, string]>([
    ['the cache key', {prompt_cache_key: 'a', messages: [user]}, chat, '"a"'],
    ['the prompt where the cache key is empty', {prompt_cache_key: '', prompt: 'b'}, completions, '"b"'],
    ['the prompt where the cache key is no text', {prompt_cache_key: 1, prompt: 'b'}, completions, '"b"'],
    [
      'the messages through the first one of the user',
      {messages: [system, user, ...later]},
      chat,
      JSON.stringify([system, user]).slice(0, -1),
    ],
    ['all messages where none is of the user', {messages: [system]}, chat, JSON.stringify([system])],
    ['the input', {input: ['x']}, embeddings, '["x"]'],
    ['nothing where nothing is there', {}, chat, ''],
    ['nothing where messages are no list', {messages: 'x'}, chat, ''],
    [
      'all messages where they are no objects',
      {messages: ['user', null, {role: {}}]},
      chat,
      '["user",null,{"role":{}}]',
    ],
  ])('is %s', (_, body, api, expected) => {
    expect(prefixOf(body, api)).toBe(expected);
  });

  it('is the same for two turns of one conversation', () => {
    const first = prefixOf({messages: [system, user], stream: true});
    const second = prefixOf({temperature: 1, messages: [system, user, ...later]});
    expect(second).toBe(first);
    expect(first).toContain('Be kind.');
  });

  it('is another one for another first message of the user, and for another system message', () => {
    const first = prefixOf({messages: [system, user]});
    expect(prefixOf({messages: [system, {...user, content: 'Bye'}]})).not.toBe(first);
    expect(prefixOf({messages: [{...system, content: 'Be brief.'}, user]})).not.toBe(first);
  });
});
