/** POST /v1/moderations: https://platform.openai.com/docs/api-reference/moderations */
import {memberNames} from './json-members.ts';
import {openAiApi} from './openai.ts';
import {createAnswerReader} from './whole-json.ts';

export const moderations = openAiApi({
  name: 'moderations',
  path: '/moderations',
  fields: memberNames('model'),
  readAnswer: createAnswerReader({lists: ['results']}),
});
