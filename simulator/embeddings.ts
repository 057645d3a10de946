/** POST /v1/embeddings: https://platform.openai.com/docs/api-reference/embeddings */
import {z} from 'zod';
import type {Outcome} from './errors.ts';
import {badRequest, modelIsUnknown, promptIsTooLong, type Call} from './model.ts';
import {promptsOf, promptSchema} from './prompts.ts';
import {plainAnswer} from './reply.ts';
import {hashOf, randomFrom} from './text.ts';

const embeddingSchema = z.looseObject({
  model: z.string(),
  input: promptSchema,
  dimensions: z.int().min(1).max(8192).nullish(),
  encoding_format: z.enum(['float', 'base64']).nullish(),
});

/** Of length 1, and the same for the same text. */
export const vectorOf = (text: string, dimensions: number): Float32Array => {
  const random = randomFrom(hashOf(text));
  const vector = Float32Array.from({length: dimensions}, () => random() * 2 - 1);
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0));
  return vector.map((value) => value / length);
};

const encoded = (vector: Float32Array, format: 'float' | 'base64'): number[] | string =>
  format === 'float' ? [...vector] : Buffer.from(vector.buffer).toString('base64');

export const answerEmbedding = (body: unknown, call: Call): Outcome => {
  const parsed = embeddingSchema.safeParse(body);
  if (!parsed.success) return badRequest(parsed.error);
  const request = parsed.data;
  const inputs = promptsOf(request.input);
  const longest = Math.max(...inputs.map(({tokens}) => tokens));
  const refusal = modelIsUnknown(call.server, request.model) ?? promptIsTooLong(call.server, longest, 'input');
  if (refusal !== undefined) return refusal;

  const promptTokens = inputs.reduce((sum, {tokens}) => sum + tokens, 0);
  const data = inputs.map(({text}, index) => ({
    object: 'embedding',
    index,
    embedding: encoded(vectorOf(text, request.dimensions ?? 256), request.encoding_format ?? 'float'),
  }));
  const usage = {prompt_tokens: promptTokens, total_tokens: promptTokens};
  const report = call.overrides.usage === 'Never' ? {} : {usage};
  return plainAnswer(
    200,
    {object: 'list', data, model: request.model, ...report},
    call.overrides.ttftMs ?? call.server.ttftMs,
  );
};
