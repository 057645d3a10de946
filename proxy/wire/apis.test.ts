import {describe, expect, it} from '@jest/globals';
import {apis} from './apis.ts';
import {createSseSplitter} from './sse.ts';

describe.each(apis.map((api) => [api.name, api] as const))('the API %s', (_, api) => {
  const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

  it('has a path of its own', () => {
    expect(api.path).toMatch(/^\/[a-z_/]+$/);
    expect(apis.filter(({path, name}) => path === api.path || name === api.name)).toHaveLength(1);
  });

  it('reads the name of the model', () => {
    expect(api.fields.find(encode('"model"'), 0, 7)).toBe('model');
  });

  it('keeps a stream alive with what is no content and commits to nothing', () => {
    const reader = api.createStreamReader(1);
    const [event, ...others] = createSseSplitter().push(encode(api.keepAlive));
    expect(others).toEqual([]);
    expect(reader.read(event!).kind).toBe('Neither');
    expect(reader.ended() || reader.finished()).toBe(false);
  });

  it('ends a stream with what its own reader takes for the end', () => {
    const reader = api.createStreamReader(1);
    const [event] = createSseSplitter().push(encode(api.endOfStream));
    if (event === undefined) return expect(reader.ended()).toBe(false); // the last event of its answer is the end
    expect(reader.read(event).kind).toBe('Neither');
    expect(reader.ended()).toBe(true);
  });
});
