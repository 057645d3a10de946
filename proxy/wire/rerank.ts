/** POST /v1/rerank, as Jina, Cohere, vLLM and llama.cpp have it: https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html */
import {memberNames} from './json-members.ts';
import {openAiApi} from './openai.ts';
import {createAnswerReader} from './whole-json.ts';

export const rerank = openAiApi({
  name: 'rerank',
  path: '/rerank',
  fields: memberNames('model'),
  readAnswer: createAnswerReader({lists: ['results', 'data']}), // `data`: Voyage
});
