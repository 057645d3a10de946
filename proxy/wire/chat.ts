/** POST /v1/chat/completions: https://platform.openai.com/docs/api-reference/chat */
import {eventsIfStreamed, readCount} from './asked.ts';
import {createChoicesReader} from './choices.ts';
import {isObject, textLength, type JsonObject} from './json.ts';
import {memberNames} from './json-members.ts';
import {openAiApi, openAiFields} from './openai.ts';
import {createAnswerReader} from './whole-json.ts';

/** A function, or a custom tool. */
function callLength(call: unknown): number {
  if (!isObject(call)) return 0;
  const {name, arguments: text, input} = call;
  return textLength(name) + textLength(text) + textLength(input);
}

function toolCallsLength(calls: unknown): number {
  if (!Array.isArray(calls)) return 0;
  let length = 0;
  for (const call of calls) if (isObject(call)) length += callLength(call['function']) + callLength(call['custom']);
  return length;
}

/** Of a message, or of a piece of one. */
function messageLength({
  content,
  reasoning_content,
  reasoning,
  refusal,
  audio,
  function_call,
  tool_calls,
}: JsonObject): number {
  const text = Array.isArray(content) ? partsLength(content) : textLength(content);
  const thought = textLength(reasoning_content) || textLength(reasoning); // some servers send one text under both names
  const heard = isObject(audio) ? textLength(audio['transcript']) || textLength(audio['data']) : 0;
  return text + thought + textLength(refusal) + heard + callLength(function_call) + toolCallsLength(tool_calls);
}

/** Mistral's reasoning models answer in parts: `{type: 'text', text}`, `{type: 'thinking', thinking: [{type: 'text', text}]}`. */
function partsLength(parts: readonly unknown[]): number {
  let length = 0;
  for (const part of parts) {
    if (!isObject(part)) continue;
    length += textLength(part['text']);
    const {thinking} = part;
    length += Array.isArray(thinking) ? partsLength(thinking) : textLength(thinking);
  }
  return length;
}

const pieceLength = ({delta}: JsonObject): number => (isObject(delta) ? messageLength(delta) : 0);
const wholeLength = ({message}: JsonObject): number => (isObject(message) ? messageLength(message) : 0);

export const chat = openAiApi({
  name: 'chat',
  path: '/chat/completions',
  answers: ['Whole', 'Events'],
  answerAsked: eventsIfStreamed,
  fields: memberNames(...openAiFields, 'n', 'messages'),
  hasStreamOptions: true,
  choicesAsked: (request) => readCount(request, 'n'),
  createStreamReader: (choices) => createChoicesReader(choices, pieceLength),
  readAnswer: createAnswerReader({lists: ['choices'], itemLength: wholeLength}),
});
