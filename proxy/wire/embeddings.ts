/** POST /v1/embeddings: https://platform.openai.com/docs/api-reference/embeddings. Never streamed. */
import {memberNames} from './json-members.ts';
import {openAiApi} from './openai.ts';
import {createAnswerReader} from './whole-json.ts';

export const embeddings = openAiApi({
  name: 'embeddings',
  path: '/embeddings',
  fields: memberNames('model', 'input'),
  readAnswer: createAnswerReader({lists: ['data']}),
});
