/** What is written under charts/ from other files: the templates of the CRDs, and the tables of values in the READMEs. */
import {readFileSync, readdirSync} from 'node:fs';
import {basename, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {format, resolveConfig} from 'prettier';
import {parse} from 'yaml';
import {valuesTable} from './values-table.ts';

const charts = fileURLToPath(new URL('.', import.meta.url));
const crds = fileURLToPath(new URL('../crds/', import.meta.url));

export type GeneratedFile = {path: string; text: string};

type CrdHead = {
  apiVersion: string;
  kind: string;
  metadata: {name: string; annotations?: Record<string, string>; labels?: never};
};

/** What Go templates would take for their own is printed by them instead. */
const escaped = (text: string): string => text.replaceAll('{{', '{{ "{{" }}');

const quoted = (text: string): string => JSON.stringify(text);

/**
 * A CRD as a template: its spec byte by byte, its metadata with the chart's labels and annotations beside its own.
 *
 * @throws Error if the file has members beside apiVersion, kind, metadata and, last, spec
 */
export const crdTemplate = (file: string, text: string): string => {
  const specAt = text.search(/^spec:$/m);
  const {apiVersion, kind, metadata, ...others} = parse(text.slice(0, specAt)) as CrdHead; // our own files
  const {name, annotations = {}, ...unknown} = metadata;
  const surplus = [...Object.keys(others), ...Object.keys(unknown)];
  if (specAt < 0 || surplus.length > 0)
    throw new Error(`crds/${file}: cannot make a template of ${surplus.join(', ')}`);
  const own = Object.entries(annotations).map(([key, value]) => ` ${quoted(key)} ${quoted(value)}`);
  return [
    `{{- /* From crds/${file} by charts/generate.ts: do not edit. */ -}}`,
    `apiVersion: ${apiVersion}`,
    `kind: ${kind}`,
    'metadata:',
    `  name: ${name}`,
    '  labels:',
    '    {{- include "modelroute-crds.labels" . | nindent 4 }}',
    '  annotations:',
    `    {{- include "modelroute-crds.annotations" (dict "root" . "own" (dict${own.join('')})) | nindent 4 }}`,
    escaped(text.slice(specAt)),
  ].join('\n');
};

const start = '<!-- values: from values.yaml by charts/generate.ts -->';
const end = '<!-- end of values -->';

/** @throws Error if the README has no place for it */
const withTable = (readme: string, table: string): string => {
  const [before, rest] = readme.split(start);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) throw new Error(`a README of charts/ lacks ${start} … ${end}`);
  return `${before}${start}\n\n${table}\n\n${end}${after}`;
};

const readme = async (chart: string): Promise<GeneratedFile> => {
  const path = join(charts, chart, 'README.md');
  const table = valuesTable(readFileSync(join(charts, chart, 'values.yaml'), 'utf8'));
  const text = withTable(readFileSync(path, 'utf8'), table);
  return {path, text: await format(text, {...(await resolveConfig(path)), parser: 'markdown'})};
};

/** All of them, as they should be. */
export const generatedFiles = async (): Promise<GeneratedFile[]> => [
  ...readdirSync(crds)
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => ({
      path: join(charts, 'modelroute-crds/templates', basename(file)),
      text: crdTemplate(file, readFileSync(join(crds, file), 'utf8')),
    })),
  await readme('modelroute'),
  await readme('modelroute-crds'),
];
