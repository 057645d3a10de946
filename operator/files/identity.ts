/** Which object a document is: one of the four kinds that files may hold, its namespace and its name. */
import {apiVersion} from '../api/crds.ts';
import {type FileProblem, type Path, problemAt} from './problem.ts';
import type {SourceDocument} from './documents.ts';

const apiVersions = {
  ModelRoute: apiVersion,
  ModelGateway: apiVersion,
  Secret: 'v1',
  EndpointSlice: 'discovery.k8s.io/v1',
} as const;

export type FileKind = keyof typeof apiVersions;

export type SourceObject = SourceDocument & {
  kind: FileKind;
  namespace: string;
  name: string;
  value: Record<string, unknown>;
};

export type Identified = {object?: SourceObject; problems: FileProblem[]};

const allKinds =
  'files may hold ModelRoute and ModelGateway (modelroute.dev/v1alpha1), Secret (v1) and EndpointSlice (discovery.k8s.io/v1)';

/** RFC 1123, as the API server checks names. */
const subdomain = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const label = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isFileKind = (kind: unknown): kind is FileKind => typeof kind === 'string' && Object.hasOwn(apiVersions, kind);

type Fault = {path: Path; message: string};

const kindFault = ({kind, apiVersion}: Record<string, unknown>): Fault | undefined => {
  if (kind === undefined) return {path: [], message: `kind is missing: ${allKinds}`};
  if (!isFileKind(kind)) return {path: ['kind'], message: `kind ${JSON.stringify(kind)} is not read: ${allKinds}`};
  if (apiVersion === apiVersions[kind]) return undefined;
  const what = apiVersion === undefined ? 'is missing' : `is ${JSON.stringify(apiVersion)}`;
  return {path: ['apiVersion'], message: `apiVersion ${what}: a ${kind} has "${apiVersions[kind]}"`};
};

const nameFaults = ({name, namespace}: Record<string, unknown>): Fault[] => {
  const faults: Fault[] = [];
  if (name === undefined || name === null)
    faults.push({path: ['metadata', 'name'], message: 'the name is missing: add metadata.name'});
  else if (typeof name !== 'string' || !subdomain.test(name)) {
    const message = `${JSON.stringify(name)} is not a name: lower-case letters, digits, "-" and "." only (quote a number)`;
    faults.push({path: ['metadata', 'name'], message});
  }
  if (namespace === undefined || namespace === null) return faults;
  if (typeof namespace !== 'string' || (namespace !== '' && !label.test(namespace))) {
    const message = `${JSON.stringify(namespace)} is not a namespace: lower-case letters, digits and "-" only, 63 at most`;
    faults.push({path: ['metadata', 'namespace'], message});
  }
  return faults;
};

/** The kinds whose schema is ours: it checks the name too, with all the rest. */
const isJudgedElsewhere = (kind: FileKind): boolean => kind === 'ModelRoute' || kind === 'ModelGateway';

/** A missing namespace is `default`, as for kubectl without a context that says otherwise; a name that is missing is ''. */
export const identify = (document: SourceDocument): Identified => {
  const {value} = document;
  const problem = ({path, message}: Fault): FileProblem => problemAt(document, path, message);
  if (!isRecord(value)) {
    return {problems: [problem({path: [], message: `not an object with apiVersion and kind: ${allKinds}`})]};
  }
  const wrongKind = kindFault(value);
  if (wrongKind !== undefined) return {problems: [problem(wrongKind)]};
  const kind = value['kind'] as FileKind; // kindFault has checked it
  const metadata = isRecord(value['metadata']) ? value['metadata'] : {};
  const faults = isJudgedElsewhere(kind) ? [] : nameFaults(metadata);
  if (faults.length > 0) return {problems: faults.map(problem)};
  const {name, namespace} = metadata;
  const isNamed = typeof namespace === 'string' && namespace !== '';
  const place = {namespace: isNamed ? namespace : 'default', name: typeof name === 'string' ? name : ''};
  return {object: {...document, value, kind, ...place}, problems: []};
};
