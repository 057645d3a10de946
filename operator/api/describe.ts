/** What is wrong with a value and what would be right, for each word of a schema that a value can break. */
import type {JsonSchema} from './json-schema.ts';
import {nearest} from './nearest.ts';
import {duration, meaningOf, size} from './patterns.ts';
import {show} from './violation.ts';

/** `field`: the unknown or missing key. `isCredential`: somebody may have written a key right there, so it is not shown. */
export type SchemaError = {
  keyword: string;
  value: unknown;
  schema: JsonSchema;
  field: string | undefined;
  isCredential: boolean;
};

const typeNames: Record<string, string> = {
  object: 'an object',
  array: 'a list',
  string: 'a string',
  integer: 'a whole number',
  boolean: 'true or false',
};

const list = (names: readonly string[]): string => names.join(', ');

const expectedType = ({type, pattern}: JsonSchema): string => {
  if (pattern === duration) return 'a duration such as 500ms, 30s or 1m30s';
  if (pattern === size) return 'a string such as 16Ki, 32Mi or 1Gi';
  return [type ?? []]
    .flat()
    .map((name) => typeNames[name] ?? name)
    .join(' or ');
};

const shown = ({value, isCredential}: SchemaError): string =>
  isCredential && typeof value === 'string' ? 'a string' : show(value);

/** In YAML the quotes decide between a string and what it looks like. */
const typeRemedy = (value: unknown, {type, pattern}: JsonSchema): string => {
  if (type === 'string') {
    const isPlain = typeof value === 'number' || typeof value === 'boolean';
    return isPlain && pattern !== duration && pattern !== size ? ': put it in quotes' : '';
  }
  const isQuoted =
    typeof value === 'string' && (type === 'integer' ? /^[0-9]+$/.test(value) : value === 'true' || value === 'false');
  return isQuoted ? ': remove the quotes' : '';
};

const notInEnum = ({value, schema}: SchemaError): string => {
  const allowed = schema.enum ?? [];
  const meant = typeof value === 'string' ? nearest(value, allowed) : undefined;
  const question = meant === undefined ? '' : `; did you mean ${meant}?`;
  return `must be ${allowed.length === 1 ? '' : 'one of '}${list(allowed)}, not ${show(value)}${question}`;
};

const wrongType = (error: SchemaError): string => {
  const {value, schema} = error;
  if (schema.enum !== undefined) return notInEnum(error);
  return `must be ${expectedType(schema)}, not ${shown(error)}${typeRemedy(value, schema)}`;
};

const unknownField = ({field = '', schema}: SchemaError): string => {
  const known = Object.keys(schema.properties ?? {});
  const meant = nearest(field, known);
  return meant === undefined
    ? `unknown field; the fields here are ${list(known)}`
    : `unknown field; did you mean ${meant}?`;
};

const missing = ({field = '', schema}: SchemaError): string => {
  const description = schema.properties?.[field]?.description ?? '';
  const [firstSentence = ''] = description.split('. ');
  return firstSentence === '' ? 'is required' : `is required: ${firstSentence.replace(/[.]$/, '')}`;
};

const outOfBounds = ({value, schema: {minimum, maximum}}: SchemaError): string => {
  const bounds = maximum === undefined ? `at least ${minimum}` : `from ${minimum} to ${maximum}`;
  return `must be ${bounds}, not ${String(value)}`;
};

const mismatch = (error: SchemaError): string => {
  const {pattern = ''} = error.schema;
  const meaning = meaningOf(pattern);
  const subject = error.isCredential ? 'what stands here' : show(error.value);
  return meaning === undefined
    ? `${subject} does not match ${pattern}`
    : `${subject} is not ${meaning.noun}: ${meaning.remedy}`;
};

const length = (value: unknown): number => Array.from(String(value)).length;

const descriptions: Record<string, (error: SchemaError) => string> = {
  type: wrongType,
  enum: notInEnum,
  additionalProperties: unknownField,
  required: missing,
  pattern: mismatch,
  minimum: outOfBounds,
  maximum: outOfBounds,
  minLength: () => 'must not be empty',
  maxLength: ({value, schema}) => `must be at most ${schema.maxLength} characters long, not ${length(value)}`,
  minItems: ({schema}) => `must have at least ${schema.minItems} ${schema.minItems === 1 ? 'entry' : 'entries'}`,
  maxItems: ({value, schema}) => `must have at most ${schema.maxItems} entries, not ${(value as unknown[]).length}`,
  maxProperties: ({value, schema}) =>
    `must have at most ${schema.maxProperties} entries, not ${Object.keys(value as object).length}`,
};

export const describe = (error: SchemaError): string => {
  const description = descriptions[error.keyword];
  if (description === undefined) throw new Error(`bug: no message for the schema's word ${error.keyword}`);
  return description(error);
};
