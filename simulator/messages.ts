/** POST /v1/messages and /v1/messages/count_tokens: https://docs.anthropic.com/en/api/messages */
import {z} from 'zod';
import {refuse, type Outcome, type Refusal} from './errors.ts';
import {sampleOf, sayJson} from './json-sample.ts';
import {badRequest, paced, paceOf, speak, workMs, type Call} from './model.ts';
import type {Prompt} from './prompts.ts';
import {eventStreamHeaders, namedEvent, piece, plainAnswer, type EventForm, type StreamedAnswer} from './reply.ts';
import {estimateTokens} from './text.ts';
import {toolToCall, type ToolCall, type ToolChoice} from './tools.ts';

const blocksSchema = z.union([z.string(), z.array(z.looseObject({type: z.string(), text: z.string().optional()}))]);

const promptSchema = z.looseObject({
  model: z.string(),
  messages: z.array(z.looseObject({role: z.enum(['user', 'assistant', 'system']), content: blocksSchema})).min(1),
  system: blocksSchema.nullish(),
  tools: z.array(z.looseObject({name: z.string(), input_schema: z.unknown().optional()})).nullish(),
  tool_choice: z.looseObject({type: z.string(), name: z.string().optional()}).nullish(),
});

const messageSchema = promptSchema.extend({
  max_tokens: z.int().min(1),
  stream: z.boolean().nullish(),
  output_config: z
    .looseObject({format: z.looseObject({type: z.string(), schema: z.unknown().optional()}).nullish()})
    .nullish(),
});

type MessageRequest = z.output<typeof messageSchema>;

const textOf = (blocks: z.output<typeof blocksSchema> | null | undefined): string =>
  typeof blocks === 'string' ? blocks : (blocks ?? []).map(({text}) => text ?? '').join('\n');

const promptOf = ({system, messages}: z.output<typeof promptSchema>): Prompt => {
  const parts = [textOf(system), ...messages.map(({content}) => textOf(content))];
  const text = parts.filter((part) => part !== '').join('\n');
  return {text, tokens: estimateTokens(text)};
};

const choiceOf = ({tool_choice: choice}: MessageRequest): ToolChoice => {
  if (choice?.type === 'any') return 'Required';
  if (choice?.type === 'none') return 'None';
  return choice?.type === 'tool' && choice.name !== undefined ? {name: choice.name} : 'Auto';
};

/** The results of a call come as a user's message that has no text of its own, so nothing is called again. */
const toolFor = (request: MessageRequest): Omit<ToolCall, 'id'> | undefined => {
  const tools = (request.tools ?? []).map(({name, input_schema: parameters}) => ({name, parameters}));
  const last = request.messages.at(-1);
  return toolToCall({tools, choice: choiceOf(request)}, last?.role === 'user' ? textOf(last.content) : '');
};

type Said = {tokens: string[]; toolCall: ToolCall | undefined; stopReason: string};

const stopReasons: Record<string, string> = {stop: 'end_turn', length: 'max_tokens', tool_calls: 'tool_use'};

const say = (call: Call, request: MessageRequest, prompt: Prompt): Said => {
  const tool = toolFor(request);
  if (tool !== undefined) {
    const toolCall = {...tool, id: `toolu_${call.id.slice(0, 24)}`};
    return {tokens: tool.argumentPieces, toolCall, stopReason: call.overrides.finishReason ?? 'tool_use'};
  }
  const format = request.output_config?.format;
  const json = format?.type === 'json_schema' ? sayJson(sampleOf(format.schema)) : undefined;
  const {tokens, finishReason} = speak(call, prompt, {limit: request.max_tokens, json});
  return {tokens, toolCall: undefined, stopReason: stopReasons[finishReason] ?? finishReason};
};

const wholeBlock = ({tokens, toolCall}: Said): object =>
  toolCall === undefined
    ? {type: 'text', text: tokens.join('')}
    : {type: 'tool_use', id: toolCall.id, name: toolCall.name, input: JSON.parse(tokens.join('')) as unknown};

