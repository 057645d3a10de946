/** Tokens as backends report them, under the names of OpenAI's two generations of APIs and of Anthropic's. */
import type {Usage} from './api.ts';
import {isObject, type JsonObject} from './json.ts';

const isCount = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value) && value >= 0;

function countAt(usage: JsonObject, name: string, otherName = name): number | undefined {
  const value = usage[name];
  if (isCount(value)) return value;
  const other = usage[otherName];
  return isCount(other) ? other : undefined;
}

/** What Anthropic reports beside `input_tokens`, which leaves out what its cache read or wrote. */
const cachedTokens = (usage: JsonObject): number =>
  (countAt(usage, 'cache_read_input_tokens') ?? 0) + (countAt(usage, 'cache_creation_input_tokens') ?? 0);

/** Undefined unless it counts something: some servers send `"usage": {}`. */
export function readUsage(value: unknown): Usage | undefined {
  if (!isObject(value)) return undefined;
  const completion = countAt(value, 'completion_tokens', 'output_tokens');
  const prompt = countAt(value, 'prompt_tokens', 'input_tokens');
  const total = countAt(value, 'total_tokens');
  if (prompt === undefined && completion === undefined && total === undefined) return undefined;
  const completionTokens = completion ?? 0;
  return {
    promptTokens: (prompt ?? Math.max(0, (total ?? 0) - completionTokens)) + cachedTokens(value),
    completionTokens,
    estimated: false,
  };
}
