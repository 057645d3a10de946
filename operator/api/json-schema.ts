/** A CRD's structural schema as the JSON Schema that a validator takes, with what an API server adds: unknown fields are errors. */
import type {Schema} from './crds.ts';

export type JsonSchema = Pick<
  Schema,
  | 'description'
  | 'required'
  | 'enum'
  | 'pattern'
  | 'minLength'
  | 'maxLength'
  | 'minimum'
  | 'maximum'
  | 'minItems'
  | 'maxItems'
  | 'maxProperties'
> & {
  type?: string | string[];
  properties?: Record<string, JsonSchema>;
  additionalProperties?: JsonSchema | false;
  items?: JsonSchema;
};

const mapValues = <A, B>(record: Record<string, A>, change: (value: A) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));

/** Words of a structural schema that are not JSON Schema's, or are checked by other means. */
const isAnnotation = (key: string): boolean => key.startsWith('x-kubernetes-') || key === 'default' || key === 'format';

export const toJsonSchema = (schema: Schema): JsonSchema => {
  const {properties, additionalProperties, items, ...rest} = schema;
  const words = Object.fromEntries(Object.entries(rest).filter(([key]) => !isAnnotation(key))) as JsonSchema;
  return {
    ...words,
    ...(schema['x-kubernetes-int-or-string'] === true ? {type: ['integer', 'string']} : {}),
    ...(items === undefined ? {} : {items: toJsonSchema(items)}),
    ...(additionalProperties === undefined ? {} : {additionalProperties: toJsonSchema(additionalProperties)}),
    ...(properties === undefined ? {} : {properties: mapValues(properties, toJsonSchema), additionalProperties: false}),
  };
};
