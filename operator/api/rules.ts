/** The CEL rules and list keys of a schema, judged on a value: what OpenAPI alone cannot hold. */
import {celEnv, isCelError, parse, plan, type CelInput} from '@bufbuild/cel';
import {fieldSchema, type Rule, type Schema} from './crds.ts';
import {show, type Faults, type Path, type Violation} from './violation.ts';

type Program = (self: CelInput) => boolean;

/** A rule that fails to run has not been kept: the API server sees it so too. */
const compileRule = ({rule}: Rule): Program => {
  const program = plan(celEnv(), parse(rule));
  return (self) => {
    const result = program({self});
    return !isCelError(result) && result === true;
  };
};

/** CEL tells int from double, JSON does not: the schema says which is meant. Fields it does not know cannot be asked for. */
const toCel = (value: unknown, schema: Schema): CelInput => {
  if (Array.isArray(value)) return value.map((item) => toCel(item, schema.items ?? {}));
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).flatMap(([key, child]): [string, CelInput][] => {
      const childSchema = fieldSchema(schema, key);
      return childSchema === undefined ? [] : [[key, toCel(child, childSchema)]];
    });
    return new Map(entries);
  }
  return typeof value === 'number' && Number.isInteger(value) ? BigInt(value) : (value as CelInput);
};

/** The fields of self that a rule reads; none means that it reads self as a whole. */
const fieldsRead = ({rule}: Rule): string[] =>
  [...rule.matchAll(/\bself\.([A-Za-z]+)\b(?!\()/g)].map((match) => match[1] ?? '');

const partsOf = (fieldPath: string | undefined): string[] => (fieldPath ?? '').split('.').slice(1);

type Judge = (value: unknown, path: Path, faults: Faults) => Violation[];

const judgeRule = (rule: Rule, schema: Schema): Judge => {
  const run = compileRule(rule);
  const fields = fieldsRead(rule);
  const needs = (path: Path): Path[] => (fields.length === 0 ? [path] : fields.map((field) => [...path, field]));
  return (value, path, faults) => {
    if (needs(path).some(faults.within) || run(toCel(value, schema))) return [];
    return [{path: [...path, ...partsOf(rule.fieldPath)], message: rule.message}];
  };
};

/** What comes a second time; `at`: the path of an entry. */
const repeated = (values: readonly unknown[], at: (index: number) => Path, what: string): Violation[] => {
  const firsts = new Map<unknown, number>();
  return values.flatMap((value, index) => {
    const first = firsts.get(value);
    if (first === undefined) firsts.set(value, index);
    if (first === undefined || value === undefined) return [];
    return [{path: [...at(index)], message: `${show(value)} is already ${what} [${first}]: each may stand here once`}];
  });
};

/** x-kubernetes-list-type set and map; the CRDs' maps have one key each. */
const judgeList = (schema: Schema): Judge => {
  const key = schema['x-kubernetes-list-map-keys']?.[0];
  return (value, path, faults) => {
    if (!Array.isArray(value)) return [];
    const violations =
      key === undefined
        ? repeated(value, (index) => [...path, index], 'entry')
        : repeated(
            value.map((item: unknown) => (item as Record<string, unknown> | null)?.[key]),
            (index) => [...path, index, key],
            `the ${key} of entry`,
          );
    return violations.filter((violation) => !faults.within(violation.path));
  };
};

const judgeChildren = (schema: Schema): Judge => {
  const properties = Object.entries(schema.properties ?? {}).map(([key, child]) => ({key, judge: compileRules(child)}));
  const others = schema.additionalProperties && compileRules(schema.additionalProperties);
  const items = schema.items && compileRules(schema.items);
  return (value, path, faults) => {
    if (Array.isArray(value)) return value.flatMap((item, index) => items?.(item, [...path, index], faults) ?? []);
    const record = value as Record<string, unknown>;
    if (others !== undefined) return Object.keys(record).flatMap((key) => others(record[key], [...path, key], faults));
    return properties.flatMap(({key, judge}) =>
      Object.hasOwn(record, key) ? judge(record[key], [...path, key], faults) : [],
    );
  };
};

/** `faults`: what the structure has against the value. A rule that reads such a part is left out, for it would say it again. */
export const compileRules = (schema: Schema): Judge => {
  const rules = (schema['x-kubernetes-validations'] ?? []).map((rule) => judgeRule(rule, schema));
  const isUnique = schema['x-kubernetes-list-type'] === 'set' || schema['x-kubernetes-list-type'] === 'map';
  const isContainer = schema.type === 'object' || schema.type === 'array';
  const judges = [...(isUnique ? [judgeList(schema)] : []), ...rules, ...(isContainer ? [judgeChildren(schema)] : [])];
  // A fault of the value itself is a wrong type, or more entries than may be: no reason to look closer.
  return (value, path, faults) => (faults.at(path) ? [] : judges.flatMap((judge) => judge(value, path, faults)));
};
