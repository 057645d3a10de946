/** Files to typed objects: read, parsed, told apart and held against their schemas. */
import type {EndpointSlice} from '../../proxy/config/endpoint.ts';
import type {ModelGateway, ModelRoute} from '../api/generated.ts';
import {applyDefaults, validateObject} from '../api/validate.ts';
import type {SecretValue} from '../plan/world.ts';
import {parseDocuments} from './documents.ts';
import {readEndpointSlice} from './endpoint-slice.ts';
import {type FileKind, identify, type SourceObject} from './identity.ts';
import {type FileProblem, problemAt, problemOfFile} from './problem.ts';
import {readFiles, type TextFile} from './read.ts';
import {readSecret} from './secret.ts';

export type FileObjects = {
  routes: ModelRoute[];
  gateways: ModelGateway[];
  secrets: SecretValue[];
  slices: EndpointSlice[];
  /** Where each object stands, by {@link sourceKey}. */
  sources: ReadonlyMap<string, SourceObject>;
  /** What is wrong with the files as such: any of them rejects the files whole. */
  problems: FileProblem[];
};

export const sourceKey = ({kind, namespace, name}: {kind: FileKind; namespace: string; name: string}): string =>
  `${kind} ${namespace}/${name}`;

type Collected = Omit<FileObjects, 'sources'> & {sources: Map<string, SourceObject>};

/** As an API server would hand it out, but for what only an API server writes. */
const normalised = ({kind, namespace, name, value}: SourceObject): unknown => {
  const {apiVersion, metadata, spec} = applyDefaults(value) as Record<string, unknown>; // the schema has checked it
  const {generation, creationTimestamp} = metadata as Record<string, unknown>;
  return {apiVersion, kind, metadata: {name, namespace, ...defined({generation, creationTimestamp})}, spec};
};

const defined = (values: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));

const violations = (object: SourceObject): FileProblem[] =>
  validateObject(object.value).map(({path, message}) => problemAt(object, path, message));

/** One way to take up an object per kind; each returns what is wrong with it. */
const take: Record<FileKind, (object: SourceObject, into: Collected) => FileProblem[]> = {
  ModelRoute: (object, {routes}) => {
    const problems = violations(object);
    if (problems.length === 0) routes.push(normalised(object) as ModelRoute); // the schema has checked it
    return problems;
  },
  ModelGateway: (object, {gateways}) => {
    const problems = violations(object);
    if (problems.length === 0) gateways.push(normalised(object) as ModelGateway); // the schema has checked it
    return problems;
  },
  Secret: (object, {secrets}) => {
    const {secret, problems} = readSecret(object);
    if (secret !== undefined) secrets.push(secret);
    return problems;
  },
  EndpointSlice: (object, {slices}) => {
    const {slice, problems} = readEndpointSlice(object);
    if (slice !== undefined) slices.push(slice);
    return problems;
  },
};

const takeObject = (object: SourceObject, into: Collected): FileProblem[] => {
  const key = sourceKey(object);
  const first = object.name === '' ? undefined : into.sources.get(key);
  if (first === undefined) {
    into.sources.set(key, object);
    return take[object.kind](object, into);
  }
  const place = `${first.file}:${first.locate(['metadata', 'name']).line}`;
  const message = `${key} is already defined at ${place}: keep one of them, or give this one another name`;
  return [problemAt(object, ['metadata', 'name'], message)];
};

const takeFile = ({file, text}: TextFile, into: Collected): number => {
  const {documents, problems} = parseDocuments(file, text);
  into.problems.push(...problems);
  for (const {object, problems: faults} of documents.map(identify)) {
    into.problems.push(...faults);
    if (object !== undefined) into.problems.push(...takeObject(object, into));
  }
  return documents.length;
};

/** `stdin` is the text that the path `-` stands for. */
export const readObjects = (paths: readonly string[], stdin?: string): FileObjects => {
  const onDisk = stdin === undefined ? paths : paths.filter((path) => path !== '-');
  const {files, problems} = readFiles(onDisk);
  if (onDisk.length < paths.length && stdin !== undefined) files.push({file: '-', text: stdin});
  const collected: Collected = {routes: [], gateways: [], secrets: [], slices: [], sources: new Map(), problems};
  const documents = files.reduce((sum, file) => sum + takeFile(file, collected), 0);
  if (documents === 0 && problems.length === 0) {
    const message = 'there is no object in the files: add a ModelRoute';
    problems.push(problemOfFile(files[0]?.file ?? paths[0] ?? '', message));
  }
  return collected;
};
