/** POST /v1/messages: https://docs.claude.com/en/api/messages and, for its stream, https://docs.claude.com/en/docs/build-with-claude/streaming */
import type {Usage} from './api.ts';
import {anthropicApi, anthropicError} from './anthropic.ts';
import {eventsIfStreamed} from './asked.ts';
import {isObject, textLength, type JsonObject} from './json.ts';
import {memberNames} from './json-members.ts';
import {writeEvent} from './sse.ts';
import {createTypedEventsReader, type TypedEvent} from './typed-events.ts';
import {readUsage} from './usage.ts';
import {createAnswerReader} from './whole-json.ts';

const contentOf = ({text, thinking, partial_json}: JsonObject): number =>
  textLength(text) + textLength(thinking) + textLength(partial_json);

/** A signature or a citation is no content. */
function readDelta({delta}: JsonObject): TypedEvent {
  const length = isObject(delta) ? contentOf(delta) : 0;
  return length > 0 ? {kind: 'Content', length} : {kind: 'Progress'};
}

const progress = (): TypedEvent => ({kind: 'Progress'});

/** A map, because a backend may call its event `constructor`. */
const byType = new Map<unknown, (event: JsonObject) => TypedEvent>([
  ['content_block_start', progress],
  ['content_block_delta', readDelta],
  ['content_block_stop', progress],
  ['message_delta', progress],
  ['message_stop', () => ({kind: 'End'})],
]);

/** Neither: `message_start`, `ping`, what is yet to come. */
const readEvent = (event: JsonObject): TypedEvent => byType.get(event['type'])?.(event) ?? {kind: 'Neither'};

/**
 * The prompt's tokens come with `message_start`; those of the answer with `message_delta`, which may correct the prompt's. What
 * `message_start` says of the answer, 0 or 1, is no count of it.
 */
function readTokens({message, usage}: JsonObject, before: Usage | undefined): Usage | undefined {
  if (isObject(message)) {
    const started = readUsage(message['usage']);
    return started && {...started, completionTokens: 0};
  }
  const reported = readUsage(usage);
  if (reported === undefined || before === undefined) return reported ?? before;
  return {...reported, promptTokens: Math.max(reported.promptTokens, before.promptTokens)};
}

const blockLength = ({input, ...block}: JsonObject): number =>
  contentOf(block) + (isObject(input) ? JSON.stringify(input).length : 0);

export const messages = anthropicApi({
  name: 'messages',
  path: '/messages',
  answers: ['Whole', 'Events'],
  answerAsked: eventsIfStreamed,
  fields: memberNames('model', 'stream', 'messages'),
  createStreamReader: () => createTypedEventsReader({answers: 1, readEvent, readUsage: readTokens}),
  readAnswer: createAnswerReader({lists: ['content'], itemLength: blockLength}),
  keepAlive: 'event: ping\ndata: {"type": "ping"}\n\n',
  endOfStream: '',
  errorEvent: (error, usage) =>
    writeEvent(
      JSON.stringify({
        ...anthropicError(error, undefined),
        ...(usage && {
          usage: {
            input_tokens: usage.promptTokens,
            output_tokens: usage.completionTokens,
            ...(usage.estimated ? {estimated: true} : {}),
          },
        }),
      }),
      'error',
    ),
});
