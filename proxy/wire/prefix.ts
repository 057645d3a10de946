/** What two requests of one conversation have in common, for the PrefixHash strategy. */
import type {RequestFields} from './api.ts';
import {findMembers, isArrayAt, isObjectAt, isStringAt, itemsOf, memberNames, parseSpan} from './json-members.ts';
import type {Span} from './json-scan.ts';

const role = memberNames('role');

function isOfUser(bytes: Uint8Array, message: Span): boolean {
  if (!isObjectAt(bytes, message)) return false;
  const inside = bytes.subarray(message.start, message.end);
  const span = findMembers(inside, role).spans.get('role');
  return span !== undefined && isStringAt(inside, span) && parseSpan(inside, span) === 'user';
}

/** Up to the end of the first user message: what follows changes from turn to turn. */
function throughFirstUser(bytes: Uint8Array, messages: Span): Span {
  for (const message of itemsOf(bytes, messages)) {
    if (isOfUser(bytes, message)) return {start: messages.start, end: message.end};
  }
  return messages;
}

function prefixSpan({bytes, members}: RequestFields): Span {
  const key = members.get('prompt_cache_key');
  if (key !== undefined && isStringAt(bytes, key) && key.end - key.start > 2) return key; // "" names no conversation
  const messages = members.get('messages');
  if (messages !== undefined && isArrayAt(bytes, messages)) return throughFirstUser(bytes, messages);
  const input = members.get('prompt') ?? members.get('input');
  if (input === undefined) return {start: 0, end: 0};
  return isArrayAt(bytes, input) ? throughFirstUser(bytes, input) : input;
}

/** The bytes to hash: `prompt_cache_key` if sent, else the prompt through the first user message. */
export function cachePrefix(fields: RequestFields): Uint8Array {
  const {start, end} = prefixSpan(fields);
  return fields.bytes.subarray(start, end);
}
