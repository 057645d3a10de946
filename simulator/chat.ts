/** POST /v1/chat/completions: https://platform.openai.com/docs/api-reference/chat */
import {z} from 'zod';
import type {Outcome} from './errors.ts';
import {
  badRequest,
  modelIsUnknown,
  paceOf,
  promptIsTooLong,
  speak,
  streamedAnswer,
  usageOf,
  workMs,
  type Call,
  type StreamedChoice,
} from './model.ts';
import type {Prompt} from './prompts.ts';
import {plainAnswer} from './reply.ts';
import {estimateTokens, hashOf} from './text.ts';
import {sampleOf, sayJson} from './json-sample.ts';
import {toolChoiceOf, toolToCall, type Tool, type ToolCall} from './tools.ts';

const contentSchema = z.union([z.string(), z.array(z.looseObject({type: z.string(), text: z.string().optional()}))]);

const toolSchema = z.looseObject({
  type: z.string(),
  function: z.looseObject({name: z.string(), parameters: z.unknown().optional()}).optional(),
});

const formatSchema = z.looseObject({
  type: z.string(),
  json_schema: z.looseObject({schema: z.unknown().optional()}).optional(),
});

const chatSchema = z.looseObject({
  model: z.string(),
  messages: z.array(z.looseObject({role: z.string(), content: contentSchema.nullish()})).min(1),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({include_usage: z.boolean().nullish()}).nullish(),
  max_tokens: z.int().min(1).nullish(),
  max_completion_tokens: z.int().min(1).nullish(),
  n: z.int().min(1).max(128).nullish(),
  tools: z.array(toolSchema).nullish(),
  tool_choice: z.union([z.string(), z.looseObject({function: z.looseObject({name: z.string()}).optional()})]).nullish(),
  response_format: formatSchema.nullish(),
});

export type ChatRequest = z.output<typeof chatSchema>;

const textOf = (content: ChatRequest['messages'][number]['content']): string =>
  typeof content === 'string' ? content : (content ?? []).map(({text}) => text ?? '').join('\n');

type Said = {content: string[]; toolCall: ToolCall | undefined; finishReason: string};

const toolFor = ({tools, tool_choice, messages}: ChatRequest): Omit<ToolCall, 'id'> | undefined => {
  const offered = (tools ?? []).flatMap((tool): Tool[] =>
    tool.function === undefined ? [] : [{name: tool.function.name, parameters: tool.function.parameters}],
  );
  const choice = toolChoiceOf(typeof tool_choice === 'object' ? (tool_choice?.function ?? null) : tool_choice);
  // The result of a call comes last; to call again would never end.
  const hasResult = messages.at(-1)?.role === 'tool';
  const asked = hasResult ? '' : textOf(messages.findLast(({role}) => role === 'user')?.content);
  return toolToCall({tools: offered, choice}, asked);
};

const jsonFor = ({response_format: format}: ChatRequest): string[] | undefined => {
  if (format?.type === 'json_object') return sayJson({answer: 'a sample'});
  return format?.type === 'json_schema' ? sayJson(sampleOf(format.json_schema?.schema)) : undefined;
};

const sayAll = (call: Call, request: ChatRequest, prompt: Prompt): Said[] => {
  const tool = toolFor(request);
  const json = jsonFor(request);
  const limit = request.max_completion_tokens ?? request.max_tokens ?? undefined;
  return Array.from({length: request.n ?? 1}, (_, choice) => {
    if (tool !== undefined) {
      const toolCall = {...tool, id: `call_${call.id.slice(0, 20)}${choice}`};
      return {content: [], toolCall, finishReason: call.overrides.finishReason ?? 'tool_calls'};
    }
    const {tokens, finishReason} = speak(call, prompt, {choice, limit, json});
    return {content: tokens, toolCall: undefined, finishReason};
  });
};

const tokensIn = ({content, toolCall}: Said): number => toolCall?.argumentPieces.length ?? content.length;

const plainChoice = ({content, toolCall, finishReason}: Said, index: number): object => ({
  index,
  message: {
    role: 'assistant',
    content: toolCall === undefined ? content.join('') : null,
    refusal: null,
    ...(toolCall === undefined ? {} : {tool_calls: [wholeToolCall(toolCall)]}),
  },
  logprobs: null,
  finish_reason: finishReason,
});

const wholeToolCall = ({id, name, argumentPieces}: ToolCall): object => ({
  id,
  type: 'function',
  function: {name, arguments: argumentPieces.join('')},
});

const streamedChoice = ({content, toolCall, finishReason}: Said, index: number): StreamedChoice => {
  const entry = (delta: object, finish_reason: string | null = null): object => ({
    index,
    delta,
    logprobs: null,
    finish_reason,
  });
  function* deltas(): Iterable<object> {
    for (const token of content) yield entry({content: token});
    if (toolCall === undefined) return;
    const {id, name, argumentPieces} = toolCall;
    yield entry({tool_calls: [{index: 0, id, type: 'function', function: {name, arguments: ''}}]});
    for (const text of argumentPieces) yield entry({tool_calls: [{index: 0, function: {arguments: text}}]});
  }
  return {
    opening: [entry({role: 'assistant', content: toolCall === undefined ? '' : null})],
    content: deltas(),
    closing: entry({}, finishReason),
  };
};

export const answerChat = (body: unknown, call: Call): Outcome => {
  const parsed = chatSchema.safeParse(body);
  if (!parsed.success) return badRequest(parsed.error);
  const request = parsed.data;
  const text = request.messages.map(({content}) => textOf(content)).join('\n');
  const prompt = {text, tokens: estimateTokens(text)};

  const refusal = modelIsUnknown(call.server, request.model) ?? promptIsTooLong(call.server, prompt.tokens, 'messages');
  if (refusal !== undefined) return refusal;

  const said = sayAll(call, request, prompt);
  const usage = usageOf(
    prompt.tokens,
    said.reduce((sum, one) => sum + tokensIn(one), 0),
  );
  const base = {
    id: `chatcmpl-${call.id}`,
    object: request.stream === true ? 'chat.completion.chunk' : 'chat.completion',
    created: call.createdSeconds,
    model: request.model,
    system_fingerprint: `fp_${hashOf(call.server.name).toString(16)}`,
  };
  if (request.stream === true) {
    const usageIsAsked = request.stream_options?.include_usage === true;
    return streamedAnswer(call, base, {choices: said.map(streamedChoice), usage, usageIsAsked});
  }
  const report = call.overrides.usage === 'Never' ? {} : {usage};
  return plainAnswer(
    200,
    {...base, choices: said.map(plainChoice), ...report},
    workMs(paceOf(call), Math.max(...said.map(tokensIn))),
  );
};
