/** The API server and validateObject judge alike: every example, and every document in documents/. */
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals';
import {readdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {parse, parseAllDocuments} from 'yaml';
import {crdPaths, readCrds, type Schema} from '../../operator/api/crds.ts';
import {applyDefaults, validateObject} from '../../operator/api/validate.ts';
import {findAssets} from './assets.ts';
import {type Answer, type ApiServer, startApiServer} from './start.ts';

type Resource = {
  kind: string;
  metadata: {name?: string; namespace?: string; annotations?: {expect?: string}};
  spec?: unknown;
};
type Named = {title: string; object: Resource};

const group = '/apis/modelroute.dev/v1alpha1';
const plurals: Record<string, string> = {ModelRoute: 'modelroutes', ModelGateway: 'modelgateways'};

const folder = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

const readObjects = (root: string): Named[] =>
  readdirSync(root, {recursive: true, encoding: 'utf8'})
    .filter((file) => file.endsWith('.yaml'))
    .sort()
    .flatMap((file) =>
      parseAllDocuments(readFileSync(join(root, file), 'utf8'), {version: '1.1'}).map((document) => {
        if (document.errors.length > 0) throw new Error(`${file}: ${document.errors[0]?.message}`);
        return {file, object: document.toJS() as Resource | null};
      }),
    )
    .flatMap(({file, object}) =>
      object !== null && object.kind in plurals
        ? [{title: `${file}: ${object.kind} ${object.metadata.name}`, object}]
        : [],
    );

const documents = readObjects(folder('documents'));
const examples = readObjects(folder('../../examples'));

const assets = findAssets();
const describeWithServer = assets === undefined ? describe.skip : describe;

let running: ApiServer | undefined;

const request: ApiServer['request'] = (...asked) => {
  if (running === undefined) throw new Error('the API server did not start');
  return running.request(...asked);
};

const path = ({kind, metadata}: Resource): string =>
  `${group}/namespaces/${metadata.namespace ?? 'default'}/${plurals[kind]}`;

const dryRun = (object: Resource): Promise<Answer> =>
  request('POST', `${path(object)}?dryRun=All&fieldValidation=Strict`, object);

const until = async (isSo: () => Promise<boolean>): Promise<void> => {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 20));
};

type Conditions = {status?: {conditions?: {type: string; status: string}[]}};

const install = async (crdPath: string): Promise<Answer> => {
  const crds = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
  const crd = parse(readFileSync(crdPath, 'utf8')) as {metadata: {name: string}; spec: {names: {plural: string}}};
  const answer = await request('POST', `${crds}?fieldValidation=Strict`, crd);
  if (answer.status !== 201) return answer;
  await until(async () => {
    const {body} = await request('GET', `${crds}/${crd.metadata.name}`);
    const conditions = (body as Conditions).status?.conditions ?? [];
    return conditions.some(({type, status}) => type === 'Established' && status === 'True');
  });
  await until(async () => (await request('GET', `${group}/${crd.spec.names.plural}`)).status === 200);
  return answer;
};

/** Paths of the fields that say nothing about themselves. */
const silent = (schema: Schema, at: string): string[] => [
  ...(schema.description === undefined ? [at] : []),
  ...Object.entries(schema.properties ?? {}).flatMap(([key, child]) => silent(child, `${at}.${key}`)),
  ...(schema.items?.properties === undefined ? [] : silent(schema.items, `${at}[]`)),
];

const ruleMessages = (schema: Schema): string[] => [
  ...(schema['x-kubernetes-validations'] ?? []).map(({message}) => message),
  ...[...Object.values(schema.properties ?? {}), schema.items, schema.additionalProperties].flatMap((child) =>
    child === undefined ? [] : ruleMessages(child),
  ),
];

const readFile = (file: string): string => readFileSync(file, 'utf8');

const allRuleMessages = [...new Set(readCrds(readFile).flatMap(({schema}) => ruleMessages(schema)))];

const isRefused = ({object}: Named): boolean => object.metadata.annotations?.expect !== undefined;
const refused = documents.filter(isRefused);
const accepted = documents.filter((document) => !isRefused(document));

type Refusal = {message?: string};

