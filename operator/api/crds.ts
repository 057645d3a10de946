/** The CRDs as they stand in crds/: the one source of the resources' schema. */
import {existsSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {parse} from 'yaml';

export const group = 'modelroute.dev';
export const version = 'v1alpha1';
export const apiVersion = `${group}/${version}` as const;

/** An `x-kubernetes-validations` entry; `rule` is CEL with the value as `self`. */
export type Rule = {rule: string; message: string; fieldPath?: string; reason?: string};

/** The part of a structural schema that the CRDs use. */
export type Schema = {
  type?: 'object' | 'array' | 'string' | 'integer' | 'boolean';
  description?: string;
  properties?: Record<string, Schema>;
  additionalProperties?: Schema;
  items?: Schema;
  required?: string[];
  enum?: string[];
  pattern?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  maxProperties?: number;
  default?: unknown;
  'x-kubernetes-int-or-string'?: boolean;
  'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map';
  'x-kubernetes-list-map-keys'?: string[];
  'x-kubernetes-validations'?: Rule[];
};

/** The schema of an object's field. Not by index alone: a field may be called constructor. */
export const fieldSchema = ({properties = {}, additionalProperties}: Schema, field: string): Schema | undefined =>
  Object.hasOwn(properties, field) ? properties[field] : additionalProperties;

export type Crd = {kind: string; schema: Schema};

/** The package's folder: sources stand two levels below it, compiled files three, so it is searched for, not counted to. */
const packageFolder = (from: string): string => {
  if (existsSync(join(from, 'crds', crdFiles[0]))) return from;
  const parent = dirname(from);
  if (parent === from)
    throw new Error(`crds/${crdFiles[0]} is not to be found above ${fileURLToPath(import.meta.url)}`);
  return packageFolder(parent);
};

const crdFiles = ['modelroute.dev_modelroutes.yaml', 'modelroute.dev_modelgateways.yaml'] as const;

export const crdPaths = (): string[] => {
  const folder = packageFolder(dirname(fileURLToPath(import.meta.url)));
  return crdFiles.map((file) => join(folder, 'crds', file));
};

/** On each CRD; it grows with each change of a schema. */
export const schemaVersionAnnotation = 'modelroute.dev/schema-version';

type CrdFile = {
  metadata: {annotations: Record<string, string>};
  spec: {names: {kind: string}; versions: {schema: {openAPIV3Schema: Schema}}[]};
};

export const readCrds = (read: (path: string) => string): Crd[] =>
  crdPaths().map((path) => {
    const {spec} = parse(read(path)) as CrdFile; // our own files, which an API server has accepted in the tests
    const version = spec.versions[0];
    if (version === undefined) throw new Error(`${path} has no version`);
    return {kind: spec.names.kind, schema: version.schema.openAPIV3Schema};
  });

/** The schema version that this release works with, as a whole number. */
export const packagedSchemaVersion = (read: (path: string) => string): number => {
  const versions = crdPaths().map((path) => {
    const {metadata} = parse(read(path)) as CrdFile; // as above
    return Number(metadata.annotations[schemaVersionAnnotation]);
  });
  return Math.max(...versions);
};
