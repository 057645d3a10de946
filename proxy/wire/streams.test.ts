/** What the servers in use send, event by event: one word each for what it means to the engine. */
import {readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {describe, expect, it} from '@jest/globals';
import type {EventReading, StreamReader, Usage, WireApi} from './api.ts';
import {chat} from './chat.ts';
import {completions} from './completions.ts';
import {createSseSplitter, type SseEvent} from './sse.ts';

const folder = join(import.meta.dirname, '../../test/fixtures/streams');

const splitFile = (name: string): SseEvent[] => createSseSplitter().push(readFileSync(join(folder, `${name}.sse`)));

const wordFor = ({kind, onlyUsage, error}: EventReading): string => {
  if (kind === 'Malformed') return error === undefined ? 'malformed' : 'malformed content';
  return onlyUsage === true ? 'usage' : kind.toLowerCase();
};

/** `+ finished` and `+ ended` where the answer becomes so. */
function readAll(reader: StreamReader, events: SseEvent[]): string[] {
  return events.map((event) => {
    const before = {finished: reader.finished(), ended: reader.ended()};
    const word = wordFor(reader.read(event));
    return [
      word,
      ...(reader.finished() && !before.finished ? ['finished'] : []),
      ...(reader.ended() && !before.ended ? ['ended'] : []),
    ].join(' + ');
  });
}

const reported: Usage = {promptTokens: 9, completionTokens: 2, estimated: false};
const stop = 'content + finished';
const done = 'neither + ended';

type Row = {expected: string[]; usage?: Usage; choices?: number; api?: WireApi};

const table: Record<string, Row> = {
  openai: {expected: ['neither', 'content', 'content', stop, 'usage', done], usage: reported},
  'openai-two-choices': {
    expected: ['neither', 'content', 'neither', 'content', 'content', stop, done],
    choices: 2,
  },
  'openai-refusal': {expected: ['neither', 'content', 'content', stop, done]},
  'openai-tool-calls': {expected: ['content', 'neither', 'content', 'content', stop, done]},
  'openai-custom-tool': {expected: ['neither', 'content', 'content', stop, done]},
  'openai-function-call': {expected: ['content', 'content', stop, done]},
  'openai-audio': {expected: ['neither', 'content', 'content', 'neither', stop, done]},
  'openai-error': {expected: ['neither', 'error']},
  vllm: {expected: ['neither', 'content', stop, 'usage', done], usage: reported},
  'vllm-continuous-usage': {expected: ['neither', 'content', stop, 'usage', done], usage: reported},
  'vllm-error': {expected: ['neither', 'content', 'error', done]},
  'vllm-old-error': {expected: ['error', done]},
  'vllm-completions': {expected: ['neither', 'content', stop, 'usage', done], usage: reported, api: completions},
  'sglang-abort': {expected: ['neither', 'content', 'error', done]},
  ollama: {expected: ['content', 'content', stop, 'usage', done], usage: reported},
  'ollama-thinking': {expected: ['content', 'content', stop, done]},
  'llama-cpp': {expected: ['neither', 'content', 'content', stop, 'usage', done], usage: reported},
  azure: {expected: ['neither', 'neither', 'content', stop, 'usage', done], usage: reported},
  'azure-content-filter': {expected: ['neither', 'neither', 'neither', stop, done]},
  deepseek: {expected: ['neither', 'neither', 'content', 'content', stop, done], usage: reported},
  mistral: {expected: ['neither', 'content', stop, done], usage: reported},
  'mistral-thinking': {expected: ['neither', 'content', 'content', stop, done], usage: reported},
  openrouter: {expected: ['neither', 'neither', 'content', stop, 'neither', done], usage: reported},
  'openrouter-error': {expected: ['neither', 'content', 'error']},
  'crlf-and-names': {expected: ['content', stop, done]},
  'error-event': {expected: ['error']},
  'error-event-of-text': {expected: ['error']},
  malformed: {expected: ['neither', 'malformed', 'malformed', 'malformed', 'content', 'malformed content']},
};

describe('a recorded stream', () => {
  it.each(Object.entries(table))('of %s means what it should, event by event', (name, row) => {
    const reader = (row.api ?? chat).createStreamReader(row.choices ?? 1);
    expect(readAll(reader, splitFile(name))).toEqual(row.expected);
    expect(reader.usage()).toEqual(row.usage);
  });

  it('is in the table, each that is in the folder', () => {
    const files = readdirSync(folder).map((file) => file.replace(/\.sse$/, ''));
    expect(Object.keys(table).sort()).toEqual(files.sort());
  });
});
