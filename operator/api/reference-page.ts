/** A resource's page of docs/reference, in Markdown: every field of its CRD, in the order of the schema. */
import type {Rule, Schema} from './crds.ts';
import {meaningOf} from './patterns.ts';

type Column = {name: string; type: string; jsonPath: string; description?: string; priority?: number};

/** The part of a CRD that its page tells of. */
export type CrdDocument = {
  metadata: {name: string};
  spec: {
    group: string;
    scope: string;
    names: {kind: string; plural: string; shortNames: string[]; categories: string[]};
    versions: {
      name: string;
      subresources: {scale?: {specReplicasPath: string; statusReplicasPath: string; labelSelectorPath: string}};
      additionalPrinterColumns: Column[];
      schema: {openAPIV3Schema: Schema};
    }[];
  };
};

const code = (text: string): string => `\`${text}\``;

/** What Markdown would read as a sign of its own, outside of code. */
const escaped = (text: string): string =>
  text
    .split('`')
    .map((part, index) => (index % 2 === 1 ? part : part.replaceAll(/[*_<\\]/g, '\\$&')))
    .join('`');

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

const table = (head: string[], rows: string[][]): string =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.map(cell).join(' | ')} |`).join('\n');

/** The anchor that GitHub gives a heading. */
export const anchor = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^a-z0-9 _-]/g, '')
    .replaceAll(' ', '-');

const isObject = ({properties}: Schema): boolean => properties !== undefined;

const plainTypes: Record<string, string> = {
  string: 'string',
  integer: 'integer',
  boolean: 'boolean',
  object: 'object',
};

const typeOf = (schema: Schema, path: string): string => {
  if (schema['x-kubernetes-int-or-string'] === true) return 'integer or string';
  if (schema.items !== undefined) return `list of ${typeOf(schema.items, `${path}[]`)}`;
  if (schema.additionalProperties !== undefined) return `map of ${typeOf(schema.additionalProperties, path)}`;
  if (isObject(schema)) return `[object](#${anchor(path)})`;
  return plainTypes[schema.type ?? ''] ?? 'any';
};

const isDefault = (sentence: string): boolean => / unless set[.]?$/.test(sentence);

