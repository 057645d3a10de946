/**
 * The one table that every API on the wire fills (a file each), so that the engine is the same for all: what of a streamed answer is
 * content and commits, what is progress and restarts timers, when it has ended, what it used, and how an error looks inside it.
 */
import type {ErrorDetails} from './errors.ts';
import type {MemberNames} from './json-members.ts';
import type {Span} from './json-scan.ts';
import type {SseEvent} from './sse.ts';

/** Tokens. `estimated`: no backend reported it, so ModelRoute counted. */
export type Usage = {promptTokens: number; completionTokens: number; estimated: boolean};

/** Rough, for where no backend says: a token is about four characters of English. */
export const estimateTokens = (characters: number): number => Math.ceil(characters / 4);

/** What a backend said went wrong: an error body, or an error event inside a 200. */
export type UpstreamError = {
  message: string;
  /** The HTTP status that the error stands for, where it says so itself. */
  status: number | undefined;
  contextLengthExceeded: boolean;
  contentFiltered: boolean;
  modelMissing: boolean;
  /** As the backend wrote it; goes to the caller when the fault is his. */
  body: ErrorDetails;
};

export type EventReading = {
  kind: 'Content' | 'Progress' | 'Neither' | 'Error' | 'Malformed';
  error?: UpstreamError;
  /** Usage without choices: kept from a caller who did not ask for it. */
  onlyUsage?: boolean;
};

/** Reads one streamed answer, event by event. */
export type StreamReader = {
  read(event: SseEvent): EventReading;
  /** The answer is whole: every choice that was asked for has finished. */
  finished(): boolean;
  /** Nothing will follow (`[DONE]`). */
  ended(): boolean;
  usage(): Usage | undefined;
  /** Tokens so far, as far as can be told without a tokenizer: what usage is estimated from. */
  contentEvents(): number;
};

/** `problem`: why a 200 is no answer. `contentLength`: without usage, what it is estimated from, in characters. */
export type AnswerReading = {usage?: Usage; error?: UpstreamError; problem?: string; contentLength?: number};

/** An error answer in the words of an API; `requestId` where it has a place for one. */
export type ErrorShape = (error: ErrorDetails, requestId: string | undefined) => object;

export type RequestFields = {
  bytes: Uint8Array;
  /** Where the API's `fields` stand, those that are there. */
  members: ReadonlyMap<string, Span>;
};

/** What routing has to know of an API. */
export type SpokenApi = {
  /** For logs and metrics: OpenTelemetry's `gen_ai.operation.name` where it has one. */
  name: string;
  /** Stands behind a backend's base URL, as behind the caller's `/v1`. */
  path: string;
  /** The `api` of backends that speak it. */
  spokenBy: readonly ('OpenAI' | 'Anthropic')[];
};

/**
 * How an answer comes. `Whole`: JSON, held until it is whole. `Events`: SSE, read event by event. `Bytes`: passed on as they come, such
 * as speech; only its end says that it is whole.
 */
export type AnswerShape = 'Whole' | 'Events' | 'Bytes';

export type WireApi = SpokenApi & {
  /** Path at a backend whose base URL has `basePath`. */
  pathAt(basePath: string): string;
  /** All that it can answer with; the first is what a request gets that asks for nothing else. */
  answers: readonly AnswerShape[];
  /** Throws {@link RequestError}: invalid_value. */
  answerAsked(request: RequestFields): AnswerShape;
  /** Never sent a second time: nobody here knows what that would do. */
  carriedOnce: boolean;
  /** The member that names what one server holds from an earlier request, if there is one. */
  stateNamed(request: RequestFields): string | undefined;
  /** Answers use tokens that are counted. */
  counted: boolean;
  /** Flat; what a backend needs and a caller may leave out. */
  defaultHeaders: readonly string[];
  /** Media types of an answer in bytes; anything else is no answer. */
  isBytes(mediaType: string): boolean;
  /** Top-level members of a request that are read here, `model` among them. One that stands twice is refused: parsers disagree. */
  fields: MemberNames;
  /** Usage is asked of a backend with `stream_options.include_usage`. */
  hasStreamOptions: boolean;
  /** Choices that have to finish before the answer is whole. */
  choicesAsked(request: RequestFields): number;
  createStreamReader(choices: number): StreamReader;
  /** A whole answer that was not streamed. Throws JsonSyntaxError. */
  readAnswer(body: Uint8Array): AnswerReading;
  readError(body: Uint8Array): UpstreamError;
  /** Written while a streaming caller waits. */
  keepAlive: string;
  /** Closes a whole stream whose backend did not close it itself; '' where the last event of an answer does. */
  endOfStream: string;
  /** A stream's last event when it does not end well. */
  errorEvent(error: ErrorDetails, usage: Usage | undefined): string;
  errorBody: ErrorShape;
};
