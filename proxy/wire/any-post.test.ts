import {describe, expect, it} from '@jest/globals';
import {anyPost} from './any-post.ts';

describe('the path of any other POST', () => {
  it.each(['/a', '/a/b', '/a.b/c-d_e~f', '/models/llama3:70b', '/@cf/meta', '/..a', '/a..', '/...', '/0'])(
    'may be %s, and is asked as it is',
    (path) => {
      expect(anyPost(path)).toMatchObject({path, carriedOnce: true, counted: false, name: 'other'});
      expect(anyPost(path)?.pathAt('/base/v1')).toBe(`/base/v1${path}`);
    },
  );

  it.each(
    [
      '',
      '/',
      'a',
      '/a/',
      '//a',
      '/a//b',
      '/.',
      '/..',
      '/a/..',
      '/a/./b',
      '/../a',
      '/%2e%2e/a',
      '/a%2fb',
      '/a b',
    ].concat(['/a?b', '/a#b', '/a\\b', '/a;b', '/ä', '/a\n', '/a\r\nhost: b', '/a\0', '/a"', '/a<b', 'p://a', '/a,b']),
  )('cannot be %j', (path) => {
    expect(anyPost(path)).toBeUndefined();
  });

  it('says who speaks it', () => {
    expect(anyPost('/a')?.spokenBy).toEqual(['OpenAI', 'Anthropic']);
    expect(anyPost('/a')?.defaultHeaders).toEqual([]);
    expect(anyPost('/messagesx')?.spokenBy).toEqual(['OpenAI', 'Anthropic']);
    expect(anyPost('/messages/batches')).toMatchObject({
      spokenBy: ['Anthropic'],
      defaultHeaders: ['anthropic-version', '2023-06-01'],
    });
  });
});