describeWithServer('the API server', () => {
  const installed: Answer[] = [];

  beforeAll(async () => {
    running = await startApiServer(assets ?? '');
    for (const crdPath of crdPaths()) installed.push(await install(crdPath));
  }, 120_000);

  afterAll(() => running?.stop());

  it('accepts the CRDs without a warning, CEL costs included', () => {
    expect(installed.map(({status, body, warnings}) => ({status, body: status === 201 ? {} : body, warnings}))).toEqual(
      [
        {status: 201, body: {}, warnings: []},
        {status: 201, body: {}, warnings: []},
      ],
    );
  });

  // Loops and not it.each, which fails if there is nothing to do.
  for (const {title, object} of examples)
    it(`accepts the example ${title}, as validateObject does`, async () => {
      expect(validateObject(object)).toEqual([]);
      const {status, body, warnings} = await dryRun(object);
      expect({status, body: status === 201 ? {} : body, warnings}).toEqual({status: 201, body: {}, warnings: []});
    });

  for (const {title, object} of accepted)
    it(`accepts ${title}, as validateObject does`, async () => {
      expect(validateObject(object)).toEqual([]);
      const {status, body} = await dryRun(object);
      expect({status, message: (body as Refusal).message}).toEqual({status: 201, message: undefined});
      expect((body as Resource).spec).toEqual((applyDefaults(object) as Resource).spec);
    });

  for (const {title, object} of refused)
    it(`refuses ${title}, as validateObject does, for the same reason`, async () => {
      const part = object.metadata.annotations?.expect ?? '';
      const violations = validateObject(object);
      expect(violations.map(({message}) => message)).toEqual([expect.stringContaining(part)]);
      const {status, body} = await dryRun(object);
      // The words of a CEL rule are the same on both sides, all others are not.
      const rule = allRuleMessages.find((message) => message.includes(part));
      if (violations[0]?.path[0] === 'spec' && rule !== undefined) expect((body as Refusal).message).toContain(rule);
      expect(status).toBeGreaterThanOrEqual(400);
      expect(status).toBeLessThan(500);
    });

  it('explains every field', async () => {
    const fields = readCrds(readFile).flatMap(({kind, schema}) =>
      ['spec', 'status'].flatMap((part) => silent(schema.properties?.[part] ?? {}, `${kind}.${part}`)),
    );
    expect(fields).toEqual([]);
    const openApi = await request('GET', `/openapi/v3${group}`);
    const {components} = openApi.body as {components: {schemas: Record<string, Schema>}};
    expect(components.schemas['dev.modelroute.v1alpha1.ModelRoute']?.properties?.['spec']?.description).toBe(
      'What is wanted.',
    );
  });

  it('scales a gateway that says nothing about replicas from 2 to 5', async () => {
    const gateway = {apiVersion: 'modelroute.dev/v1alpha1', kind: 'ModelGateway', metadata: {name: 'models'}};
    const created = await request('POST', path(gateway), gateway);
    expect(created.status).toBe(201);
    const scalePath = `${path(gateway)}/models/scale`;
    const scale = (await request('GET', scalePath)).body as {spec: {replicas: number}};
    expect(scale.spec.replicas).toBe(2);
    await request('PUT', scalePath, {...scale, spec: {replicas: 5}});
    const scaled = (await request('GET', `${path(gateway)}/models`)).body as {spec: unknown};
    expect(scaled.spec).toEqual({replicas: 5});
  });

  it('knows short names and the category that the README uses', async () => {
    const {body} = await request('GET', group);
    const {resources} = body as {resources: {name: string; shortNames?: string[]; categories?: string[]}[]};
    const named = resources.filter(({name}) => !name.includes('/'));
    expect(named.map(({name, shortNames, categories}) => ({name, shortNames, categories}))).toEqual(
      expect.arrayContaining([
        {name: 'modelroutes', shortNames: ['mroute'], categories: ['models']},
        {name: 'modelgateways', shortNames: ['mgateway'], categories: ['models']},
      ]),
    );
  });
});

describe('the documents', () => {
  it('break every CEL rule of the CRDs', () => {
    const parts = refused.map(({object}) => object.metadata.annotations?.expect ?? '');
    expect(allRuleMessages.filter((message) => !parts.some((part) => message.includes(part)))).toEqual([]);
  });
});
