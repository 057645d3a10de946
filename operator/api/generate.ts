/**
 * Writes generated.ts: the TypeScript types of the resources, from the CRDs. Run `node operator/api/generate.ts` after a change
 * to crds/; `make check` fails if the two differ.
 */
import {readFileSync, writeFileSync} from 'node:fs';
import {isDeepStrictEqual} from 'node:util';
import {compile, type JSONSchema} from 'json-schema-to-typescript';
import {format, resolveConfig} from 'prettier';
import {apiVersion, readCrds, type Schema} from './crds.ts';

/** Names of the types made of the object schemas under a property; where two schemas share a property name, by their path. */
const typeNames: Record<string, string> = {
  'backends[]': 'Backend',
  'status.backends[]': 'BackendStatus',
  'backends[].timeouts': 'BackendTimeouts',
  gatewayRef: 'GatewayRef',
  serviceRef: 'ServiceRef',
  auth: 'Auth',
  tls: 'BackendTls',
  timeouts: 'Timeouts',
  retry: 'Retry',
  circuitBreaker: 'CircuitBreaker',
  loadBalancing: 'LoadBalancing',
  stream: 'Stream',
  'conditions[]': 'Condition',
  autoscaling: 'Autoscaling',
  allowedRoutes: 'AllowedRoutes',
  allowedCallers: 'AllowedCallers',
  namespaces: 'NamespacesFrom',
  selector: 'LabelSelector',
  'matchExpressions[]': 'LabelSelectorRequirement',
  defaults: 'RouteDefaults',
  service: 'GatewayService',
  limits: 'Limits',
  logging: 'Logging',
  tracing: 'Tracing',
  pod: 'GatewayPod',
  'tolerations[]': 'Toleration',
};

/** Later, longer keys are more exact, so the longest that the path ends with wins. */
const typeName = (path: string): string | undefined => {
  const match = Object.keys(typeNames)
    .filter((key) => path === key || path.endsWith(`.${key}`))
    .sort((a, b) => b.length - a.length)[0];
  return match === undefined ? undefined : typeNames[match];
};

const withoutDescription = (schema: JSONSchema): unknown => ({...schema, description: undefined});

/** One definition per type name: both CRDs hold the policy blocks, and they must not drift apart. */
const define = (definitions: Record<string, JSONSchema>, name: string, schema: JSONSchema): JSONSchema => {
  const known = definitions[name];
  if (known !== undefined && !isDeepStrictEqual(withoutDescription(known), withoutDescription(schema)))
    throw new Error(`the CRDs hold two different schemas for the type ${name}`);
  definitions[name] = known ?? schema;
  return {$ref: `#/definitions/${name}`}; // a description beside it would make a second type of it
};

const toJsonSchema = (schema: Schema, path: string, definitions: Record<string, JSONSchema>): JSONSchema => {
  const description = schema.description === undefined ? {} : {description: schema.description};
  if (schema['x-kubernetes-int-or-string'] === true) return {...description, type: ['integer', 'string']};
  if (schema.items !== undefined)
    return {...description, type: 'array', items: toJsonSchema(schema.items, `${path}[]`, definitions)};
  if (schema.additionalProperties !== undefined)
    return {
      ...description,
      type: 'object',
      additionalProperties: toJsonSchema(schema.additionalProperties, `${path}{}`, definitions),
    };
  if (schema.properties === undefined)
    return {...description, type: schema.type, ...(schema.enum ? {enum: schema.enum} : {})};
  const object: JSONSchema = {
    ...description,
    type: 'object',
    additionalProperties: false,
    required: [...(schema.required ?? [])],
    properties: Object.fromEntries(
      Object.entries(schema.properties).map(([key, value]) => [
        key,
        toJsonSchema(value, path === '' ? key : `${path}.${key}`, definitions),
      ]),
    ),
  };
  const name = typeName(path);
  return name === undefined ? object : define(definitions, name, object);
};

const resource = (kind: string, schema: Schema, definitions: Record<string, JSONSchema>): JSONSchema => {
  const {spec, status} = schema.properties ?? {};
  if (spec === undefined || status === undefined) throw new Error(`the CRD of ${kind} has no spec or no status`);
  return {
    description: schema.description,
    type: 'object',
    additionalProperties: false,
    required: ['apiVersion', 'kind', 'metadata', 'spec'],
    properties: {
      apiVersion: {const: apiVersion},
      kind: {const: kind},
      metadata: {tsType: 'ObjectMeta'},
      spec: define(definitions, `${kind}Spec`, toJsonSchema(spec, 'spec', definitions)),
      status: define(definitions, `${kind}Status`, toJsonSchema(status, 'status', definitions)),
    },
  };
};

const definitions: Record<string, JSONSchema> = {};
const kinds = readCrds((path) => readFileSync(path, 'utf8')).map(({kind, schema}) => ({
  kind,
  schema: resource(kind, schema, definitions),
}));
for (const {kind, schema} of kinds) definitions[kind] = schema;
const source = await compile(
  {$id: 'Resource', definitions, oneOf: kinds.map(({kind}) => ({$ref: `#/definitions/${kind}`}))},
  'Resource',
  {
    bannerComment: [
      '/**',
      ' * Types of the resources, generated from crds/ by operator/api/generate.ts: do not edit.',
      ' */',
      "import type {ObjectMeta} from './resources.ts';",
    ].join('\n'),
    format: false,
    ignoreMinAndMaxItems: true,
  },
);
const target = new URL('generated.ts', import.meta.url).pathname;
writeFileSync(target, await format(source, {...(await resolveConfig(target)), parser: 'typescript'}));
