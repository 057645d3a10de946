/** POST /v1/score, vLLM's: https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html */
import {memberNames} from './json-members.ts';
import {openAiApi} from './openai.ts';
import {createAnswerReader} from './whole-json.ts';

export const score = openAiApi({
  name: 'score',
  path: '/score',
  fields: memberNames('model'),
  readAnswer: createAnswerReader({lists: ['data', 'scores']}),
});
