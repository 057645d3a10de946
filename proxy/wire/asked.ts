/** What a request asks for, in members that several APIs share. Each throws {@link RequestError}: invalid_value. */
import type {AnswerShape, RequestFields} from './api.ts';
import {RequestError} from './errors.ts';
import {isFalseAt, isNullAt, isTrueAt, parseSpan} from './json-members.ts';

/** `"stream": true`. */
export function eventsIfStreamed({bytes, members}: RequestFields): AnswerShape {
  const span = members.get('stream');
  if (span === undefined || isFalseAt(bytes, span) || isNullAt(bytes, span)) return 'Whole';
  if (isTrueAt(bytes, span)) return 'Events';
  throw new RequestError('invalid_value', '"stream" must be true or false.', {param: 'stream'});
}

/** A field of the request that must be a positive integer if it is there at all; what else it is, the backend will refuse. */
export function readCount({bytes, members}: RequestFields, key: string): number {
  const span = members.get(key);
  if (span === undefined || span.end - span.start > 6) return 1;
  const value = parseSpan(bytes, span);
  return typeof value === 'number' && Number.isInteger(value) && value > 0 ? value : 1;
}

/** The first of them that says something: null and false do not. */
export const memberSet = ({bytes, members}: RequestFields, names: readonly string[]): string | undefined =>
  names.find((name) => {
    const span = members.get(name);
    return span !== undefined && !isNullAt(bytes, span) && !isFalseAt(bytes, span);
  });
