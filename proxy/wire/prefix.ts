/** What two requests of one conversation have in common, for the PrefixHash strategy. */
import type {RequestFields} from './api.ts';
import {parseSpan, scanJson, type Span} from './json-scan.ts';

const openBracket = 0x5b;
const quote = 0x22;

/** End of the first user message in `messages`: what follows changes from turn to turn. */
function endOfFirstUserMessage(bytes: Uint8Array, messages: Span): number {
  const list = bytes.subarray(messages.start, messages.end);
  for (const {value} of scanJson(list).members) {
    if (list[value.start] !== 0x7b) continue;
    const role = scanJson(list.subarray(value.start, value.end)).members.find(({key}) => key === 'role');
    if (role === undefined) continue;
    const at = {start: value.start + role.value.start, end: value.start + role.value.end};
    if (parseSpan(list, at) === 'user') return messages.start + value.end;
  }
  return messages.end;
}

/** The bytes to hash: `prompt_cache_key` if sent, else the prompt through the first user message. */
export function cachePrefix({bytes, members}: RequestFields): Uint8Array {
  const valueOf = (key: string, firstByte?: number): Span | undefined => {
    const span = members.get(key)?.value;
    return span === undefined || (firstByte !== undefined && bytes[span.start] !== firstByte) ? undefined : span;
  };
  const messages = valueOf('messages', openBracket);
  const throughUser = messages && {start: messages.start, end: endOfFirstUserMessage(bytes, messages)};
  const {start, end} = valueOf('prompt_cache_key', quote) ??
    throughUser ??
    valueOf('prompt') ??
    valueOf('input') ?? {start: 0, end: 0};
  return bytes.subarray(start, end);
}
