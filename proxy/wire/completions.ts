/** POST /v1/completions: https://platform.openai.com/docs/api-reference/completions */
import type {RequestFields} from './api.ts';
import {eventsIfStreamed, readCount} from './asked.ts';
import {createChoicesReader} from './choices.ts';
import {textLength, type JsonObject} from './json.ts';
import {isArrayAt, isStringAt, itemsOf, memberNames} from './json-members.ts';
import {openAiApi, openAiFields} from './openai.ts';
import {createAnswerReader} from './whole-json.ts';

/** A string or a list of token ids is one prompt; a list of strings, or of lists of token ids, is as many as it has. */
function promptsAsked({bytes, members}: RequestFields): number {
  const prompt = members.get('prompt');
  if (prompt === undefined || !isArrayAt(bytes, prompt)) return 1;
  let prompts = 0;
  for (const item of itemsOf(bytes, prompt)) {
    if (!isStringAt(bytes, item) && !isArrayAt(bytes, item)) return 1;
    prompts += 1;
  }
  return Math.max(1, prompts);
}

const choiceLength = ({text}: JsonObject): number => textLength(text);

export const completions = openAiApi({
  name: 'text_completion',
  path: '/completions',
  answers: ['Whole', 'Events'],
  answerAsked: eventsIfStreamed,
  fields: memberNames(...openAiFields, 'n', 'prompt'),
  hasStreamOptions: true,
  choicesAsked: (request) => readCount(request, 'n') * promptsAsked(request),
  createStreamReader: (choices) => createChoicesReader(choices, choiceLength),
  readAnswer: createAnswerReader({lists: ['choices'], itemLength: choiceLength}),
});
