/** POST /v1/messages/count_tokens: https://docs.claude.com/en/api/messages-count-tokens. Counts and uses none. */
import {anthropicApi} from './anthropic.ts';
import {memberNames} from './json-members.ts';
import {createMemberReader} from './whole-json.ts';

export const countTokens = anthropicApi({
  name: 'count_tokens',
  path: '/messages/count_tokens',
  counted: false,
  fields: memberNames('model', 'messages'),
  readAnswer: createMemberReader('input_tokens'),
});
