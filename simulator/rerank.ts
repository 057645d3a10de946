/** POST /v1/rerank and /v1/score, as vLLM, Jina and Cohere have them: https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html */
import {z} from 'zod';
import {refuse, type Outcome} from './errors.ts';
import {badRequest, modelIsUnknown, promptIsTooLong, type Call} from './model.ts';
import {plainAnswer, type PlainAnswer} from './reply.ts';
import {estimateTokens, hashOf} from './text.ts';

const textSchema = z.union([z.string(), z.looseObject({text: z.string()})]);

const rerankSchema = z.looseObject({
  model: z.string(),
  query: textSchema,
  documents: z.array(textSchema).min(1),
  top_n: z.int().min(0).nullish(),
  return_documents: z.boolean().nullish(),
});

const textsSchema = z.union([textSchema, z.array(textSchema).min(1)]);

/** vLLM takes three pairs of names for the same two things. */
const scoreSchema = z
  .looseObject({
    model: z.string(),
    text_1: textsSchema.optional(),
    text_2: textsSchema.optional(),
    queries: textsSchema.optional(),
    documents: textsSchema.optional(),
    data_1: textsSchema.optional(),
    data_2: textsSchema.optional(),
  })
  .transform(({model, text_1, text_2, queries, documents, data_1, data_2}) => ({
    model,
    one: text_1 ?? queries ?? data_1,
    other: text_2 ?? documents ?? data_2,
  }));

const textOf = (text: z.output<typeof textSchema>): string => (typeof text === 'string' ? text : text.text);

const textsOf = (texts: z.output<typeof textsSchema>): string[] =>
  Array.isArray(texts) ? texts.map(textOf) : [textOf(texts)];

const wordsOf = (text: string): Set<string> => new Set(text.toLowerCase().match(/[\p{L}\p{N}]+/gu));

/** The share of the query's words that the document has; its hash decides between equals. */
const scorer = (query: string): ((document: string) => number) => {
  const wanted = wordsOf(query);
  return (document) => {
    const words = wordsOf(document);
    const shared = [...wanted].filter((word) => words.has(word)).length;
    return 0.9 * (shared / Math.max(1, wanted.size)) + 0.1 * (hashOf(document) / 2 ** 32);
  };
};

/** Every pair is read by the model. */
const tokensOf = (pairs: {query: string; document: string}[]): number[] =>
  pairs.map(({query, document}) => estimateTokens(query + document));

const report = (call: Call, tokens: number[]): object => {
  const total = tokens.reduce((sum, count) => sum + count, 0);
  return call.overrides.usage === 'Never' ? {} : {usage: {prompt_tokens: total, total_tokens: total}};
};

const answered = (call: Call, body: object): PlainAnswer =>
  plainAnswer(200, body, call.overrides.ttftMs ?? call.server.ttftMs);

/** Not by spreading: a rerank may have more documents than a call has room for arguments. */
const longestOf = (tokens: number[]): number => tokens.reduce((most, count) => Math.max(most, count), 0);

export const answerRerank = (body: unknown, call: Call): Outcome => {
  const parsed = rerankSchema.safeParse(body);
  if (!parsed.success) return badRequest(parsed.error);
  const {model, top_n, return_documents} = parsed.data;
  const query = textOf(parsed.data.query);
  const documents = parsed.data.documents.map(textOf);
  const tokens = tokensOf(documents.map((document) => ({query, document})));
  const refusal = modelIsUnknown(call.server, model) ?? promptIsTooLong(call.server, longestOf(tokens), 'documents');
  if (refusal !== undefined) return refusal;

  const score = scorer(query);
  const ranked = documents
    .map((text, index) => ({index, relevance_score: score(text), document: {text}}))
    .sort((one, other) => other.relevance_score - one.relevance_score)
    .slice(0, top_n == null || top_n === 0 ? documents.length : top_n);
  const results =
    return_documents === true ? ranked : ranked.map(({index, relevance_score}) => ({index, relevance_score}));
  return answered(call, {id: `rerank-${call.id}`, object: 'list', model, ...report(call, tokens), results});
};

/** One against many, or as many pairs as both have. */
const paired = (queries: string[], documents: string[]): {query: string; document: string}[] | undefined => {
  if (queries.length !== 1 && queries.length !== documents.length) return undefined;
  return documents.map((document, index) => ({query: queries[queries.length === 1 ? 0 : index] ?? '', document}));
};

export const answerScore = (body: unknown, call: Call): Outcome => {
  const parsed = scoreSchema.safeParse(body);
  if (!parsed.success) return badRequest(parsed.error);
  const {model, one, other} = parsed.data;
  if (one === undefined || other === undefined) {
    return refuse(400, {message: 'Two texts to compare are needed: text_1 and text_2.', param: 'text_1'});
  }
  const pairs = paired(textsOf(one), textsOf(other));
  if (pairs === undefined)
    return refuse(400, {message: 'Input lengths must be either 1:1, 1:N or N:N', param: 'text_1'});
  const tokens = tokensOf(pairs);
  const refusal = modelIsUnknown(call.server, model) ?? promptIsTooLong(call.server, longestOf(tokens), 'text_2');
  if (refusal !== undefined) return refusal;
  const data = pairs.map(({query, document}, index) => ({index, object: 'score', score: scorer(query)(document)}));
  const about = {id: `score-${call.id}`, object: 'list', created: call.createdSeconds, model};
  return answered(call, {...about, data, ...report(call, tokens)});
};
