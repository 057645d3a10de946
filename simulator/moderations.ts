/** POST /v1/moderations: https://platform.openai.com/docs/api-reference/moderations */
import {z} from 'zod';
import type {Outcome} from './errors.ts';
import {badRequest, modelIsUnknown, type Call} from './model.ts';
import {plainAnswer} from './reply.ts';

const partSchema = z.looseObject({type: z.string(), text: z.string().optional()});

const moderationSchema = z.looseObject({
  model: z.string(),
  input: z.union([z.string(), z.array(z.string()).min(1), z.array(partSchema).min(1)]),
});

const categoryNames = [
  'harassment',
  'harassment/threatening',
  'hate',
  'hate/threatening',
  'illicit',
  'illicit/violent',
  'self-harm',
  'self-harm/instructions',
  'self-harm/intent',
  'sexual',
  'sexual/minors',
  'violence',
  'violence/graphic',
];

/** A text is about each category that it names. */
const resultOf = (text: string): object => {
  const said = text.toLowerCase();
  const found = (category: string): boolean => said.includes(category);
  const byCategory = (value: (category: string) => unknown): object =>
    Object.fromEntries(categoryNames.map((category) => [category, value(category)]));
  return {
    flagged: categoryNames.some(found),
    categories: byCategory(found),
    category_scores: byCategory((category) => (found(category) ? 0.98 : 0.0001)),
    category_applied_input_types: byCategory(() => ['text']),
  };
};

/** Parts are one input together; texts are one each. */
const textsOf = (input: z.output<typeof moderationSchema>['input']): string[] => {
  if (typeof input === 'string') return [input];
  const texts = input.filter((one) => typeof one === 'string');
  return texts.length > 0 ? texts : [input.map((one) => (typeof one === 'string' ? one : (one.text ?? ''))).join('\n')];
};

export const answerModeration = (body: unknown, call: Call): Outcome => {
  const parsed = moderationSchema.safeParse(body);
  if (!parsed.success) return badRequest(parsed.error);
  const {model, input} = parsed.data;
  const results = textsOf(input).map(resultOf);
  const answer = {id: `modr-${call.id}`, model, results};
  return modelIsUnknown(call.server, model) ?? plainAnswer(200, answer, call.overrides.ttftMs ?? call.server.ttftMs);
};
