/**
 * What an API server does to a value before it looks at it: a null where none is allowed means the field is not there, and
 * what is not there gets its default. The source is apiextensions-apiserver's pkg/apiserver/schema/defaulting.
 */
import {fieldSchema, type Schema} from './crds.ts';

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A copy; values that do not fit the schema stay as they are, for the validator to find. */
export const withDefaults = (value: unknown, schema: Schema | undefined): unknown => {
  if (schema === undefined) return value;
  if (Array.isArray(value)) return value.map((item) => withDefaults(item, schema.items));
  if (!isRecord(value)) return value;
  const given = Object.entries(value).filter(
    ([key, child]) => child !== null || fieldSchema(schema, key) === undefined,
  );
  const present = new Set(given.map(([key]) => key));
  const added = Object.entries(schema.properties ?? {})
    .filter(([key, child]) => child.default !== undefined && !present.has(key))
    .map(([key, child]): [string, unknown] => [key, child.default]);
  // fromEntries and not assignment: a key named __proto__ has to stay a key.
  return Object.fromEntries(
    [...given, ...added].map(([key, child]) => [key, withDefaults(child, fieldSchema(schema, key))]),
  );
};
