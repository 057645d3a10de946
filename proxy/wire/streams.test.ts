/** What the servers in use send, event by event: one word each for what it means to the engine. */
import {readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {describe, expect, it} from '@jest/globals';
import type {EventReading, StreamReader, Usage, WireApi} from './api.ts';
import {chat} from './chat.ts';
import {completions} from './completions.ts';
import {images} from './images.ts';
import {messages} from './messages.ts';
import {responses} from './responses.ts';
import {speech} from './speech.ts';
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
/** Where the last event of the answer is the end of the stream too. */
const last = 'content + finished + ended';

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

  'openai-responses': {
    expected: ['neither', 'neither', 'progress', 'progress', 'content', 'content', 'progress', 'progress', last],
    usage: reported,
    api: responses,
  },
  'openai-responses-reasoning': {
    expected: ['neither', 'neither', 'progress', 'content', 'content', last],
    usage: reported,
    api: responses,
  },
  'openai-responses-tool': {
    expected: ['neither', 'neither', 'progress', 'neither', 'content', 'progress', last],
    usage: reported,
    api: responses,
  },
  'openai-responses-web-search': {
    expected: ['neither', 'neither', 'progress', 'progress', 'content', last],
    usage: reported,
    api: responses,
  },
  'openai-responses-incomplete': {expected: ['neither', 'neither', 'content', last], usage: reported, api: responses},
  'openai-responses-failed': {expected: ['neither', 'neither', 'content', 'error'], api: responses},
  'openai-responses-error': {expected: ['neither', 'neither', 'error'], api: responses},
  'openai-responses-empty': {expected: ['neither', 'neither', last], usage: reported, api: responses},
  'llama-cpp-responses': {
    expected: 'neither neither progress progress content content progress progress progress'.split(' ').concat(last),
    usage: {promptTokens: 22, completionTokens: 3, estimated: false},
    api: responses,
  },
  anthropic: {
    expected: ['neither', 'progress', 'neither', 'content', 'content', 'progress', 'progress', last],
    usage: reported,
    api: messages,
  },
  'anthropic-thinking': {
    expected: ['neither', 'progress', 'content', 'progress', 'progress', 'progress', last],
    usage: reported,
    api: messages,
  },
  'anthropic-tool': {
    expected: ['neither', 'progress', 'progress', 'content', 'progress', 'progress', last],
    usage: reported,
    api: messages,
  },
  'anthropic-error': {
    expected: ['neither', 'progress', 'content', 'error'],
    usage: {...reported, completionTokens: 1, estimated: true}, // only the end would have said how many
    api: messages,
  },
  'anthropic-empty': {expected: ['neither', 'progress', last], usage: reported, api: messages},
  'llama-cpp-messages': {
    expected: ['neither', 'progress', 'content', 'content', 'content', 'progress', 'progress', last],
    usage: {promptTokens: 22, completionTokens: 3, estimated: false},
    api: messages,
  },
  'openai-speech': {expected: ['content', last], usage: reported, api: speech},
  'openai-images': {expected: ['content', last], usage: reported, api: images},
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
