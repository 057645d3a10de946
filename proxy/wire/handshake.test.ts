import {describe, expect, it} from '@jest/globals';
import {RequestError} from './errors.ts';
import {asksForWebSocket, readChosen, readHandshake} from './handshake.ts';

const key = 'dGhlIHNhbXBsZSBub25jZQ==';
const good = {'sec-websocket-version': '13', 'sec-websocket-key': key};

const refusal = (headers: Record<string, string>, search: string): Pick<RequestError, 'code' | 'param' | 'headers'> => {
  try {
    readHandshake({...good, ...headers}, search);
  } catch (error) {
    if (error instanceof RequestError) return error;
    throw error;
  }
  throw new Error('the handshake was taken');
};

describe('a request', () => {
  it.each([
    ['websocket', true],
    ['h2c, WebSocket', true],
    ['h2c', false],
    ['websockets', false],
    [undefined, false],
  ])('that says upgrade: %s', (upgrade, asks) => {
    expect(asksForWebSocket({upgrade, connection: 'keep-alive, Upgrade'})).toBe(asks);
  });

  it('that does not name it in its connection header is none', () => {
    expect(asksForWebSocket({upgrade: 'websocket', connection: 'keep-alive'})).toBe(false);
    expect(asksForWebSocket({upgrade: 'websocket'})).toBe(false);
  });
});

describe('a handshake', () => {
  it('gives its model, its key, and its query as it is', () => {
    const {model, query, ...handshake} = readHandshake(good, 'model=a%2Fb&intent=transcription');
    expect({model, handshake}).toEqual({model: 'a/b', handshake: {key, protocols: []}});
    expect(query.toString()).toBe('model=a%2Fb&intent=transcription');
  });

  it.each(['api-key', 'apikey', 'api_key', 'key', 'Access_Token', 'authorization', 'client_secret', 'sig', 'x'])(
    'loses %s of its query, which may be a credential',
    (name) => {
      const {query} = readHandshake(good, `${name}=sk-1&model=a&call_id=c`);
      expect(query.toString()).toBe('model=a&call_id=c');
    },
  );

  it('keeps the subprotocols that are none in disguise', () => {
    const offered =
      'realtime, openai-insecure-api-key.sk-1, openai-organization.org-1,openai-project.p-1, openai-ephemeral-user-id.x, openai-beta.realtime-v1, bearer.abc';
    expect(readHandshake({...good, 'sec-websocket-protocol': offered}, 'model=a').protocols).toEqual([
      'realtime',
      'openai-beta.realtime-v1',
    ]);
  });

  it.each<[string, Record<string, string>, string, object]>([
    ['without model', {}, '', {code: 'missing_model', param: 'model'}],
    ['with an empty model', {}, 'model=', {code: 'invalid_value', param: 'model'}],
    ['with two', {}, 'model=a&model=b', {code: 'invalid_value', param: 'model'}],
    ['of another version', {'sec-websocket-version': '8'}, 'model=a', {code: 'upgrade_required', param: null}],
    [
      'with a key that is none',
      {'sec-websocket-key': 'short'},
      'model=a',
      {code: 'invalid_value', param: 'sec-websocket-key'},
    ],
    [
      'that offers keys alone',
      {'sec-websocket-protocol': 'openai-insecure-api-key.sk-1'},
      'model=a',
      {code: 'invalid_value', param: 'sec-websocket-protocol'},
    ],
  ])('%s is refused', (_, headers, search, expected) => {
    const {code, param} = refusal(headers, search);
    expect({code, param}).toEqual(expected);
  });

  it('of another version is told which one is spoken', () => {
    expect(refusal({'sec-websocket-version': '8'}, 'model=a').headers).toMatchObject({'sec-websocket-version': '13'});
  });
});

describe('the answer to a handshake', () => {
  const accept = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';
  const answered = (offered: string, headers: Record<string, string>): ReturnType<typeof readChosen> =>
    readChosen(
      readHandshake({...good, ...(offered === '' ? {} : {'sec-websocket-protocol': offered})}, 'model=a'),
      accept,
      {'sec-websocket-accept': accept, ...headers},
    );

  it.each<[string, string, Record<string, string>, object]>([
    ['without subprotocols', '', {}, {protocol: undefined}],
    ['with the one chosen', 'openai-beta.a, realtime', {'sec-websocket-protocol': 'realtime'}, {protocol: 'realtime'}],
    ['with none chosen', 'openai-beta.a, realtime', {}, {protocol: 'realtime'}],
    ['with none chosen of another', 'openai-beta.a', {}, {protocol: 'openai-beta.a'}],
    ['with one chosen unasked', 'realtime', {'sec-websocket-protocol': 'chat'}, {problem: expect.any(String)}],
    ['with two chosen', 'realtime', {'sec-websocket-protocol': 'realtime, realtime'}, {problem: expect.any(String)}],
    ['with an extension', '', {'sec-websocket-extensions': 'permessage-deflate'}, {problem: expect.any(String)}],
    ['to another key', '', {'sec-websocket-accept': 'x'}, {problem: expect.any(String)}],
  ])('%s', (_, offered, headers, expected) => {
    expect(answered(offered, headers)).toEqual(expected);
  });
});
