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

/** What a well-behaved model server answers; behaviours make a Reply of it. */
export type PlainAnswer = {kind: 'Plain'; status: number; headers: Headers; body: string; workMs: number};
export type StreamedAnswer = {
  kind: 'Streamed';
  headers: Headers;
  /** The chunks that name the role. */
  opening: Piece[];
  /** One piece per token. */
  content: Iterable<Piece>;
  /** The chunks with the finish reasons, and usage. */
  closing: Piece[];
  done: Piece;
};
export type Answer = PlainAnswer | StreamedAnswer;

export const event = (data: unknown): string => `data: ${JSON.stringify(data)}\n\n`;

export const piece = (data: string | Uint8Array, afterMs = 0): Piece => ({data, afterMs});

export const bytesOf = (data: string | Uint8Array): Uint8Array => (typeof data === 'string' ? Buffer.from(data) : data);

export const plainAnswer = (status: number, body: unknown, workMs = 0): PlainAnswer => ({
  kind: 'Plain',
  status,
  headers: {'content-type': 'application/json'},
  body: JSON.stringify(body),
  workMs,
});

/** An answer that carries an error, as OpenAI words it. */
export const errorAnswer = (
  status: number,
  error: {message: string; type?: string; param?: string | null; code?: string | null},
): PlainAnswer =>
  plainAnswer(status, {
    error: {
      message: error.message,
      type: error.type ?? 'invalid_request_error',
      param: error.param ?? null,
      code: error.code ?? null,
    },
  });

const plainBody = (answer: PlainAnswer): {headers: Headers; pieces: Piece[]} => ({
  headers: {...answer.headers, 'content-length': String(Buffer.byteLength(answer.body))},
  pieces: [piece(answer.body)],
});

function* streamedPieces(answer: StreamedAnswer): Iterable<Piece> {
  yield* answer.opening;
  yield* answer.content;
  yield* answer.closing;
  yield answer.done;
}

/** The answer as it should be. */
export const properReply = (answer: Answer): Reply => {
  if (answer.kind === 'Streamed') {
    return {delayMs: 0, head: {status: 200, headers: answer.headers}, pieces: streamedPieces(answer), end: 'End'};
  }
  const {headers, pieces} = plainBody(answer);
  return {delayMs: answer.workMs, head: {status: answer.status, headers}, pieces, end: 'End'};
};
