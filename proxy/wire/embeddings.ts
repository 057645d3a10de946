/** POST /v1/embeddings: https://platform.openai.com/docs/api-reference/embeddings. Never streamed. */
import type {WireApi} from './api.ts';
import {memberNames} from './json-members.ts';
import {createChoicesReader, openAiStream, createAnswerReader} from './openai.ts';

export const embeddings: WireApi = {
  name: 'embeddings',
  path: '/embeddings',
  spokenBy: ['OpenAI'],
  streams: false,
  fields: memberNames('model', 'input'),
  hasStreamOptions: false,
  choicesAsked: () => 1,
  createStreamReader: (choices) => createChoicesReader(choices, () => 0),
  readAnswer: createAnswerReader('data', undefined),
  ...openAiStream,
};
