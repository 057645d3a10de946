/** POST /v1/images/generations: https://platform.openai.com/docs/api-reference/images */
import type {StreamReader} from './api.ts';
import {eventsIfStreamed, readCount} from './asked.ts';
import {textLength, type JsonObject} from './json.ts';
import {memberNames} from './json-members.ts';
import {openAiApi} from './openai.ts';
import {createTypedEventsReader, type TypedEvent} from './typed-events.ts';
import {readUsage} from './usage.ts';
import {createAnswerReader} from './whole-json.ts';

/** `call`: what the types of its events begin with. */
export function createImageReader(call: string, answers: number): StreamReader {
  const readEvent = ({type, b64_json}: JsonObject): TypedEvent => {
    if (type === `${call}.completed`) return {kind: 'End'};
    return type === `${call}.partial_image` ? {kind: 'Content', length: textLength(b64_json)} : {kind: 'Neither'};
  };
  return createTypedEventsReader({answers, readEvent, readUsage: ({usage}, before) => readUsage(usage) ?? before});
}

export const images = openAiApi({
  name: 'image_generation',
  path: '/images/generations',
  answers: ['Whole', 'Events'],
  answerAsked: eventsIfStreamed,
  fields: memberNames('model', 'stream', 'n'),
  choicesAsked: (request) => readCount(request, 'n'),
  createStreamReader: (answers) => createImageReader('image_generation', answers),
  readAnswer: createAnswerReader({lists: ['data']}),
  endOfStream: '',
});
