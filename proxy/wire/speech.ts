/** POST /v1/audio/speech: https://platform.openai.com/docs/api-reference/audio/createSpeech. Bytes as they are made, or events. */
import {isStringAt, memberNames, parseSpan} from './json-members.ts';
import {textLength, type JsonObject} from './json.ts';
import {openAiApi} from './openai.ts';
import {createTypedEventsReader, type TypedEvent} from './typed-events.ts';
import {readUsage} from './usage.ts';

function readEvent({type, audio}: JsonObject): TypedEvent {
  if (type === 'speech.audio.done') return {kind: 'End'};
  return type === 'speech.audio.delta' ? {kind: 'Content', length: textLength(audio)} : {kind: 'Neither'};
}

export const speech = openAiApi({
  name: 'speech',
  path: '/audio/speech',
  answers: ['Bytes', 'Events'],
  answerAsked({bytes, members}) {
    const format = members.get('stream_format');
    return format !== undefined && isStringAt(bytes, format) && parseSpan(bytes, format) === 'sse' ? 'Events' : 'Bytes';
  },
  isBytes: (mediaType) => mediaType !== 'application/json' && !mediaType.startsWith('text/'),
  fields: memberNames('model', 'stream_format'),
  createStreamReader: () =>
    createTypedEventsReader({answers: 1, readEvent, readUsage: ({usage}, before) => readUsage(usage) ?? before}),
  readAnswer: () => ({problem: 'the answer is JSON and no audio'}),
  endOfStream: '',
});
