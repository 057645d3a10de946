/** What the model APIs have in common: the server they belong to, pace, choices as a stream, usage, and refusals. */
import type {z} from 'zod';
import type {AnswerOverrides} from './behaviour.ts';
import {refuse, type Refusal} from './errors.ts';
import {event, eventStreamHeaders, openAiEvents, piece, type Piece, type StreamedAnswer} from './reply.ts';
import type {Prompt} from './prompts.ts';
import {hashOf, sayTokens, tokensOf} from './text.ts';

export type ModelServer = {
  name: string;
  models: string[];
  /** From the request to the first token. */
  ttftMs: number;
  /** 0 or Infinity: all at once. */
  tokensPerSecond: number;
  /** How long an answer is, unless the request wants less. */
  tokens: number;
  /** In tokens; undefined: no limit. */
  contextWindow: number | undefined;
};

/** What makes one answer different from the next; given from outside, so that answers are a function of it. */
export type Call = {server: ModelServer; id: string; createdSeconds: number; overrides: AnswerOverrides};

export type Pace = {ttftMs: number; gapMs: number};

export const paceOf = ({server, overrides}: Call): Pace => {
  const tokensPerSecond = overrides.tokensPerSecond ?? server.tokensPerSecond;
  return {
    ttftMs: overrides.ttftMs ?? server.ttftMs,
    gapMs: tokensPerSecond > 0 && Number.isFinite(tokensPerSecond) ? 1000 / tokensPerSecond : 0,
  };
};

/** How long the whole answer takes when it is not streamed. */
export const workMs = ({ttftMs, gapMs}: Pace, tokens: number): number => ttftMs + gapMs * Math.max(0, tokens - 1);

export type Usage = {prompt_tokens: number; completion_tokens: number; total_tokens: number};

export const usageOf = (promptTokens: number, completionTokens: number): Usage => ({
  prompt_tokens: promptTokens,
  completion_tokens: completionTokens,
  total_tokens: promptTokens + completionTokens,
});

export type Spoken = {tokens: string[]; finishReason: string};

/** The tokens that a behaviour puts into the model's mouth. */
export const toldIn = ({text}: AnswerOverrides): string[] | undefined =>
  typeof text === 'string' ? tokensOf(text) : text;

const roomAfter = ({contextWindow = Infinity}: ModelServer, {tokens}: Prompt): number => contextWindow - tokens;

const tokensWanted = ({answerTokens}: AnswerOverrides, {tokens}: ModelServer): number => answerTokens ?? tokens;

const finishOf = (count: number, wanted: number): string => (count < wanted ? 'length' : 'stop');

/** The text of one choice, and why it ends. The prompt, and which of the choices it is, decide the words; `json`: instead of words. */
export const speak = (
  {server, overrides}: Call,
  prompt: Prompt,
  {choice = 0, limit = Infinity, json}: {choice?: number; limit?: number | undefined; json?: string[] | undefined},
): Spoken => {
  const told = toldIn(overrides) ?? json;
  const wanted = told?.length ?? tokensWanted(overrides, server);
  const count = Math.min(wanted, limit, roomAfter(server, prompt));
  const seed = hashOf(prompt.text) + choice;
  const tokens = told?.slice(0, count) ?? sayTokens({name: server.name, count, seed});
  return {tokens, finishReason: overrides.finishReason ?? finishOf(count, wanted)};
};

/** One choice as the entries of `choices` that bring it, one per token. */
export type StreamedChoice = {opening: object[]; content: Iterable<object>; closing: object};

function* inTurns(choices: StreamedChoice[], {ttftMs, gapMs}: Pace): Iterable<{choice: object; afterMs: number}> {
  let running = choices.map(({content}) => content[Symbol.iterator]());
  let afterMs = ttftMs;
  while (running.length > 0) {
    const stillRunning: typeof running = [];
    for (const choice of running) {
      const next = choice.next();
      if (next.done === true) continue;
      yield {choice: next.value, afterMs};
      afterMs = 0;
      stillRunning.push(choice);
    }
    running = stillRunning;
    afterMs = gapMs;
  }
}

/** The pieces of one answer's tokens at the model's pace. */
export function* paced<Token>(
  tokens: Iterable<Token>,
  {ttftMs, gapMs}: Pace,
  say: (token: Token) => string | Uint8Array,
): Iterable<Piece> {
  let afterMs = ttftMs;
  for (const token of tokens) {
    yield piece(say(token), afterMs);
    afterMs = gapMs;
  }
}

const wantsUsage = (call: Call, asked: boolean): boolean =>
  call.overrides.usage === 'Always' || (asked && call.overrides.usage !== 'Never');

/** `base` is what all chunks share; usage, if asked for, is null in all but the last, as OpenAI does it. */
export const streamedAnswer = (
  call: Call,
  base: object,
  {choices, usage, usageIsAsked}: {choices: StreamedChoice[]; usage: Usage; usageIsAsked: boolean},
): StreamedAnswer => {
  const hasUsage = wantsUsage(call, usageIsAsked);
  const chunk = (choice: object, afterMs = 0): Piece =>
    piece(event({...base, choices: [choice], ...(hasUsage && usageIsAsked ? {usage: null} : {})}), afterMs);
  function* content(): Iterable<Piece> {
    for (const {choice, afterMs} of inTurns(choices, paceOf(call))) yield chunk(choice, afterMs);
  }
  return {
    kind: 'Streamed',
    headers: eventStreamHeaders,
    opening: choices.flatMap(({opening}) => opening.map((choice) => chunk(choice))),
    content: content(),
    closing: [
      ...choices.map(({closing}) => chunk(closing)),
      ...(hasUsage ? [piece(event({...base, choices: [], usage}))] : []),
    ],
    done: [piece('data: [DONE]\n\n')],
    events: openAiEvents('{"choices": [{"delta": {"cont'),
  };
};

export const badRequest = (error: z.ZodError): Refusal => {
  const issue = error.issues[0];
  const param = issue === undefined || issue.path.length === 0 ? null : issue.path.join('.');
  return refuse(400, {
    message: `Invalid request: ${issue?.message ?? 'not an object'} (${param ?? 'body'}).`,
    param,
  });
};

export const modelIsUnknown = (server: ModelServer, model: string): Refusal | undefined =>
  server.models.includes(model)
    ? undefined
    : refuse(404, {
        message: `The model \`${model}\` does not exist or you do not have access to it.`,
        param: 'model',
        code: 'model_not_found',
      });

export const promptIsTooLong = (server: ModelServer, promptTokens: number, param: string): Refusal | undefined =>
  server.contextWindow === undefined || promptTokens <= server.contextWindow
    ? undefined
    : refuse(400, {
        message:
          `This model's maximum context length is ${server.contextWindow} tokens. However, your ${param} resulted in ` +
          `${promptTokens} tokens. Please reduce the length of the ${param}.`,
        param,
        code: 'context_length_exceeded',
      });
