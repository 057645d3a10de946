/** POST /v1/embeddings: https://platform.openai.com/docs/api-reference/embeddings. Never streamed. */
import type {WireApi} from './api.ts';
import {createChoicesReader, openAiStream, readListAnswer} from './openai.ts';

export const embeddings: WireApi = {
  name: 'embeddings',
  path: '/embeddings',
  spokenBy: ['OpenAI'],
  streams: false,
  hasStreamOptions: false,
  choicesAsked: () => 1,
  createStreamReader: (choices) => createChoicesReader(choices, () => false),
  readAnswer: (body) => readListAnswer(body, 'data'),
  ...openAiStream,
};
