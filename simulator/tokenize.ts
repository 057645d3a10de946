/** POST /tokenize and /v1/tokenize, as vLLM and SGLang have them. */
import {z} from 'zod';
import type {Outcome} from './errors.ts';
import {badRequest, modelIsUnknown, type Call} from './model.ts';
import {plainAnswer} from './reply.ts';
import {hashOf, tokensOf} from './text.ts';

const contentSchema = z.union([z.string(), z.array(z.looseObject({text: z.string().optional()}))]);

const tokenizeSchema = z
  .looseObject({
    model: z.string().nullish(),
    prompt: z.string().optional(),
    messages: z
      .array(z.looseObject({role: z.string(), content: contentSchema}))
      .min(1)
      .optional(),
    return_token_strs: z.boolean().nullish(),
  })
  .refine(({prompt, messages}) => (prompt === undefined) !== (messages === undefined), {
    message: 'expected either prompt or messages',
    path: ['prompt'],
  });

const vocabulary = 32_000;

const textOf = (content: z.output<typeof contentSchema>): string =>
  typeof content === 'string' ? content : content.map(({text}) => text ?? '').join('\n');

export const answerTokenize = (body: unknown, call: Call): Outcome => {
  const parsed = tokenizeSchema.safeParse(body);
  if (!parsed.success) return badRequest(parsed.error);
  const {model, prompt, messages, return_token_strs} = parsed.data;
  const text = prompt ?? (messages ?? []).map(({content}) => textOf(content)).join('\n');
  const words = tokensOf(text);
  const refusal = model == null ? undefined : modelIsUnknown(call.server, model);
  return (
    refusal ??
    plainAnswer(200, {
      count: words.length,
      max_model_len: call.server.contextWindow ?? 131_072,
      tokens: words.map((word) => hashOf(word) % vocabulary),
      token_strs: return_token_strs === true ? words : null,
    })
  );
};
