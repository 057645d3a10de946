/** What all streams of JSON events have in common: comments, `[DONE]`, and events that are not JSON. */
import type {EventReading, UpstreamError} from './api.ts';
import {isObject, type JsonObject} from './json.ts';
import type {SseEvent} from './sse.ts';
import {readErrorValue} from './upstream-error.ts';

export const contentReading: EventReading = {kind: 'Content'};
export const progressReading: EventReading = {kind: 'Progress'};
export const neitherReading: EventReading = {kind: 'Neither'};
export const errorReading = (error: UpstreamError): EventReading => ({kind: 'Error', error});

/** If an event that is no JSON shows that it carried content, the caller has lost a piece of his answer. */
const looksLikeContent =
  /"(content|text|name|arguments|input|reasoning|reasoning_content|refusal|delta|thinking|partial_json|audio|b64_json|partial_image_b64)"\s*:\s*"[^"]/;

function readBroken({data = '', name}: SseEvent): EventReading {
  if (name === 'error') return errorReading(readErrorValue(data));
  return looksLikeContent.test(data)
    ? {kind: 'Malformed', error: readErrorValue('The backend sent an event that is not JSON, with content in it.')}
    : {kind: 'Malformed'};
}

/** The error that an event is: by its member, by its name or type, or as vLLM's older releases write it. */
function errorIn(event: JsonObject, name: string): unknown {
  const error = event['error'] ?? undefined;
  if (error !== undefined) return error;
  return name === 'error' || event['type'] === 'error' || event['object'] === 'error' ? event : undefined;
}

/** `done`: at `[DONE]`. */
export function readJsonEvent(
  event: SseEvent,
  read: (value: JsonObject) => EventReading,
  done: () => void,
): EventReading {
  const {data, name} = event;
  if (data === undefined) return neitherReading;
  if (data.startsWith('[DONE]')) {
    done();
    return neitherReading;
  }
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    return readBroken(event);
  }
  if (!isObject(value)) return {kind: 'Malformed'};
  const error = errorIn(value, name);
  return error === undefined ? read(value) : errorReading(readErrorValue(error));
}
