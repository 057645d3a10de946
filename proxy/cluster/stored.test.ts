import {gzipSync} from 'node:zlib';
import {describe, expect, it} from '@jest/globals';
import {gatewayConfig, hashOf} from '../../test/cluster-objects.ts';
import {readConfig, readCredentials} from './stored.ts';

const own = {namespace: 'team-a', name: 'models'};
const read = (text: string) => readConfig(gzipSync(text), own);

describe('a stored config', () => {
  it('is read with the hash of its text, white space and unknown fields included', () => {
    const text = `${JSON.stringify({...gatewayConfig(), later: 1})}\n`;
    const gzip = gzipSync(text);
    expect(readConfig(gzip, own)).toEqual({loaded: {config: gatewayConfig(), hash: hashOf(text), gzip}});
  });

  const broken = {...gatewayConfig(), limits: {}, logging: {}};
  it.each<[string, string, RegExp]>([
    ['no JSON', '{', /^config.json.gz holds no JSON$/],
    ['no object', '[]', /expected object/],
    ['another format', JSON.stringify({...gatewayConfig(), formatVersion: 2}), /formatVersion 2 is not known here/],
    ['faults', JSON.stringify(broken), /^limits\.maxBodyBytes: [^;]+; [^;]+; [^;]+; and \d more$/],
    [
      'another gateway',
      JSON.stringify({...gatewayConfig(), gateway: {name: 'other', namespace: 'team-b', generation: 1}}),
      /^it is the config of gateway team-b\/other, and this proxy belongs to team-a\/models$/,
    ],
  ])('is refused with a reason and its hash where it holds %s', (_, text, reason) => {
    expect(read(text)).toEqual({rejection: {hash: hashOf(text), reason: expect.stringMatching(reason)}});
  });

  it.each<[string, Uint8Array]>([
    ['is no gzip', Buffer.from('{}')],
    ['is nothing', Buffer.from('')],
    ['is cut', gzipSync(JSON.stringify(gatewayConfig())).subarray(0, 40)],
    ['unpacks to more than anybody has memory for', gzipSync(Buffer.alloc(64 * 1_048_576))],
  ])('is refused where it %s', (_, gzip) => {
    expect(readConfig(gzip, own)).toEqual({
      rejection: {hash: '', reason: expect.stringMatching(/^config.json.gz cannot be unpacked: /)},
    });
  });
});

describe('stored credentials', () => {
  it('are values by key', () => {
    expect(readCredentials('{"a/b/c/1/key": "sk-1"}')).toEqual({credentials: new Map([['a/b/c/1/key', 'sk-1']])});
    expect(readCredentials('{}')).toEqual({credentials: new Map()});
  });

  it.each(['', 'sk-1', '"sk-1"', '["sk-1"]', '{"a": 1, "b": "sk-1"}', '{"a": "sk-1"'])(
    'are refused as %j, without a word of what they hold',
    (text) => {
      expect(readCredentials(text)).toEqual({problem: 'credentials.json is no JSON object of texts'});
    },
  );
});
