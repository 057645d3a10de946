/**
 * What a simulator can be told to do with a request: one schema, read from the control endpoint, from the header
 * `x-simulate`, from the field `simulate` of a request's body or form, and from tests in the same process.
 *
 * A token is what an answer's content comes in: a word, a tenth of a second of speech, a part of an image, and in a realtime session an event
 * that the server sends.
 */
import {z} from 'zod';

const count = z.int().min(0).max(1_000_000);
const milliseconds = z.number().min(0).max(3_600_000);
const headers = z.record(z.string(), z.union([z.string(), z.array(z.string())]));

/** Every behaviour may also say what the answer, up to the fault, looks like. */
const answer = {
  text: z
    .union([z.string(), z.array(z.string())])
    .optional()
    .describe('The text, instead of the usual one: cut into words, or, as a list, exactly these tokens.'),
  answerTokens: count.optional().describe('How many tokens, if no `text` is given.'),
  ttftMs: milliseconds.optional().describe('From the request to the first token.'),
  tokensPerSecond: z.number().min(0).optional().describe('0: all at once.'),
  finishReason: z.string().optional().describe('The `finish_reason`, such as `content_filter`.'),
  usage: z
    .enum(['AsAsked', 'Never', 'Always'])
    .optional()
    .describe('Whether usage is reported: `Never` is a server that cannot, `Always` one that does so unasked.'),
};

const failure = z
  .record(z.string(), z.unknown())
  .optional()
  .describe('The error object; by default as the API itself would word it.');

const where = z
  .enum(['BeforeHeaders', 'BeforeFirstToken', 'AfterTokens'])
  .default('BeforeHeaders')
  .describe(
    'BeforeFirstToken: headers, and not one byte of the body. AfterTokens in a plain answer: half of its body. ' +
      'In a realtime session: before the handshake, after it, and after so many events.',
  );

const rawChunk = z
  .strictObject({text: z.string().optional(), base64: z.base64().optional(), afterMs: milliseconds.default(0)})
  .refine((chunk) => (chunk.text === undefined) !== (chunk.base64 === undefined), 'expected either text or base64');

/** The text is for people who ask the simulator for its schema as well as for readers of this file. */
const behaviour = <const Name extends string, Shape extends z.ZodRawShape>(name: Name, text: string, shape: Shape) =>
  z.strictObject({do: z.literal(name), ...shape, ...answer}).describe(text);

