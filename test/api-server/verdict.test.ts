/** The API server and validateObject judge alike: every example, and every document in documents/. */
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals';
import {readFileSync} from 'node:fs';
import {readCrds, type Schema} from '../../operator/api/crds.ts';
import {applyDefaults, validateObject} from '../../operator/api/validate.ts';
import {findAssets} from './assets.ts';
import {collection, dryRun, group, installCrds} from './crds.ts';
import {accepted, examples, refused, type Resource} from './documents.ts';
import {type Answer, type ApiServer, startApiServer} from './start.ts';

type Refusal = {message?: string};

const crds = readCrds((path) => readFileSync(path, 'utf8'));

const ruleMessages = (schema: Schema): string[] => [
  ...(schema['x-kubernetes-validations'] ?? []).map(({message}) => message),
  ...[...Object.values(schema.properties ?? {}), schema.items, schema.additionalProperties].flatMap((child) =>
    child === undefined ? [] : ruleMessages(child),
  ),
];

const allRuleMessages = [...new Set(crds.flatMap(({schema}) => ruleMessages(schema)))];

/** Paths of the fields that say nothing about themselves. */
const silent = (schema: Schema, at: string): string[] => [
  ...(schema.description === undefined ? [at] : []),
  ...Object.entries(schema.properties ?? {}).flatMap(([key, child]) => silent(child, `${at}.${key}`)),
  ...(schema.items?.properties === undefined ? [] : silent(schema.items, `${at}[]`)),
];

const assets = findAssets((line) => process.stderr.write(line));
const describeWithServer = assets === undefined ? describe.skip : describe;

describeWithServer('the API server', () => {
  let server: ApiServer;
  let installed: Answer[];

  beforeAll(async () => {
    server = await startApiServer(assets ?? '');
    installed = await installCrds(server);
  }, 120_000);

  afterAll(() => server.stop());

  it('accepts the CRDs without a warning, CEL costs included', () => {
    const summary = ({status, body, warnings}: Answer): object => ({
      status,
      message: (body as Refusal).message,
      warnings,
    });
    expect(installed.map(summary)).toEqual([
      {status: 201, message: undefined, warnings: []},
      {status: 201, message: undefined, warnings: []},
    ]);
  });

  // Loops and not it.each, which fails if there is nothing to do.
  for (const {title, object} of [...examples, ...accepted])
    it(`accepts ${title}, as validateObject does`, async () => {
      expect(validateObject(object)).toEqual([]);
      const {status, body, warnings} = await dryRun(server, object);
      expect({status, message: (body as Refusal).message, warnings}).toEqual({
        status: 201,
        message: undefined,
        warnings: [],
      });
      expect((body as Resource).spec).toEqual((applyDefaults(object) as Resource).spec);
    });

  for (const {title, object, expected = ''} of refused)
    it(`refuses ${title}, as validateObject does, for the same reason`, async () => {
      const violations = validateObject(object);
      expect(violations.map(({message}) => message)).toEqual([expect.stringContaining(expected)]);
      const {status, body} = await dryRun(server, object);
      // The words of a CEL rule are the same on both sides, all others are not.
      const rule = allRuleMessages.find((message) => message.includes(expected));
      if (violations[0]?.path[0] === 'spec' && rule !== undefined) expect((body as Refusal).message).toContain(rule);
      expect(status).toBeGreaterThanOrEqual(400);
      expect(status).toBeLessThan(500);
    });

  it('explains every field', async () => {
    const {body} = await server.request('GET', `/openapi/v3${group}`);
    const {schemas} = (body as {components: {schemas: Record<string, Schema>}}).components;
    const fields = crds.flatMap(({kind}) =>
      ['spec', 'status'].flatMap((part) => {
        const schema = schemas[`dev.modelroute.v1alpha1.${kind}`]?.properties?.[part];
        return schema === undefined ? [`${kind}.${part} is not served`] : silent(schema, `${kind}.${part}`);
      }),
    );
    expect(fields).toEqual([]);
  });

  it('scales a gateway that says nothing about replicas from 2 to 5', async () => {
    const gateway = {apiVersion: 'modelroute.dev/v1alpha1', kind: 'ModelGateway', metadata: {name: 'models'}};
    const path = collection(gateway);
    expect((await server.request('POST', path, gateway)).status).toBe(201);
    const scale = (await server.request('GET', `${path}/models/scale`)).body as {spec: {replicas: number}};
    expect(scale.spec.replicas).toBe(2);
    await server.request('PUT', `${path}/models/scale`, {...scale, spec: {replicas: 5}});
    const scaled = (await server.request('GET', `${path}/models`)).body as Resource;
    expect(scaled.spec).toEqual({replicas: 5});
  });

  it('serves the status apart from the spec', async () => {
    const route = {
      apiVersion: 'modelroute.dev/v1alpha1',
      kind: 'ModelRoute',
      metadata: {name: 'chat'},
      spec: {backends: [{name: 'a', url: 'https://a.example'}]},
      status: {url: 'http://dropped.example'},
    };
    const path = collection(route);
    const made = (await server.request('POST', path, route)).body as {status?: unknown};
    expect(made.status).toBeUndefined();
    const status = {url: 'http://models.default/v1', backends: [{name: 'a', endpoints: 1, resolved: true}]};
    const answer = await server.request('PUT', `${path}/chat/status`, {...made, status});
    expect((answer.body as {status: unknown}).status).toEqual(status);
  });

  it('knows the short names and the category', async () => {
    const {body} = await server.request('GET', group);
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
    const parts = refused.map(({expected = ''}) => expected);
    expect(allRuleMessages.filter((message) => !parts.some((part) => message.includes(part)))).toEqual([]);
  });
});