const sentencesOf = ({description = ''}: Schema): string[] => description.split(/(?<=[.]) (?=[A-Z0-9/a-z`])/);

const isOneWord = (text: string): boolean => /^[\w./%:-]+$/.test(text);

/** What holds while nobody sets the field: the schema's default, or what the description ends with. */
const defaultOf = (schema: Schema): string => {
  if (schema.default !== undefined) return code(JSON.stringify(schema.default));
  const sentence = sentencesOf(schema)
    .find(isDefault)
    ?.replace(/,? unless set[.]?$/, '');
  if (sentence === undefined) return '';
  return isOneWord(sentence) && !/^No$/.test(sentence) ? code(sentence) : escaped(sentence);
};

const meaningCell = (schema: Schema): string =>
  escaped(
    sentencesOf(schema)
      .filter((sentence) => !isDefault(sentence))
      .join(' '),
  );

const range = (least: number | undefined, most: number | undefined, unit = ''): string[] => {
  if (least === undefined && most === undefined) return [];
  if (most === undefined) return [`at least ${least}${unit}`];
  return [least === undefined || (unit !== '' && least <= 1) ? `at most ${most}${unit}` : `${least} to ${most}${unit}`];
};

const pattern = ({pattern: expression}: Schema): string[] => {
  if (expression === undefined) return [];
  const meaning = meaningOf(expression);
  return [meaning === undefined ? `matches ${code(expression)}` : escaped(`${meaning.noun}: ${meaning.remedy}`)];
};

const listRules = (schema: Schema): string[] => {
  const {minItems, maxItems} = schema;
  const keys = schema['x-kubernetes-list-map-keys'] ?? [];
  return [
    ...(minItems === undefined || minItems === 0
      ? range(undefined, maxItems, ' entries')
      : [`${minItems} to ${maxItems} entries`]),
    ...(schema['x-kubernetes-list-type'] === 'set' ? ['each once'] : []),
    ...(keys.length > 0 ? [`one per ${keys.map(code).join(', ')}`] : []),
  ];
};

const ruleText = ({message, fieldPath}: Rule): string =>
  escaped(fieldPath === undefined ? message : `${code(fieldPath.slice(1))}: ${message}`);

/** What a value must be; `prefix` goes before what is said of the entries of a list or a map. */
const rulesOf = (schema: Schema): string[] => {
  const {enum: values, minimum, maximum, maxLength, maxProperties, items, additionalProperties} = schema;
  const within = items ?? additionalProperties;
  const own = [
    ...(values === undefined ? [] : [`one of ${values.map(code).join(', ')}`]),
    ...range(minimum, maximum),
    ...range(schema.minLength, maxLength, ' characters'),
    ...range(undefined, maxProperties, ' entries'),
    ...pattern(schema),
    ...listRules(schema),
    ...(schema['x-kubernetes-validations'] ?? []).map(ruleText),
  ];
  const ofEntries = within === undefined || isObject(within) ? [] : rulesOf(within);
  return [...own, ...(ofEntries.length === 0 ? [] : [`each entry: ${ofEntries.join('; ')}`])];
};

const row = (name: string, schema: Schema, {path, required}: {path: string; required: boolean}): string[] => [
  code(name),
  typeOf(schema, `${path}.${name}`),
  required ? '**required**' : defaultOf(schema),
  meaningCell(schema),
  isObject(schema) ? '' : rulesOf(schema).join('; '),
];

const fieldsTable = (schema: Schema, path: string): string =>
  table(
    ['field', 'type', 'default', 'meaning', 'has to be'],
    Object.entries(schema.properties ?? {}).map(([name, child]) =>
      row(name, child, {path, required: schema.required?.includes(name) === true}),
    ),
  );

const objectRules = (schema: Schema): string[] => {
  const rules = (schema['x-kubernetes-validations'] ?? []).map(ruleText);
  return rules.length === 0
    ? []
    : ['The API server refuses it unless it keeps to this:', rules.map((rule) => `- ${rule}`).join('\n')];
};

/** The object itself, then those inside of it, each as a section of its own. */
const sections = (schema: Schema, path: string): string[] => {
  const inside = Object.entries(schema.properties ?? {}).flatMap(([name, child]) => {
    const isList = child.items !== undefined;
    const object = child.items ?? child.additionalProperties ?? child;
    return isObject(object) ? sections(object, `${path}.${name}${isList ? '[]' : ''}`) : [];
  });
  const heading = `${'#'.repeat(path.includes('.') ? 3 : 2)} ${path}`;
  return [heading, escaped(schema.description ?? ''), ...objectRules(schema), fieldsTable(schema, path), ...inside];
};

const columnsTable = (columns: readonly Column[]): string =>
  table(
    ['column', 'from', 'meaning'],
    columns.map(({name, jsonPath, description = '', priority = 0}) => [
      name.toUpperCase(),
      code(jsonPath),
      [escaped(description), ...(priority > 0 ? ['with `-o wide`'] : [])].filter((text) => text !== '').join('; '),
    ]),
  );

const scaleText = (version: CrdDocument['spec']['versions'][number]): string[] => {
  const {scale} = version.subresources;
  if (scale === undefined) return [];
  return [
    '## Scale',
    `\`kubectl scale\` and autoscalers read and write ${code(scale.specReplicasPath)}; what they see is ` +
      `${code(scale.statusReplicasPath)}, and the pods are those of ${code(scale.labelSelectorPath)}.`,
  ];
};

const nameRules = (schema: Schema): string[] => {
  const name = schema.properties?.['metadata']?.properties?.['name'];
  return name === undefined ? [] : ['## metadata', fieldsTable({properties: {name}}, 'metadata')];
};

/** Not yet in the form that the formatter gives it. */
export const referencePage = ({metadata, spec}: CrdDocument): string => {
  const {kind, shortNames, categories} = spec.names;
  const [version] = spec.versions;
  if (version === undefined) throw new Error(`${metadata.name} has no version`);
  const schema = version.schema.openAPIV3Schema;
  const parts = Object.entries(schema.properties ?? {}).filter(([name]) => name === 'spec' || name === 'status');
  return [
    `<!-- Generated from crds/ by operator/api/reference.ts: do not edit. -->`,
    `# ${kind}`,
    escaped(schema.description ?? ''),
    table(
      ['', ''],
      [
        ['apiVersion', code(`${spec.group}/${version.name}`)],
        ['kind', code(kind)],
        ['for kubectl', [metadata.name, ...shortNames].map(code).join(', ')],
        ['listed by', categories.map((category) => code(`kubectl get ${category}`)).join(', ')],
        ['scope', spec.scope === 'Namespaced' ? 'a namespace' : 'the cluster'],
      ],
    ),
    'A field that is not here is refused by `kubectl apply` and by `modelroute check`. Durations are such as `500ms`, `30s` or `1m30s`.',
    `## kubectl get`,
    columnsTable(version.additionalPrinterColumns),
    ...scaleText(version),
    ...nameRules(schema),
    ...parts.flatMap(([name, part]) => sections(part, name)),
    '',
  ].join('\n\n');
};
