/** Finds fields of an object by a pattern. */

export type Path = readonly (string | number)[];
export type Field = {path: Path; value: unknown};

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const stepInto = ({path, value}: Field, part: string): Field[] => {
  if (part === '*')
    return Array.isArray(value) ? value.map((item: unknown, index) => ({path: [...path, index], value: item})) : [];
  const inner = isRecord(value) ? value[part] : undefined;
  return inner === undefined || inner === null ? [] : [{path: [...path, part], value: inner}];
};

/** The fields that are set (a null is not); `pattern` is such as `spec.backends.*.continueBy`, where `*` stands for each item of a list. */
export const fieldsAt = (object: unknown, pattern: string): Field[] =>
  pattern
    .split('.')
    .reduce<Field[]>((fields, part) => fields.flatMap((field) => stepInto(field, part)), [{path: [], value: object}]);
