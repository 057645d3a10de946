import {describe, expect, it} from '@jest/globals';
import {secret} from '../../test/objects.ts';
import type {Auth, Backend} from '../api/generated.ts';
import {authHeader, resolveAuth} from './auth.ts';

const auth = (fields: Partial<Auth> = {}): Auth => ({secretRef: {name: 'openai'}, ...fields});

describe('the header of a credential', () => {
  const cases: [string, Backend['api'], Partial<Auth>, {headerName: string; prefix: string}][] = [
    ['is Bearer if nothing is said', undefined, {}, {headerName: 'authorization', prefix: 'Bearer '}],
    ['is Bearer for OpenAI', 'OpenAI', {}, {headerName: 'authorization', prefix: 'Bearer '}],
    ['is x-api-key for Anthropic', 'Anthropic', {}, {headerName: 'x-api-key', prefix: ''}],
    [
      'is Bearer for Anthropic too if told so',
      'Anthropic',
      {type: 'Bearer'},
      {headerName: 'authorization', prefix: 'Bearer '},
    ],
    [
      'is the named one, lower-cased',
      'OpenAI',
      {type: 'Header', headerName: 'API-Key'},
      {headerName: 'api-key', prefix: ''},
    ],
  ];
  it.each(cases)('%s', (_, api, fields, expected) => {
    expect(authHeader(api, auth(fields))).toEqual(expected);
  });
});

describe('a credential', () => {
  const values = (apiKey: string) => [secret({values: {apiKey}})];

  it.each([
    ['as it is', 'sk-1', 'sk-1'],
    ['without the line break at its end', 'sk-1\n', 'sk-1'],
    ['without a Windows line break', 'sk-1\r\n', 'sk-1'],
    ['with spaces inside', 'Basic dXNlcg==', 'Basic dXNlcg=='],
  ])('is taken %s', (_, stored, expected) => {
    expect(resolveAuth({auth: auth()}, {namespace: 'team-a', secrets: values(stored)})).toEqual({
      config: {
        auth: {
          headerName: 'authorization',
          prefix: 'Bearer ',
          credential: {namespace: 'team-a', name: 'openai', key: 'apiKey', uid: 'uid-1', resourceVersion: '7'},
        },
      },
      credentials: [['team-a/openai/uid-1/7/apiKey', expected]],
      faults: [],
    });
  });

  it('is taken from the key that the route names', () => {
    const secrets = [secret({values: {apiKey: 'one', other: 'two'}})];
    const named = auth({secretRef: {name: 'openai', key: 'other'}});
    expect(resolveAuth({auth: named}, {namespace: 'team-a', secrets})).toMatchObject({
      credentials: [[expect.stringMatching('/other$'), 'two']],
    });
  });

  const faults: Record<string, {secrets: ReturnType<typeof secret>[]; reason: string; message: RegExp}> = {
    'in a Secret that is not there': {
      secrets: [],
      reason: 'SecretNotFound',
      message: /no Secret team-a\/openai: add it with the key "apiKey"/,
    },
    'in a Secret of another namespace': {
      secrets: [secret({namespace: 'team-b'})],
      reason: 'SecretNotFound',
      message: /no Secret team-a\/openai/,
    },
    'under another key': {
      secrets: [secret({values: {token: 'hidden', api_key: 'hidden'}})],
      reason: 'SecretKeyNotFound',
      message: /has no key "apiKey" \(it has api_key, token\): add it/,
    },
    'in a Secret without keys': {
      secrets: [secret({values: {}})],
      reason: 'SecretKeyNotFound',
      message: /it has no keys/,
    },
    'that is empty': {secrets: values(''), reason: 'SecretKeyNotFound', message: /is empty/},
    'that is a line break alone': {secrets: values('\n'), reason: 'SecretKeyNotFound', message: /is empty/},
    'with a line break inside': {
      secrets: values('hidden\nx: y'),
      reason: 'Invalid',
      message: /cannot stand in a header/,
    },
    'with a space at an end': {secrets: values('hidden '), reason: 'Invalid', message: /cannot stand in a header/},
    'with bytes that are no text': {
      secrets: values('hidden\uFFFD'),
      reason: 'Invalid',
      message: /key "apiKey" of Secret team-a\/openai holds bytes that are not text: put the credential there as text/,
    },
    'with a letter outside ASCII': {
      secrets: values('hidden\u00e9'),
      reason: 'Invalid',
      message: /cannot stand in a header/,
    },
  };
  it.each(Object.entries(faults))('%s is refused, and its value is not told', (_, {secrets, reason, message}) => {
    const resolved = resolveAuth({auth: auth()}, {namespace: 'team-a', secrets});
    expect(resolved).toEqual({
      config: {},
      credentials: [],
      faults: [expect.objectContaining({reason, message: expect.stringMatching(message)})],
    });
    expect(JSON.stringify(resolved)).not.toContain('hidden');
  });
});
