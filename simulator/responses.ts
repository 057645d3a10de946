/** POST /v1/responses: https://platform.openai.com/docs/api-reference/responses */
import {z} from 'zod';
import {refuse, type Outcome} from './errors.ts';
import {sampleOf, sayJson} from './json-sample.ts';
import {badRequest, modelIsUnknown, paceOf, promptIsTooLong, speak, workMs, type Call} from './model.ts';
import {plainAnswer} from './reply.ts';
import {failedResponse, outputItem, unfinished, type ResponseObject, type Said} from './response-object.ts';
import {responseStream} from './response-stream.ts';
import type {ResponseStore} from './response-store.ts';
import {estimateTokens} from './text.ts';
import {toolChoiceOf, toolToCall, type Tool, type ToolCall} from './tools.ts';

const contentSchema = z.union([z.string(), z.array(z.looseObject({type: z.string(), text: z.string().optional()}))]);

const itemSchema = z.looseObject({
  type: z.string().optional(),
  role: z.string().optional(),
  content: contentSchema.nullish(),
  /** Of a tool that was called. */
  output: contentSchema.optional(),
});

const requestSchema = z.looseObject({
  model: z.string(),
  input: z.union([z.string(), z.array(itemSchema)]).optional(),
  instructions: z.string().nullable().default(null),
  stream: z.boolean().nullish(),
  store: z.boolean().nullable().default(true),
  background: z.boolean().nullable().default(false),
  previous_response_id: z.string().nullable().default(null),
  conversation: z.union([z.string(), z.looseObject({id: z.string()})]).nullish(),
  max_output_tokens: z.int().min(1).nullable().default(null),
  metadata: z.record(z.string(), z.string()).nullish(),
  tools: z
    .array(z.looseObject({type: z.string(), name: z.string().optional(), parameters: z.unknown().optional()}))
    .nullish(),
  tool_choice: z.union([z.string(), z.looseObject({name: z.string().optional()})]).nullish(),
  text: z.looseObject({format: z.looseObject({type: z.string(), schema: z.unknown().optional()}).nullish()}).nullish(),
});

type ResponseRequest = z.output<typeof requestSchema>;
type Item = z.output<typeof itemSchema>;

const contentOf = (item: Item): string => {
  const content = item.content ?? item.output;
  if (typeof content === 'string') return content;
  return (content ?? []).map(({text}) => text ?? '').join('\n');
};

const itemsOf = ({input}: ResponseRequest): Item[] =>
  typeof input === 'string' ? [{role: 'user', content: input}] : (input ?? []);

const jsonFor = ({text}: ResponseRequest): string[] | undefined => {
  if (text?.format?.type === 'json_object') return sayJson({answer: 'a sample'});
  return text?.format?.type === 'json_schema' ? sayJson(sampleOf(text.format.schema)) : undefined;
};

const toolFor = (request: ResponseRequest): Omit<ToolCall, 'id'> | undefined => {
  const tools = (request.tools ?? []).flatMap(({type, name, parameters}): Tool[] =>
    type === 'function' && name !== undefined ? [{name, parameters}] : [],
  );
  const last = itemsOf(request).at(-1);
  return toolToCall({tools, choice: toolChoiceOf(request.tool_choice)}, last?.role === 'user' ? contentOf(last) : '');
};

const say = (call: Call, request: ResponseRequest, prompt: {text: string; tokens: number}): Said => {
  const tool = toolFor(request);
  if (tool !== undefined) {
    const finishReason = call.overrides.finishReason ?? 'tool_calls';
    return {
      itemId: `fc_${call.id}`,
      tokens: tool.argumentPieces,
      toolCall: {...tool, id: `call_${call.id.slice(0, 24)}`},
      finishReason,
    };
  }
  const limit = request.max_output_tokens ?? undefined;
  return {itemId: `msg_${call.id}`, ...speak(call, prompt, {limit, json: jsonFor(request)}), toolCall: undefined};
};

