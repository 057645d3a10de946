/** Judges an object as an API server with our CRDs would: the same schema, the same defaults, the same CEL rules. */
import {readFileSync} from 'node:fs';
import {apiVersion, readCrds, type Crd, type Schema} from './crds.ts';
import {withDefaults} from './defaults.ts';
import {toJsonSchema} from './json-schema.ts';
import {metadataSchema} from './metadata-schema.ts';
import {nearest} from './nearest.ts';
import {compileRules} from './rules.ts';
import {compileStructure} from './structure.ts';
import {faultsOf, show, type Violation} from './violation.ts';

export type {Violation} from './violation.ts';

type Kind = {prepare: (object: unknown) => unknown; judge: (object: unknown) => Violation[]};

/** What Kubernetes asks of metadata, and what the CRD asks of the name on top of it. */
const withMetadata = (schema: Schema): Schema => {
  const name = {...metadataSchema.properties?.['name'], ...schema.properties?.['metadata']?.properties?.['name']};
  return {
    ...schema,
    required: [...(schema.required ?? []), 'metadata'],
    properties: {...schema.properties, metadata: {...metadataSchema, properties: {...metadataSchema.properties, name}}},
  };
};

/** An API server drops the status of an object that is made, after it has looked for unknown fields. */
const withoutStatus = (schema: Schema): Schema => {
  const {status: _status, ...properties} = schema.properties ?? {};
  return {...schema, properties};
};

const compileKind = (crd: Crd): Kind => {
  const schema = withMetadata(crd.schema);
  const judgeStructure = compileStructure(toJsonSchema(schema), 'status');
  const judgeRules = compileRules(withoutStatus(schema));
  return {
    prepare: (object) => withDefaults(object, schema),
    judge: (object) => {
      const violations = judgeStructure(object);
      return [...violations, ...judgeRules(object, [], faultsOf(violations))];
    },
  };
};

/** Compiled at the first use: a process that validates nothing reads nothing. */
let compiled: Map<string, Kind> | undefined;
const kinds = (): Map<string, Kind> => {
  compiled ??= new Map(readCrds((path) => readFileSync(path, 'utf8')).map((crd) => [crd.kind, compileKind(crd)]));
  return compiled;
};

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const wrongWord = (field: string, value: unknown, allowed: readonly string[]): Violation => {
  if (value === undefined || value === null)
    return {path: [field], message: `is required: write ${field}: ${allowed.join(' or ')}`};
  const meant = typeof value === 'string' ? nearest(value, allowed) : undefined;
  return {
    path: [field],
    message: `must be ${allowed.join(' or ')}, not ${show(value)}${meant === undefined ? '' : `; did you mean ${meant}?`}`,
  };
};

const identify = (object: unknown): {kind: Kind} | {violations: Violation[]} => {
  if (!isRecord(object))
    return {
      violations: [
        {path: [], message: `must be an object with apiVersion, kind, metadata and spec, not ${show(object)}`},
      ],
    };
  const kind = typeof object['kind'] === 'string' ? kinds().get(object['kind']) : undefined;
  const violations = [
    ...(object['apiVersion'] === apiVersion ? [] : [wrongWord('apiVersion', object['apiVersion'], [apiVersion])]),
    ...(kind === undefined ? [wrongWord('kind', object['kind'], [...kinds().keys()])] : []),
  ];
  return kind === undefined || violations.length > 0 ? {violations} : {kind};
};

/** Everything that is wrong with a ModelRoute or ModelGateway; nothing means that an API server accepts it. */
export const validateObject = (object: unknown): Violation[] => {
  const identified = identify(object);
  if ('violations' in identified) return identified.violations;
  return identified.kind.judge(identified.kind.prepare(object));
};

/** The object as an API server would store it: nulls dropped, defaults of the schema filled in. For objects without violations. */
export const applyDefaults = (object: unknown): unknown => {
  const identified = identify(object);
  return 'violations' in identified ? object : identified.kind.prepare(object);
};
