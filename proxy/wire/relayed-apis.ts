/** APIs whose requests are not JSON: they go through http-proxy-middleware, and what has been sent is not sent again. */
import type {StreamReader, WireApi} from './api.ts';
import {createImageReader} from './images.ts';
import {textLength, type JsonObject} from './json.ts';
import {memberNames} from './json-members.ts';
import {openAiApi} from './openai.ts';
import {createTypedEventsReader, type TypedEvent} from './typed-events.ts';
import {readUsage} from './usage.ts';

type Own = Pick<WireApi, 'name' | 'path' | 'carriedOnce'> & Partial<WireApi>;

/** Its answers pass as they come. */
export const unreadApi = (own: Own): WireApi =>
  openAiApi({
    answers: ['Bytes'],
    answerAsked: () => 'Bytes',
    isBytes: () => true,
    counted: false,
    fields: memberNames('model'),
    readAnswer: () => ({}),
    endOfStream: '',
    ...own,
  });

/** `createStreamReader`: where a form may ask for an answer in events. */
const form = (name: string, path: string, createStreamReader?: (answers: number) => StreamReader): WireApi =>
  unreadApi({
    name,
    path,
    carriedOnce: true,
    ...(createStreamReader === undefined ? {} : {answers: ['Bytes', 'Events'], createStreamReader}),
  });

function readTranscript({type, delta}: JsonObject): TypedEvent {
  if (type === 'transcript.text.done') return {kind: 'End'};
  if (type === 'transcript.text.segment') return {kind: 'Progress'};
  return type === 'transcript.text.delta' ? {kind: 'Content', length: textLength(delta)} : {kind: 'Neither'};
}

const createTranscriptReader = (): StreamReader =>
  createTypedEventsReader({
    answers: 1,
    readEvent: readTranscript,
    readUsage: ({usage}, before) => readUsage(usage) ?? before,
  });

/** Multipart forms: https://platform.openai.com/docs/api-reference/audio and …/images. */
export const formApis: readonly WireApi[] = [
  form('transcription', '/audio/transcriptions', createTranscriptReader),
  form('translation', '/audio/translations'),
  form('image_edit', '/images/edits', (answers) => createImageReader('image_edit', answers)),
  form('image_variation', '/images/variations'),
];

/** A WebSocket: https://platform.openai.com/docs/guides/realtime-websocket. A handshake that is refused may be made elsewhere. */
export const realtimeApi = unreadApi({name: 'realtime', path: '/realtime', carriedOnce: false});