const incompleteReasons: Record<string, string> = {length: 'max_output_tokens', content_filter: 'content_filter'};

const usageOf = (inputTokens: number, outputTokens: number): object => ({
  input_tokens: inputTokens,
  input_tokens_details: {cached_tokens: 0},
  output_tokens: outputTokens,
  output_tokens_details: {reasoning_tokens: 0},
  total_tokens: inputTokens + outputTokens,
});

/** All that does not depend on what is said. */
const framed = (call: Call, request: ResponseRequest): Record<string, unknown> & {id: string} => ({
  id: `resp_${call.id}`,
  object: 'response',
  created_at: call.createdSeconds,
  background: request.background,
  error: null,
  instructions: request.instructions,
  max_output_tokens: request.max_output_tokens,
  metadata: request.metadata ?? {},
  model: request.model,
  parallel_tool_calls: true,
  previous_response_id: request.previous_response_id,
  ...(request.conversation == null ? {} : {conversation: {id: idOf(request.conversation)}}),
  store: request.store,
  temperature: 1,
  text: {format: request.text?.format ?? {type: 'text'}},
  tool_choice: request.tool_choice ?? 'auto',
  tools: request.tools ?? [],
  top_p: 1,
  truncation: 'disabled',
});

const idOf = (conversation: string | {id: string}): string =>
  typeof conversation === 'string' ? conversation : conversation.id;

const finished = (call: Call, frame: ReturnType<typeof framed>, said: Said, promptTokens: number): ResponseObject => {
  const reason = incompleteReasons[said.finishReason];
  const status = reason === undefined ? 'completed' : 'incomplete';
  return {
    ...frame,
    status,
    completed_at: reason === undefined ? call.createdSeconds : null,
    incomplete_details: reason === undefined ? null : {reason},
    output: [outputItem(said, status)],
    usage: call.overrides.usage === 'Never' ? null : usageOf(promptTokens, said.tokens.length),
  };
};

/** Everything that the model reads: what came before, instructions and input. */
const promptOf = (request: ResponseRequest, earlier: string): {text: string; tokens: number} => {
  const parts = [earlier, request.instructions ?? '', ...itemsOf(request).map(contentOf)];
  const text = parts.filter((part) => part !== '').join('\n');
  return {text, tokens: estimateTokens(text)};
};

const earlierText = ({previous_response_id: id}: ResponseRequest, store: ResponseStore): string | undefined =>
  id == null ? '' : store.said(id);

export const answerResponse = (body: unknown, call: Call, store: ResponseStore): Outcome => {
  const parsed = requestSchema.safeParse(body);
  if (!parsed.success) return badRequest(parsed.error);
  const request = parsed.data;
  const unknown = modelIsUnknown(call.server, request.model);
  if (unknown !== undefined) return unknown;
  const earlier = earlierText(request, store);
  if (earlier === undefined) {
    const message = `Previous response with id '${request.previous_response_id}' not found.`;
    return refuse(400, {message, param: 'previous_response_id', code: 'previous_response_not_found'});
  }
  const prompt = promptOf(request, earlier);
  const tooLong = promptIsTooLong(call.server, prompt.tokens, 'input');
  if (tooLong !== undefined) return tooLong;

  const said = say(call, request, prompt);
  const frame = framed(call, request);
  const response = finished(call, frame, said, prompt.tokens);
  const durationMs = workMs(paceOf(call), said.tokens.length);
  if (request.store !== false) store.keep(response, {durationMs, said: `${prompt.text}\n${said.tokens.join('')}`});
  if (request.stream === true) return responseStream(call, response, said);
  if (request.background === true) return plainAnswer(200, unfinished(response, 'queued'));
  return {
    ...plainAnswer(200, response, durationMs),
    failed: (error) => JSON.stringify(failedResponse(response, error)),
  };
};