const emptyBlock = ({toolCall}: Said): object =>
  toolCall === undefined
    ? {type: 'text', text: ''}
    : {type: 'tool_use', id: toolCall.id, name: toolCall.name, input: {}};

const inputUsage = (inputTokens: number): object => ({
  input_tokens: inputTokens,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: 0,
});

const eventForm: EventForm = {
  ping: namedEvent('ping', {type: 'ping'}),
  error: (error = {type: 'api_error', message: 'The engine died.'}) => namedEvent('error', {type: 'error', error}),
  malformed: (data = '{"type": "content_block_delta", "delta": {"text": "cont') =>
    `event: content_block_delta\ndata: ${data}\n\n`,
};

const streamed = (call: Call, message: object, said: Said, promptTokens: number): StreamedAnswer => {
  const write = (type: string, fields: object = {}) => piece(namedEvent(type, {type, ...fields}));
  const hasUsage = call.overrides.usage !== 'Never';
  const usageAtStart = hasUsage ? {usage: {...inputUsage(promptTokens), output_tokens: 1}} : {};
  const usageAtEnd = hasUsage ? {usage: {output_tokens: said.tokens.length}} : {};
  const deltaOf = (token: string): object =>
    said.toolCall === undefined ? {type: 'text_delta', text: token} : {type: 'input_json_delta', partial_json: token};
  return {
    kind: 'Streamed',
    headers: eventStreamHeaders,
    opening: [
      write('message_start', {
        message: {...message, content: [], stop_reason: null, stop_sequence: null, ...usageAtStart},
      }),
      write('ping'),
      write('content_block_start', {index: 0, content_block: emptyBlock(said)}),
    ],
    content: paced(said.tokens, paceOf(call), (token) =>
      namedEvent('content_block_delta', {type: 'content_block_delta', index: 0, delta: deltaOf(token)}),
    ),
    closing: [
      write('content_block_stop', {index: 0}),
      write('message_delta', {delta: {stop_reason: said.stopReason, stop_sequence: null}, ...usageAtEnd}),
    ],
    done: [write('message_stop')],
    events: eventForm,
  };
};

/** Worded as Anthropic does it, which has no codes to know a refusal by. */
const refusalOf = ({server}: Call, model: string, promptTokens: number): Refusal | undefined => {
  if (!server.models.includes(model)) return refuse(404, {message: `model: ${model}`});
  if (server.contextWindow === undefined || promptTokens <= server.contextWindow) return undefined;
  return refuse(400, {message: `prompt is too long: ${promptTokens} tokens > ${server.contextWindow} maximum`});
};

export const answerMessage = (body: unknown, call: Call): Outcome => {
  const parsed = messageSchema.safeParse(body);
  if (!parsed.success) return badRequest(parsed.error);
  const request = parsed.data;
  const prompt = promptOf(request);
  const refusal = refusalOf(call, request.model, prompt.tokens);
  if (refusal !== undefined) return refusal;

  const said = say(call, request, prompt);
  const message = {id: `msg_${call.id}`, type: 'message', role: 'assistant', model: request.model};
  if (request.stream === true) return streamed(call, message, said, prompt.tokens);
  const usage = {...inputUsage(prompt.tokens), output_tokens: said.tokens.length};
  const whole = {...message, content: [wholeBlock(said)], stop_reason: said.stopReason, stop_sequence: null};
  const report = call.overrides.usage === 'Never' ? {} : {usage};
  return plainAnswer(200, {...whole, ...report}, workMs(paceOf(call), said.tokens.length));
};

export const countTokens = (body: unknown, call: Call): Outcome => {
  const parsed = promptSchema.safeParse(body);
  if (!parsed.success) return badRequest(parsed.error);
  const {tokens} = promptOf(parsed.data);
  const refusal = refusalOf(call, parsed.data.model, 0);
  return refusal ?? plainAnswer(200, {input_tokens: tokens}, call.overrides.ttftMs ?? call.server.ttftMs);
};
