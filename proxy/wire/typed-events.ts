/** Streams whose events say by their `type` what they are, and whose last one is the end: Responses, Messages, speech, images. */
import {estimateTokens, type EventReading, type StreamReader, type UpstreamError, type Usage} from './api.ts';
import {contentReading, errorReading, neitherReading, progressReading, readJsonEvent} from './event-reader.ts';
import type {JsonObject} from './json.ts';

/** `Content`: `length` in characters, and 0 is no content. `End`: one answer is whole, which commits if nothing did before. */
export type TypedEvent =
  | {kind: 'Content'; length: number}
  | {kind: 'Progress'}
  | {kind: 'Neither'}
  | {kind: 'End'}
  | {kind: 'Error'; error: UpstreamError};

export type TypedEventsOptions = {
  /** Answers that have to end. */
  answers: number;
  readEvent: (event: JsonObject) => TypedEvent;
  /** What an event says of tokens used, given what was known before. */
  readUsage: (event: JsonObject, before: Usage | undefined) => Usage | undefined;
};

export function createTypedEventsReader({answers, readEvent, readUsage}: TypedEventsOptions): StreamReader {
  let ends = 0;
  let done = false;
  let usage: Usage | undefined;
  let pieces = 0;
  let characters = 0;

  const read = (event: JsonObject): EventReading => {
    const typed = readEvent(event);
    usage = readUsage(event, usage);
    switch (typed.kind) {
      case 'Content':
        if (typed.length === 0) break;
        pieces += 1;
        characters += typed.length;
        return contentReading;
      case 'End':
        ends += 1;
        return contentReading;
      case 'Error':
        return errorReading(typed.error);
      case 'Progress':
        return progressReading;
      case 'Neither':
        break;
    }
    return neitherReading;
  };

  const finished = (): boolean => ends >= answers;
  const contentEvents = (): number => Math.max(pieces, estimateTokens(characters));
  /** What was said before the end may leave out the answer. */
  const usageSoFar = (): Usage | undefined =>
    usage?.completionTokens === 0 && pieces > 0 && !finished()
      ? {...usage, completionTokens: contentEvents(), estimated: true}
      : usage;
  return {
    read: (event) =>
      readJsonEvent(event, read, () => {
        done = true;
      }),
    finished,
    ended: () => done || finished(),
    usage: usageSoFar,
    contentEvents,
  };
}
