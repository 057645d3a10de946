/** POST /v1/completions: https://platform.openai.com/docs/api-reference/completions */
import type {RequestFields, WireApi} from './api.ts';
import {scanJson} from './json-scan.ts';
import {createChoicesReader, isText, openAiStream, readCount, readListAnswer} from './openai.ts';

const openBracket = 0x5b;
const quote = 0x22;

/** A string or a list of token ids is one prompt; a list of strings, or of lists of token ids, is as many as it has. */
function promptsAsked({bytes, members}: RequestFields): number {
  const prompt = members.get('prompt')?.value;
  if (prompt === undefined || bytes[prompt.start] !== openBracket) return 1;
  const items = scanJson(bytes.subarray(prompt.start, prompt.end)).members;
  const first = items[0] === undefined ? undefined : bytes[prompt.start + items[0].value.start];
  return first === quote || first === openBracket ? items.length : 1;
}

export const completions: WireApi = {
  name: 'text_completion',
  path: '/completions',
  spokenBy: ['OpenAI'],
  streams: true,
  hasStreamOptions: true,
  choicesAsked: (request) => readCount(request, 'n') * promptsAsked(request),
  createStreamReader: (choices) => createChoicesReader(choices, (choice) => isText(choice['text'])),
  readAnswer: (body) => readListAnswer(body, 'choices'),
  ...openAiStream,
};
