/** The table in docs/apis.md says what the table of APIs does. That the APIs do as it says: test/proxy/apis-page.test.ts. */
import {readFileSync} from 'node:fs';
import {describe, expect, it} from '@jest/globals';
import {anyPost} from './any-post.ts';
import type {AnswerShape, WireApi} from './api.ts';
import {apis} from './apis.ts';
import {formApis, realtimeApi} from './relayed-apis.ts';

const page = readFileSync(new URL('../../docs/apis.md', import.meta.url), 'utf8');

const rows = page
  .slice(0, page.indexOf('\n## '))
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| API ') && !line.startsWith('| --'))
  .map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );

const words: Record<AnswerShape, string[]> = {Whole: [], Bytes: ['bytes'], Events: ['events']};

const rowOf = (name: string, {spokenBy, answers, carriedOnce, counted}: WireApi): string[] => [
  name,
  spokenBy.join(', '),
  answers.flatMap((answer) => words[answer]).join(', ') || 'no',
  carriedOnce ? 'no' : 'yes',
  carriedOnce ? 'if it was not sent' : 'yes',
  counted ? 'yes' : 'no',
];

describe('the table of APIs in docs/apis.md', () => {
  it('has each of them, as it is', () => {
    expect(rows).toEqual([
      ...[...apis, ...formApis].map((api) => rowOf(`\`POST /v1${api.path}\``, api)),
      rowOf('any other `POST /v1/…`', anyPost('/some/thing')!),
      // The one that is no exchange of a request and an answer: what its flags say holds for its handshake.
      [`\`GET /v1${realtimeApi.path}\``, 'OpenAI', 'WebSocket', 'the handshake', 'the handshake', 'no'],
    ]);
    expect(realtimeApi).toMatchObject({carriedOnce: false, counted: false, spokenBy: ['OpenAI']});
  });
});
