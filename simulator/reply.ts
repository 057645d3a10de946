/** What goes over the wire, as data: a status, then pieces with pauses between them, then an ending. */

export type Piece = {data: string | Uint8Array; afterMs: number};

/** `Cut`: the connection closes without the body's end. `Hang`: nothing more, connection open. */
export type Ending = 'End' | 'Cut' | 'Reset' | 'Hang';

export type Headers = Record<string, string | string[]>;

export type Reply = {
  /** Before the headers. */
  delayMs: number;
  /** Without it the ending comes before any byte. */
  head: {status: number; headers: Headers} | undefined;
  /** May be endless: taken one by one while the caller stays. */
  pieces: Iterable<Piece>;
  end: Ending;
  /** What happens to the kept-alive connection after a proper end. */
  afterwards?: {closeAfterMs: number} | 'ResetOnNextRequest';
};

/** The failure of a model, as a test words it; undefined: as the API words one of its own. */
export type FailureDetails = Record<string, unknown> | undefined;

/** How a stream of events says what is not an answer. */
export type EventForm = {
  ping: string;
  /** The model failed in the middle. */
  error: (error: FailureDetails) => string;
  /** An event of content whose data is not JSON: it breaks off, or is what is given. */
  malformed: (data: string | undefined) => string;
};

/**
 * What a well-behaved model server answers; behaviours make a Reply of it. `failed`: what an API that reports a failed model as an
 * answer of its own says instead, in a stream after the content so far.
 */
export type PlainAnswer = {
  kind: 'Plain';
  status: number;
  headers: Headers;
  body: string;
  workMs: number;
  failed?: (error: FailureDetails) => string;
};
export type StreamedAnswer = {
  kind: 'Streamed';
  headers: Headers;
  /** What comes before the first token, such as the chunks that name the role. */
  opening: Iterable<Piece>;
  /** One piece per token. */
  content: Iterable<Piece>;
  /** Finish reasons, and usage. */
  closing: Iterable<Piece>;
  /** What says that nothing follows, where the API has it. */
  done: Iterable<Piece>;
  /** A stream of bytes has none. */
  events: EventForm | undefined;
  failed?: (error: FailureDetails) => string;
};
export type Answer = PlainAnswer | StreamedAnswer;

export const event = (data: unknown): string => `data: ${JSON.stringify(data)}\n\n`;

export const namedEvent = (name: string, data: unknown): string => `event: ${name}\n${event(data)}`;

export const eventStreamHeaders: Headers = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache',
};

const openAiFailure = {message: 'The engine died.', type: 'server_error', param: null, code: 'internal_error'};

/** As most of OpenAI's APIs do it. `cut` is how an event of content begins. */
export const openAiEvents = (cut: string): EventForm => ({
  ping: ': ping\n\n',
  error: (error = openAiFailure) => event({error}),
  malformed: (data = cut) => `data: ${data}\n\n`,
});

export const piece = (data: string | Uint8Array, afterMs = 0): Piece => ({data, afterMs});

export const bytesOf = (data: string | Uint8Array): Uint8Array => (typeof data === 'string' ? Buffer.from(data) : data);

export const plainAnswer = (status: number, body: unknown, workMs = 0): PlainAnswer => ({
  kind: 'Plain',
  status,
  headers: {'content-type': 'application/json'},
  body: JSON.stringify(body),
  workMs,
});

const plainBody = (answer: PlainAnswer): {headers: Headers; pieces: Piece[]} => ({
  headers: {...answer.headers, 'content-length': String(Buffer.byteLength(answer.body))},
  pieces: [piece(answer.body)],
});

function* streamedPieces(answer: StreamedAnswer): Iterable<Piece> {
  yield* answer.opening;
  yield* answer.content;
  yield* answer.closing;
  yield* answer.done;
}

/** The answer as it should be. */
export const properReply = (answer: Answer): Reply => {
  if (answer.kind === 'Streamed') {
    return {delayMs: 0, head: {status: 200, headers: answer.headers}, pieces: streamedPieces(answer), end: 'End'};
  }
  const {headers, pieces} = plainBody(answer);
  return {delayMs: answer.workMs, head: {status: answer.status, headers}, pieces, end: 'End'};
};
