/** POST /v1/chat/completions: https://platform.openai.com/docs/api-reference/chat */
import type {WireApi} from './api.ts';
import {
  createChoicesReader,
  isObject,
  isText,
  openAiStream,
  readCount,
  readListAnswer,
  type JsonObject,
} from './openai.ts';

const textFields = ['content', 'reasoning_content', 'reasoning', 'refusal'];

const callHasContent = (call: unknown): boolean =>
  isObject(call) && (isText(call['name']) || isText(call['arguments']));

function choiceHasContent(choice: JsonObject): boolean {
  const delta = choice['delta'];
  if (!isObject(delta)) return false;
  if (textFields.some((field) => isText(delta[field]))) return true;
  if (isObject(delta['audio']) || callHasContent(delta['function_call'])) return true;
  const calls = delta['tool_calls'];
  return Array.isArray(calls) && calls.some((call) => isObject(call) && callHasContent(call['function']));
}

export const chat: WireApi = {
  name: 'chat',
  path: '/chat/completions',
  spokenBy: ['OpenAI'],
  streams: true,
  hasStreamOptions: true,
  choicesAsked: (request) => readCount(request, 'n'),
  createStreamReader: (choices) => createChoicesReader(choices, choiceHasContent),
  readAnswer: (body) => readListAnswer(body, 'choices'),
  ...openAiStream,
};
