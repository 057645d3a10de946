/** POST /v1/completions: https://platform.openai.com/docs/api-reference/completions */
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
  type Spoken,
  type StreamedChoice,
} from './model.ts';
import {promptsOf, promptSchema} from './prompts.ts';
import {plainAnswer} from './reply.ts';
import {hashOf} from './text.ts';

const completionSchema = z.looseObject({
  model: z.string(),
  prompt: promptSchema,
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({include_usage: z.boolean().nullish()}).nullish(),
  max_tokens: z.int().min(1).nullish(),
  n: z.int().min(1).max(128).nullish(),
});

const plainChoice = ({tokens, finishReason}: Spoken, index: number): object => ({
  text: tokens.join(''),
  index,
  logprobs: null,
  finish_reason: finishReason,
});

const streamedChoice = ({tokens, finishReason}: Spoken, index: number): StreamedChoice => {
  const entry = (text: string, finish_reason: string | null): object => ({text, index, logprobs: null, finish_reason});
  function* content(): Iterable<object> {
    for (const token of tokens) yield entry(token, null);
  }
  return {opening: [entry('', null)], content: content(), closing: entry('', finishReason)};
};

export const answerCompletion = (body: unknown, call: Call): Outcome => {
  const parsed = completionSchema.safeParse(body);
  if (!parsed.success) return badRequest(parsed.error);
  const request = parsed.data;
  const prompts = promptsOf(request.prompt);
  const longest = Math.max(...prompts.map(({tokens}) => tokens));
  const refusal = modelIsUnknown(call.server, request.model) ?? promptIsTooLong(call.server, longest, 'prompt');
  if (refusal !== undefined) return refusal;

  const limit = request.max_tokens ?? undefined;
  const said = prompts.flatMap((prompt) =>
    Array.from({length: request.n ?? 1}, (_, choice) => speak(call, prompt, {choice, limit})),
  );
  const lengths = said.map(({tokens}) => tokens.length);
  const usage = usageOf(
    prompts.reduce((sum, {tokens}) => sum + tokens, 0),
    lengths.reduce((sum, length) => sum + length, 0),
  );
  const base = {
    id: `cmpl-${call.id}`,
    object: 'text_completion',
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
    workMs(paceOf(call), Math.max(...lengths)),
  );
};