export const behaviourSchema = z.discriminatedUnion('do', [
  behaviour('answer', 'A proper answer.', {}),
  behaviour('delay', 'A proper answer, its headers so much later than usual.', {ms: milliseconds}),
  behaviour('status', 'This status. For a 429 that says when to come back put retry-after in headers.', {
    status: z.int().min(200).max(599),
    body: z.unknown().optional().describe('Text or JSON; by default an error as OpenAI words it.'),
    headers: headers.optional(),
  }),
  behaviour('hang', 'Goes silent and keeps the connection open.', {where, tokens: count.default(1)}),
  behaviour('reset', 'Resets the TCP connection.', {where, tokens: count.default(1)}),
  behaviour('cut', 'Closes the connection in the middle of the body.', {
    afterTokens: count
      .optional()
      .describe(
        'Without it and without afterBytes: after 1. A plain answer: after half. In a realtime session: events.',
      ),
    afterBytes: count.optional(),
    graceful: z
      .boolean()
      .default(false)
      .describe('Ends the body as HTTP wants it (a realtime session with 1011), but with the answer incomplete.'),
  }),
  behaviour('roleOnly', 'What comes before the first token, such as the chunk that names the role, then silence.', {}),
  behaviour(
    'pings',
    'Comments (of the Messages API: events `ping`), then silence; to a caller who does not stream, silence after the headers.',
    {
      intervalMs: milliseconds.default(100),
      count: count.optional().describe('Without it: for ever.'),
      thenAnswer: z.boolean().default(false).describe('After the comments the answer, not silence.'),
    },
  ),
  behaviour('malformedEvent', 'An event whose data is not JSON, then the rest of the answer.', {
    afterTokens: count.default(1),
    data: z.string().optional().describe('By default the beginning of an event of content.'),
  }),
  behaviour('errorEvent', 'An error event inside a 200, which ends the stream.', {
    afterTokens: count.default(1),
    error: failure,
    done: z.boolean().default(false).describe('After it what ends the stream: [DONE], as vLLM does it.'),
  }),
  behaviour(
    'failed',
    'The model fails after so many tokens, and the answer says so: `response.failed`, or `status: "failed"`. Responses API only.',
    {afterTokens: count.default(1), error: failure},
  ),
  behaviour('noDone', 'All but what says that nothing follows: [DONE], `response.completed`, `message_stop` ...', {
    keepOpen: z.boolean().default(false).describe('Leaves the connection open after the finish.'),
  }),
  behaviour('wrongContentLength', 'A content-length that is too long; the connection closes where the body ends.', {
    extraBytes: count.min(1).default(10),
  }),
  behaviour('slowBytes', 'The body in small pieces, cut wherever that falls, also inside a character.', {
    chunkBytes: count.min(1).default(7),
    intervalMs: milliseconds.default(1),
  }),
  behaviour('hugeEvent', 'The whole text, of so many bytes, in one event.', {bytes: z.int().min(1).max(67_108_864)}),
  behaviour('notJson', 'A 200 that says JSON and holds something else.', {
    body: z.string().default('<html><body>upstream connect error</body></html>'),
  }),
  behaviour('truncated', 'A 200 that HTTP finds whole, with the first half of the body.', {}),
  behaviour('closeIdle', 'Answers, then closes the kept-alive connection unannounced.', {
    afterMs: milliseconds.default(0),
    onNextRequest: z.boolean().default(false).describe('A reset when the next request arrives on that connection.'),
  }),
  behaviour('raw', 'Exactly these bytes after the headers.', {
    status: z.int().min(200).max(599).default(200),
    headers: headers.default({'content-type': 'text/event-stream'}),
    chunks: z.array(rawChunk).default([]),
    end: z.enum(['End', 'Cut', 'Reset', 'Hang']).default('End'),
  }),
]);

/** As written by whoever tells the simulator; what has a default may be left out. */
export type BehaviourInput = z.input<typeof behaviourSchema>;
export type Behaviour = z.output<typeof behaviourSchema>;
export type BehaviourNamed<Name extends Behaviour['do']> = Extract<Behaviour, {do: Name}>;
/** The fields that every behaviour has. */
export type AnswerOverrides = {[Key in keyof typeof answer]?: Behaviour[Key]};

export const normalBehaviour: Behaviour = {do: 'answer'};

/** The instruction cannot be followed; the message names the field. */
export class BehaviourError extends Error {
  override name = 'BehaviourError';
}

export const behaviourNames = behaviourSchema.options.map((option) => option.shape.do.value);

const complaintOf = (input: unknown, issue: z.core.$ZodIssue): string => {
  if (issue.code === 'invalid_union' && issue.path[0] === 'do')
    return `do: expected one of ${behaviourNames.join(', ')}`;
  if (issue.code === 'unrecognized_keys') return `${issue.keys.join(', ')}: not a field of this behaviour`;
  if (issue.path.length === 0) return `expected an object with the key "do", got ${JSON.stringify(input) ?? 'nothing'}`;
  return `${issue.path.join('.')}: ${issue.message}`;
};

/** @throws BehaviourError naming each wrong field */
export const parseBehaviour = (input: unknown): Behaviour => {
  const result = behaviourSchema.safeParse(input);
  if (result.success) return result.data;
  throw new BehaviourError(result.error.issues.map((issue) => complaintOf(input, issue)).join('; '));
};

/** What `POST /control/behaviour` takes: a behaviour, and for how many requests (without `times`: until told otherwise). */
export const parseInstruction = (input: unknown): {behaviour: Behaviour; times: number | undefined} => {
  if (typeof input !== 'object' || input === null || !('times' in input)) {
    return {behaviour: parseBehaviour(input), times: undefined};
  }
  const {times, ...behaviour} = input;
  const parsedTimes = z.int().min(1).safeParse(times);
  if (!parsedTimes.success) throw new BehaviourError('times: expected a whole number, at least 1');
  return {behaviour: parseBehaviour(behaviour), times: parsedTimes.data};
};
