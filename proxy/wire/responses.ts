/** POST /v1/responses: https://platform.openai.com/docs/api-reference/responses */
import {eventsIfStreamed, memberSet} from './asked.ts';
import {lengthOfAll, textLength, isObject, type JsonObject} from './json.ts';
import {memberNames} from './json-members.ts';
import {openAiApi} from './openai.ts';
import {writeEvent} from './sse.ts';
import {createTypedEventsReader, type TypedEvent} from './typed-events.ts';
import {readErrorValue} from './upstream-error.ts';
import {readUsage} from './usage.ts';
import {createAnswerReader} from './whole-json.ts';

/** What refers to an answer, a conversation or a job that one server holds. */
const statefulMembers = ['previous_response_id', 'conversation', 'background'];

const responseIn = ({response}: JsonObject): JsonObject => (isObject(response) ? response : {});

/** Of the response as it stands, or of an event that carries it. */
const errorOf = (response: JsonObject): ReturnType<typeof readErrorValue> =>
  readErrorValue(response['error'] ?? 'The backend says that the response has failed.');

const neither = (): TypedEvent => ({kind: 'Neither'});
const ended = (): TypedEvent => ({kind: 'End'});

/** A map, because a backend may call its event `constructor`. */
const byType = new Map<string, (event: JsonObject) => TypedEvent>([
  ['response.created', neither],
  ['response.queued', neither],
  ['response.in_progress', neither],
  ['response.completed', ended],
  ['response.incomplete', ended],
  ['response.cancelled', ended], // by a call of his own
  ['response.failed', (event) => ({kind: 'Error', error: errorOf(responseIn(event))})],
  [
    'response.image_generation_call.partial_image',
    ({partial_image_b64}) => ({kind: 'Content', length: textLength(partial_image_b64)}),
  ],
]);

/** Text, reasoning, arguments, refusals, audio: all come as a `delta`. */
function readEvent(event: JsonObject): TypedEvent {
  const {type, delta} = event;
  if (typeof type !== 'string') return {kind: 'Neither'};
  const known = byType.get(type);
  if (known !== undefined) return known(event);
  if (type.endsWith('.delta') && typeof delta === 'string') return {kind: 'Content', length: delta.length};
  return {kind: type.startsWith('response.') ? 'Progress' : 'Neither'};
}

const partLength = ({text, refusal}: JsonObject): number => textLength(text) + textLength(refusal);
const itemLength = (item: JsonObject): number =>
  lengthOfAll(item['content'], partLength) + textLength(item['arguments']) + textLength(item['input']);

export const responses = openAiApi({
  name: 'responses',
  path: '/responses',
  answers: ['Whole', 'Events'],
  answerAsked: eventsIfStreamed,
  stateNamed: (request) => memberSet(request, statefulMembers),
  fields: memberNames('model', 'stream', 'prompt_cache_key', 'input', ...statefulMembers),
  createStreamReader: () =>
    createTypedEventsReader({
      answers: 1,
      readEvent,
      readUsage: (event, before) => readUsage(responseIn(event)['usage']) ?? before,
    }),
  readAnswer: createAnswerReader({lists: ['output'], itemLength}),
  endOfStream: '',
  /** Flat, as the API has it; and once more as `error`, which is where OpenAI's own clients look. */
  errorEvent: (error, usage) =>
    writeEvent(
      JSON.stringify({
        type: 'error',
        code: error.code,
        message: error.message,
        param: error.param,
        error,
        ...(usage && {
          usage: {
            input_tokens: usage.promptTokens,
            output_tokens: usage.completionTokens,
            total_tokens: usage.promptTokens + usage.completionTokens,
            ...(usage.estimated ? {estimated: true} : {}),
          },
        }),
      }),
      'error',
    ),
});
