/** The CEL rules and list keys of a schema, judged on a value: what OpenAPI alone cannot hold. */
import {celEnv, isCelError, parse, plan, type CelInput} from '@bufbuild/cel';
import type {Rule, Schema} from './crds.ts';
import {show, startsWith, type Path, type Violation} from './violation.ts';

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
      const childSchema = schema.properties?.[key] ?? schema.additionalProperties;
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

type Judge = (value: unknown, path: Path, known: readonly Violation[]) => Violation[];

const judgeRule = (rule: Rule, schema: Schema): Judge => {
  const run = compileRule(rule);
  const fields = fieldsRead(rule);
  const needs = (path: Path): Path[] => (fields.length === 0 ? [path] : fields.map((field) => [...path, field]));
  return (value, path, known) => {
    const isBlocked = needs(path).some((need) => known.some((violation) => startsWith(violation.path, need)));
    if (isBlocked || run(toCel(value, schema))) return [];
    return [{path: [...path, ...partsOf(rule.fieldPath)], message: rule.message}];
  };
};

const repeated = (values: readonly unknown[], at: (index: number) => Path, what: string): Violation[] =>
  values.flatMap((value, index) => {
    const first = values.indexOf(value);
    if (value === undefined || first === index) return [];
    return [{path: [...at(index)], message: `${show(value)} is already ${what} [${first}]: each may stand here once`}];
  });

/** x-kubernetes-list-type set and map; the CRDs' maps have one key each. */
const judgeList = (schema: Schema): Judge => {
  const key = schema['x-kubernetes-list-map-keys']?.[0];
  return (value, path) => {
    if (!Array.isArray(value)) return [];
    if (schema['x-kubernetes-list-type'] === 'set') return repeated(value, (index) => [...path, index], 'entry');
    if (key === undefined) return [];
    const keys = value.map((item: unknown) => (item as Record<string, unknown> | null)?.[key]);
    return repeated(keys, (index) => [...path, index, key], `the ${key} of entry`);
  };
};

const judgeChildren = (schema: Schema): Judge => {
  const properties = Object.entries(schema.properties ?? {}).map(([key, child]) => ({key, judge: compileRules(child)}));
  const others = schema.additionalProperties && compileRules(schema.additionalProperties);
  const items = schema.items && compileRules(schema.items);
  return (value, path, known) => {
    if (Array.isArray(value)) return value.flatMap((item, index) => items?.(item, [...path, index], known) ?? []);
    const record = value as Record<string, unknown>;
    if (others !== undefined) return Object.keys(record).flatMap((key) => others(record[key], [...path, key], known));
    return properties.flatMap(({key, judge}) =>
      Object.hasOwn(record, key) ? judge(record[key], [...path, key], known) : [],
    );
  };
};

/** Judges values below which `known` says what the structure has against them: a rule that reads such a part is left out. */
export const compileRules = (schema: Schema): Judge => {
  const own = [judgeList(schema), ...(schema['x-kubernetes-validations'] ?? []).map((rule) => judgeRule(rule, schema))];
  const children = judgeChildren(schema);
  const isContainer = schema.type === 'object' || schema.type === 'array';
  return (value, path, known) => {
    const typeIsWrong =
      isContainer &&
      (typeof value !== 'object' || value === null || Array.isArray(value) !== (schema.type === 'array'));
    if (typeIsWrong) return [];
    const found = own.flatMap((judge) => judge(value, path, known));
    return isContainer ? [...found, ...children(value, path, known)] : found;
  };
};
