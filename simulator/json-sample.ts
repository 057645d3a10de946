/** JSON that satisfies a schema, as far as a model would be held to one: types, properties, items, enums, references. */

type Schema = Record<string, unknown>;

const isSchema = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A schema may refer to itself: deeper than this only what it demands is there, and twice as deep nothing. */
const deepest = 8;

const at = (root: Schema, reference: string): Schema => {
  let here: unknown = root;
  for (const name of reference.replace(/^#\/?/, '').split('/')) {
    if (name !== '') here = isSchema(here) ? here[name.replaceAll('~1', '/').replaceAll('~0', '~')] : undefined;
  }
  return isSchema(here) ? here : {};
};

const numberFrom = ({minimum, maximum}: Schema, usual: number): number => {
  const least = typeof minimum === 'number' ? Math.max(minimum, usual) : usual;
  return typeof maximum === 'number' ? Math.min(maximum, least) : least;
};

const stringFrom = ({minLength, maxLength}: Schema): string => {
  const text = 'a sample'.padEnd(typeof minLength === 'number' ? Math.min(minLength, 10_000) : 0, '.');
  return typeof maxLength === 'number' ? text.slice(0, maxLength) : text;
};

const objectFrom = (schema: Schema, root: Schema, depth: number): object => {
  const required = Array.isArray(schema.required) ? schema.required : [];
  const properties = isSchema(schema.properties) ? Object.entries(schema.properties) : [];
  const wanted = depth < deepest ? properties : properties.filter(([name]) => required.includes(name));
  return Object.fromEntries(wanted.map(([name, property]) => [name, sampleFrom(property, root, depth + 1)]));
};

const arrayFrom = (schema: Schema, root: Schema, depth: number): unknown[] => {
  const least = typeof schema.minItems === 'number' ? Math.min(schema.minItems, 100) : 0;
  return Array.from({length: least}, () => sampleFrom(schema.items, root, depth + 1));
};

const makers: Record<string, (schema: Schema, root: Schema, depth: number) => unknown> = {
  string: stringFrom,
  integer: (schema) => numberFrom(schema, 1),
  number: (schema) => numberFrom(schema, 1.5),
  boolean: () => true,
  array: arrayFrom,
  object: objectFrom,
};

const typeOf = ({type, properties}: Schema): unknown => {
  if (type === undefined && properties !== undefined) return 'object';
  return Array.isArray(type) ? (type as unknown[])[0] : type;
};

const firstOf = (...lists: unknown[]): unknown => lists.find((list) => Array.isArray(list) && list.length > 0);

function sampleFrom(schema: unknown, root: Schema, depth: number): unknown {
  if (!isSchema(schema) || depth > 2 * deepest) return null;
  if (typeof schema.$ref === 'string') return sampleFrom(at(root, schema.$ref), root, depth + 1);
  if ('const' in schema) return schema.const;
  const given = firstOf(schema.enum) as unknown[] | undefined;
  if (given !== undefined) return given[0];
  const choices = firstOf(schema.anyOf, schema.oneOf, schema.allOf) as unknown[] | undefined;
  if (choices !== undefined) return sampleFrom(choices[0], root, depth + 1);
  const type = typeOf(schema);
  const make = typeof type === 'string' ? makers[type] : undefined;
  return make === undefined ? null : make(schema, root, depth);
}

export const sampleOf = (schema: unknown): unknown => sampleFrom(schema, isSchema(schema) ? schema : {}, 0);

/** A text as a model would say it piece by piece. */
export const sayJson = (value: unknown): string[] => JSON.stringify(value).match(/.{1,6}/gsu) ?? [];
