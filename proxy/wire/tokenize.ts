/** POST /v1/tokenize. Model servers have it beside their `/v1`, not below it: https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html */
import {memberNames} from './json-members.ts';
import {openAiApi} from './openai.ts';
import {createAnswerReader} from './whole-json.ts';

export const tokenize = openAiApi({
  name: 'tokenize',
  path: '/tokenize',
  pathAt: (basePath) => `${basePath.replace(/\/v1$/, '')}/tokenize`,
  counted: false,
  fields: memberNames('model'),
  readAnswer: createAnswerReader({lists: ['tokens']}),
});
