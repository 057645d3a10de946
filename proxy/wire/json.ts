/** Values out of JSON.parse, looked at without trusting them. */

export type JsonObject = {[key: string]: unknown};

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';

export const textLength = (value: unknown): number => (typeof value === 'string' ? value.length : 0);

export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** Of all items of a list that are objects; 0 if it is no list. */
export function lengthOfAll(list: unknown, itemLength: (item: JsonObject) => number): number {
  let length = 0;
  for (const item of listOf(list)) if (isObject(item)) length += itemLength(item);
  return length;
}
