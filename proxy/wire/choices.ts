/** The streams of chat and completions: chunks with choices, each of which has to finish; then usage and `[DONE]`. */
import {estimateTokens, type EventReading, type StreamReader, type Usage} from './api.ts';
import {contentReading, errorReading, neitherReading, readJsonEvent} from './event-reader.ts';
import {isObject, isText, listOf, type JsonObject} from './json.ts';
import {readErrorValue} from './upstream-error.ts';
import {readUsage} from './usage.ts';

/** What servers call the finish of an answer that did not: OpenRouter and vLLM, SGLang. */
function brokenFinishIn(choices: readonly unknown[]): string | undefined {
  for (const choice of choices) {
    const reason = isObject(choice) ? choice['finish_reason'] : undefined;
    if (reason === 'error' || reason === 'abort') return reason;
  }
  return undefined;
}

const onlyUsageReading: EventReading = {kind: 'Neither', onlyUsage: true};

/** `contentLength`: how much content one choice of a chunk carries, in characters. */
export function createChoicesReader(choices: number, contentLength: (choice: JsonObject) => number): StreamReader {
  const finished = new Set<number>();
  let allFinished = choices === 0;
  let ended = false;
  let usage: Usage | undefined;
  let pieces = 0;
  let characters = 0;

  /** Whether it commits. */
  const readChoice = (choice: JsonObject): boolean => {
    const length = contentLength(choice);
    if (length > 0) pieces += 1;
    characters += length;
    if (!isText(choice['finish_reason'])) return length > 0;
    finished.add(typeof choice['index'] === 'number' ? choice['index'] : 0);
    allFinished = finished.size >= choices;
    return true;
  };

  const readChunk = (chunk: JsonObject): EventReading => {
    if (chunk['usage'] !== undefined) usage = readUsage(chunk['usage']) ?? usage;
    const list = listOf(chunk['choices']);
    let content = false;
    const reason = brokenFinishIn(list);
    if (reason !== undefined)
      return errorReading(readErrorValue(`The backend broke off with finish_reason "${reason}".`));
    for (const choice of list) if (isObject(choice)) content = readChoice(choice) || content;
    if (content) return contentReading;
    return list.length === 0 && isObject(chunk['usage']) ? onlyUsageReading : neitherReading;
  };

  const done = (): void => {
    ended = true;
  };

  return {
    read: (event) => readJsonEvent(event, readChunk, done),
    finished: () => allFinished,
    ended: () => ended,
    usage: () => usage,
    contentEvents: () => Math.max(pieces, estimateTokens(characters)),
  };
}
