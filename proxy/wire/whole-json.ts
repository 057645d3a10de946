/** Answers that come whole: objects with a member that makes them an answer. Read only as far as they have to be known. */
import type {AnswerReading} from './api.ts';
import {lengthOfAll, type JsonObject} from './json.ts';
import {findMembers, isArrayAt, memberNames, parseSpan} from './json-members.ts';
import type {Span} from './json-scan.ts';
import {readErrorValue} from './upstream-error.ts';
import {readUsage} from './usage.ts';

export type ReadAnswer = (body: Uint8Array) => AnswerReading;

type Found = {body: Uint8Array; spans: ReadonlyMap<string, Span>};

function valueOf({body, spans}: Found, name: string): unknown {
  const span = spans.get(name);
  return span === undefined ? undefined : parseSpan(body, span);
}

/** `read`: what the answer is, if it is no error. */
function createReader(members: readonly string[], read: (found: Found) => AnswerReading): ReadAnswer {
  const names = memberNames('error', 'usage', ...members);
  return (body) => {
    const found = {body, spans: findMembers(body, names).spans};
    const error = valueOf(found, 'error') ?? undefined;
    return error === undefined ? read(found) : {error: readErrorValue(error)};
  };
}

export type ListOptions = {
  /** Lists any one of which makes it an answer: servers name them differently. */
  lists: readonly string[];
  /** Of an item of the list, where it holds text. */
  itemLength?: (item: JsonObject) => number;
};

export const createAnswerReader = ({lists, itemLength}: ListOptions): ReadAnswer =>
  createReader(lists, (found) => {
    const list = lists.find((name) => {
      const span = found.spans.get(name);
      return span !== undefined && isArrayAt(found.body, span);
    });
    if (list === undefined) return {problem: `the answer has no list "${lists.join('" or "')}"`};
    const usage = readUsage(valueOf(found, 'usage'));
    if (usage !== undefined) return {usage};
    return {contentLength: itemLength === undefined ? 0 : lengthOfAll(valueOf(found, list), itemLength)};
  });

/** Any value under `member` makes it an answer. */
export const createMemberReader = (member: string): ReadAnswer =>
  createReader([member], ({spans}) => (spans.has(member) ? {} : {problem: `the answer has no "${member}"`}));
