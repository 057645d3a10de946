/** Types, required and unknown fields, bounds, patterns and enums of an object: what OpenAPI schemas hold. */
import {Ajv, type ErrorObject} from 'ajv';
import {describe, type SchemaError} from './describe.ts';
import type {JsonSchema} from './json-schema.ts';
import type {Violation} from './violation.ts';

const keysOf = (pointer: string): string[] =>
  pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));

/** JSON pointers do not tell an index from a key; the value that they point into does. */
const pathOf = (pointer: string, root: unknown): (string | number)[] => {
  let value = root;
  return keysOf(pointer).map((key) => {
    const part = Array.isArray(value) ? Number(key) : key;
    value = (value as Record<string | number, unknown>)[part]; // exists: the validator came this way
    return part;
  });
};

const fieldOf = (error: ErrorObject): string | undefined => {
  const params = error.params as Record<string, unknown>;
  const field = params['additionalProperty'] ?? params['missingProperty'];
  return typeof field === 'string' ? field : undefined;
};

const toViolation = (error: ErrorObject, root: unknown): Violation => {
  const field = fieldOf(error);
  const path = pathOf(error.instancePath, root);
  return {
    path: field === undefined ? path : [...path, field],
    message: describe({
      keyword: error.keyword,
      value: error.data,
      schema: error.parentSchema as JsonSchema,
      field,
      isCredential: path.includes('auth'),
    } satisfies SchemaError),
  };
};

/** One value breaks its type, its enum, its length, its pattern: the first of these says it all. */
const firstOfEachPath = (violations: Violation[]): Violation[] =>
  [
    ...new Map(violations.toReversed().map((violation) => [JSON.stringify(violation.path), violation])).values(),
  ].toReversed();

/**
 * Some patterns take quadratic time on hostile text, and all lengths are judged even if the first is wrong already. Every string
 * with a pattern has a maxLength far below this.
 */
const longestMatched = 4096;
const boundedRegExp = Object.assign(
  (pattern: string, flags: string) => {
    const expression = new RegExp(pattern, flags);
    return {
      test: (text: string): boolean => text.length <= longestMatched && expression.test(text),
      toString: (): string => expression.toString(), // ajv takes patterns of one text for one pattern
    };
  },
  {code: 'boundedRegExp'},
);

/** `unchecked`: a field of the root whose unknown fields alone matter. */
export const compileStructure = (schema: JsonSchema, unchecked: string): ((object: unknown) => Violation[]) => {
  const validate = new Ajv({
    allErrors: true,
    verbose: true,
    allowUnionTypes: true,
    code: {regExp: boundedRegExp},
  }).compile(schema);
  const matters = (error: ErrorObject): boolean =>
    error.keyword === 'additionalProperties' || keysOf(error.instancePath)[0] !== unchecked;
  return (object) =>
    validate(object)
      ? []
      : firstOfEachPath((validate.errors ?? []).filter(matters).map((error) => toViolation(error, object)));
};
