/** The real Helm, and what it makes of the charts. */
import {execFile} from 'node:child_process';
import {existsSync} from 'node:fs';
import {homedir} from 'node:os';
import {delimiter, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import {parseAllDocuments} from 'yaml';

const run = promisify(execFile);

export type ChartName = 'modelroute' | 'modelroute-crds';
export const chartFolder = (chart: ChartName): string =>
  fileURLToPath(new URL(`../../charts/${chart}`, import.meta.url));

/** `say` gets one line if there is none. On CI that is an error, for a skipped proof proves nothing. */
export const findHelm = (say: (line: string) => void): string | undefined => {
  const {KUBEBUILDER_ASSETS, CLUSTER_CACHE, PATH = '', CI} = process.env;
  const built = join(CLUSTER_CACHE ?? join(homedir(), '.cache/modelroute-cluster'), '1.34.4');
  const folders = [...(KUBEBUILDER_ASSETS === undefined ? [] : [KUBEBUILDER_ASSETS]), built, ...PATH.split(delimiter)];
  const found = folders.map((folder) => join(folder, 'helm')).find((file) => existsSync(file));
  if (found !== undefined) return found;
  const message = 'no helm: install Helm 3.14 or newer';
  if (CI === 'true') throw new Error(message);
  say(`skipped: ${message}\n`);
  return undefined;
};

export type Values = Record<string, unknown>;

/** What every object has. */
export type KubeDocument = {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
  [member: string]: unknown;
};

/** The parts that tests look at. */
export type Container = {image: string; args: string[]; env: {name: string}[]};
export type PodSpec = {
  serviceAccountName: string;
  containers: Container[];
  initContainers: Container[];
  topologySpreadConstraints: {labelSelector: unknown}[];
};
export type DeploymentSpec = {
  selector: {matchLabels: Record<string, string>};
  template: {metadata: {labels: Record<string, string>}; spec: PodSpec};
};

export type Helm = {
  /** @throws Error with what helm says */
  lint: (chart: ChartName, values?: Values) => Promise<string>;
  /** The text of all objects. @throws Error with what helm says */
  template: (chart: ChartName, values?: Values, release?: Release) => Promise<string>;
  /** The same, parsed. */
  render: (chart: ChartName, values?: Values, release?: Release) => Promise<KubeDocument[]>;
  /** What the one who installs the operator gets to read. */
  notes: (values?: Values) => Promise<string>;
};

export type Release = {name?: string; namespace?: string};

/** A key that stands there twice is an error here, as it is in the API server's strict reading. */
const parseDocuments = (text: string): KubeDocument[] =>
  parseAllDocuments(text).flatMap((document) => {
    if (document.errors.length > 0) throw new Error(`${document.errors[0]?.message}\n${String(document)}`);
    return document.contents === null ? [] : [document.toJS() as KubeDocument];
  });

/** No other configuration than what a test says. */
const environment = {PATH: process.env['PATH'] ?? '', HOME: '/nonexistent', HELM_NO_PLUGINS: '1'};

export const createHelm = (program: string): Helm => {
  const call = async (args: string[], values: Values): Promise<string> => {
    const running = run(program, [...args, '--values', '-'], {env: environment, maxBuffer: 32 * 1024 * 1024});
    running.child.stdin?.end(JSON.stringify(values)); // JSON is YAML
    try {
      return (await running).stdout;
    } catch (error) {
      const {stdout, stderr} = error as {stdout?: string; stderr?: string};
      throw new Error(`${stdout}${stderr}`, {cause: error});
    }
  };
  const template: Helm['template'] = (
    chart,
    values = {},
    {name = 'modelroute', namespace = 'modelroute-system'} = {},
  ) => call(['template', name, chartFolder(chart), '--namespace', namespace], values);
  return {
    lint: (chart, values = {}) => call(['lint', '--strict', chartFolder(chart)], values),
    template,
    notes: async (values = {}) => {
      const install = ['install', 'modelroute', chartFolder('modelroute'), '--namespace', 'modelroute-system'];
      const said = await call([...install, '--dry-run=client'], values);
      return said.slice(said.indexOf('NOTES:'));
    },
    render: async (...about) => parseDocuments(await template(...about)),
  };
};

export const ofKind = (documents: readonly KubeDocument[], kind: string): KubeDocument[] =>
  documents.filter((document) => document.kind === kind);

/** @throws Error unless there is exactly one */
export const only = (documents: readonly KubeDocument[], kind: string): KubeDocument => {
  const [found, ...others] = ofKind(documents, kind);
  if (found === undefined || others.length > 0)
    throw new Error(`${others.length + (found ? 1 : 0)} objects of kind ${kind}`);
  return found;
};

/** Of the operator. That it is one the API server says, elsewhere. */
export const deploymentSpec = (documents: readonly KubeDocument[]): DeploymentSpec =>
  only(documents, 'Deployment')['spec'] as DeploymentSpec;

/** Of the test. */
export const testPodSpec = (documents: readonly KubeDocument[]): PodSpec => only(documents, 'Pod')['spec'] as PodSpec;

/** From the first kubectl to the curl. */
export const commandsOf = (notes: string): string => /^kubectl run [^]*?^curl .*$/m.exec(notes)?.[0] ?? '';

/** Where objects of its kind are made. */
export const collection = ({
  apiVersion,
  kind,
  metadata: {namespace},
}: {
  apiVersion: string;
  kind: string;
  metadata: {namespace?: string};
}): string => {
  const group = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const plural = `${kind.toLowerCase()}s`.replace(/ys$/, 'ies');
  return `${group}${namespace === undefined ? '' : `/namespaces/${namespace}`}/${plural}`;
};
