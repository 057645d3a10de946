import {describe, expect, it} from '@jest/globals';
import {growthOf, PROPORTIONAL} from '../../test/growth.ts';
import {readFileSync} from 'node:fs';
import {parse} from 'yaml';
import {crdPaths, packagedSchemaVersion, readCrds, type Schema} from './crds.ts';
import {conditionTypes, reasons} from './conditions.ts';
import {meaningOf} from './patterns.ts';
import {applyDefaults, validateObject} from './validate.ts';

const apiVersion = 'modelroute.dev/v1alpha1';
const backend = {name: 'a', url: 'https://a.example/v1'};
const route = (spec: unknown): unknown => ({apiVersion, kind: 'ModelRoute', metadata: {name: 'chat'}, spec});
const withBackend = (fields: object): unknown => route({backends: [{...backend, ...fields}]});
const gateway = (spec: unknown): unknown => ({apiVersion, kind: 'ModelGateway', metadata: {name: 'models'}, spec});

/** `path: message` of each violation. */
const judge = (object: unknown): string[] =>
  validateObject(object).map(({path, message}) => `${path.join('.')}: ${message}`);

const cases: Record<string, {object: unknown; problems: string[]}> = {
  'a route with one backend is right': {object: withBackend({}), problems: []},
  'nothing is not an object': {
    object: null,
    problems: [': must be an object with apiVersion, kind, metadata and spec, not null'],
  },
  'a list is not an object': {
    object: [],
    problems: [': must be an object with apiVersion, kind, metadata and spec, not a list'],
  },
  'an object without apiVersion and kind is told both': {
    object: {},
    problems: [
      'apiVersion: is required: write apiVersion: modelroute.dev/v1alpha1',
      'kind: is required: write kind: ModelRoute or ModelGateway',
    ],
  },
  'another apiVersion is told the right one': {
    object: {apiVersion: 'modelroute.dev/v1', kind: 'ModelRoute', metadata: {name: 'a'}, spec: 5},
    problems: ['apiVersion: must be modelroute.dev/v1alpha1, not "modelroute.dev/v1"'],
  },
  'a misspelt kind is told the nearest': {
    object: {apiVersion, kind: 'modelroutes'},
    problems: ['kind: must be ModelRoute or ModelGateway, not "modelroutes"; did you mean ModelRoute?'],
  },
  'a kind that is a method of objects is unknown': {
    object: {apiVersion, kind: 'constructor'},
    problems: ['kind: must be ModelRoute or ModelGateway, not "constructor"'],
  },
  'metadata is required': {
    object: {apiVersion, kind: 'ModelRoute', spec: {backends: [backend]}},
    problems: ['metadata: is required: Name and namespace of the object'],
  },
  'generateName does not stand in for a name, for a file has nobody to make one': {
    object: {apiVersion, kind: 'ModelRoute', metadata: {generateName: 'a-'}, spec: {backends: [backend]}},
    problems: ['metadata.name: is required: The name of the object'],
  },
  'an object that a cluster gave back is right': {
    object: {
      apiVersion,
      kind: 'ModelRoute',
      metadata: {
        name: 'chat',
        uid: 'c0ffee',
        resourceVersion: '5',
        generation: 2,
        creationTimestamp: null,
        managedFields: [{manager: 'kubectl', operation: 'Apply', fieldsV1: {'f:spec': {}}}],
      },
      spec: {backends: [backend]},
      status: {conditions: []},
    },
    problems: [],
  },
  'every problem is told, not only the first': {
    object: withBackend({priority: '1', api: 'openai', wieght: 1}),
    problems: [
      'spec.backends.0.wieght: unknown field; did you mean weight?',
      'spec.backends.0.api: must be one of OpenAI, Anthropic, not "openai"; did you mean OpenAI?',
      'spec.backends.0.priority: must be a whole number, not "1": remove the quotes',
    ],
  },
  'an empty string that also breaks a pattern is told once': {
    object: route({backends: [{...backend, name: ''}]}),
    problems: ['spec.backends.0.name: must not be empty'],
  },
  'a string that is too long is told its length in characters': {
    object: withBackend({model: '😀'.repeat(257)}),
    problems: ['spec.backends.0.model: must be at most 256 characters long, not 257'],
  },
  'a rule that needs a part with a wrong type waits until that is right': {
    object: withBackend({url: 5, auth: {secretRef: {name: 'a'}}}),
    problems: ['spec.backends.0.url: must be a string, not the number 5: put it in quotes'],
  },
  'a rule that does not need the wrong part is judged': {
    object: route({backends: [{name: 'a', weight: -1}]}),
    problems: [
      'spec.backends.0.weight: must be from 0 to 1000000, not -1',
      'spec.backends.0: needs a target: set serviceRef (a Service in this namespace) or url (a base URL such as https://api.openai.com/v1)',
    ],
  },
  'a rule names the field to change': {
    object: route({backends: [backend], circuitBreaker: {openDuration: '1m', maxOpenDuration: '30s'}}),
    problems: ['spec.circuitBreaker.maxOpenDuration: maxOpenDuration must not be shorter than openDuration'],
  },
  'a name that stands three times is told at the second and the third': {
    object: route({backends: [backend, backend, backend]}),
    problems: [
      'spec.backends.1.name: "a" is already the name of entry [0]: each may stand here once',
      'spec.backends.2.name: "a" is already the name of entry [0]: each may stand here once',
    ],
  },
  'entries of a wrong type are not told again for being the same': {
    object: route({backends: [backend], modelNames: [null, null]}),
    problems: ['spec.modelNames.0: must be a string, not null', 'spec.modelNames.1: must be a string, not null'],
  },
  'a null item is no object': {
    object: route({backends: [null, backend]}),
    problems: ['spec.backends.0: must be an object, not null'],
  },
  'what stands where a credential is named is never shown': {
    object: route({
      backends: [
        {...backend, auth: 'sk-secret'},
        {...backend, name: 'b', auth: {secretRef: {name: 'sk-Secret', key: 'sk/secret'}}},
        {...backend, name: 'c', auth: {type: 'Header', headerName: 'Bearer sk-secret', secretRef: 'sk-secret'}},
      ],
    }),
    problems: [
      'spec.backends.0.auth: must be an object, not a string',
      'spec.backends.1.auth.secretRef.name: what stands here is not a name: use lower-case letters, digits, - and ., with a letter or digit at both ends',
      'spec.backends.1.auth.secretRef.key: what stands here is not a key of a Secret: use letters, digits, -, _ and .',
      'spec.backends.2.auth.headerName: what stands here is not the name of a header: use letters, digits and -, such as api-key',
      'spec.backends.2.auth.secretRef: must be an object, not a string',
    ],
  },
  'a password in a url is not shown': {
    object: withBackend({url: 'https://user:sk-secret@a.example'}),
    problems: ['spec.backends.0.url: must hold no credentials: put them into a Secret and name it in auth.secretRef'],
  },
  'two fields with different patterns are each judged by their own': {
    object: route({backends: [{...backend, name: 'a.b'}], timeouts: {connect: '5'}}),
    problems: [
      'spec.backends.0.name: "a.b" is not a name: use lower-case letters, digits and -, with a letter or digit at both ends',
      'spec.timeouts.connect: "5" is not a duration: use a number and a unit such as 500ms, 30s or 1m30s',
    ],
  },
  'a key called __proto__ is a field like any other': {
    object: route(JSON.parse('{"backends": [{"name": "a", "url": "https://a.example"}], "__proto__": {"retry": 5}}')),
    problems: [
      'spec.__proto__: unknown field; the fields here are gatewayRef, modelNames, backends, timeouts, retry, circuitBreaker, loadBalancing, stream',
    ],
  },
  'infinity, as YAML can write it, is not a whole number': {
    object: withBackend({priority: Infinity}),
    problems: ['spec.backends.0.priority: must be a whole number, not the number Infinity'],
  },
};

describe('validateObject', () => {
  it.each(Object.entries(cases))('%s', (_, {object, problems}) => {
    expect(judge(object)).toEqual(problems);
  });

  it('takes no longer for hostile text than for other text', () => {
    expect(judge(withBackend({model: `${' a'.repeat(500_000)} `}))).toEqual([
      'spec.backends.0.model: must be at most 256 characters long, not 1000001',
    ]);
    const judgeLong = (length: number): void => {
      judge(withBackend({model: `${' a'.repeat(length / 2)} `}));
      judge(route({backends: [backend], gatewayRef: {name: `${'a'.repeat(length)}!`}}));
      judge({apiVersion, kind: 'ModelRoute', metadata: {name: `${'a.'.repeat(length / 2)}!`}, spec: {}});
    };
    expect(growthOf(judgeLong, 125_000)).toBeLessThan(PROPORTIONAL);
  });

  it('tells of a list that is far too long once, in time in proportion', () => {
    expect(judge(route({backends: Array.from({length: 100_000}, () => ({name: 'a'}))}))).toEqual([
      'spec.backends: must have at most 64 entries, not 100000',
    ]);
    const judgeMany = (length: number): unknown => judge(route({backends: Array.from({length}, () => 5)}));
    expect(growthOf(judgeMany, 2_500)).toBeLessThan(PROPORTIONAL);
  });

  it('leaves the object as it was', () => {
    const object = gateway({replicas: null});
    validateObject(object);
    expect(object).toEqual(gateway({replicas: null}));
  });
});

describe('applyDefaults', () => {
  it.each<[string, unknown, unknown]>([
    [
      'a gateway that says nothing gets two replicas',
      {apiVersion, kind: 'ModelGateway', metadata: {name: 'a'}},
      {replicas: 2},
    ],
    ['null counts as nothing said', gateway({replicas: null, limits: null}), {replicas: 2}],
    ['what is said stays', gateway({replicas: 0, limits: {}}), {replicas: 0, limits: {}}],
    ['policy has no defaults here', withBackend({timeouts: {connect: null}}), {backends: [{...backend, timeouts: {}}]}],
  ])('%s', (_, object, spec) => {
    expect((applyDefaults(object) as {spec: unknown}).spec).toEqual(spec);
  });
});

const patternsOf = (schema: Schema): string[] => [
  ...(schema.pattern === undefined ? [] : [schema.pattern]),
  ...[...Object.values(schema.properties ?? {}), schema.items, schema.additionalProperties].flatMap((child) =>
    child === undefined ? [] : patternsOf(child),
  ),
];

type Column = {name: string; priority?: number};

describe('the CRDs', () => {
  const crds = readCrds((path) => readFileSync(path, 'utf8'));

  it('show with kubectl get what people look for', () => {
    const columns = crdPaths().map((path) => {
      const {spec} = parse(readFileSync(path, 'utf8')) as {spec: {versions: {additionalPrinterColumns: Column[]}[]}}; // ours
      return spec.versions
        .flatMap(({additionalPrinterColumns}) => additionalPrinterColumns)
        .filter(({priority = 0}) => priority === 0)
        .map(({name}) => name);
    });
    expect(columns).toEqual([
      ['Models', 'URL', 'Ready', 'Reason', 'Endpoints', 'Age'],
      ['Replicas', 'Up', 'Routes', 'Ready', 'Reason', 'URL', 'Age'],
    ]);
  });

  it('carry one schema version', () => {
    const versions = crdPaths().map(
      (path) => /modelroute[.]dev\/schema-version: '([0-9]+)'/.exec(readFileSync(path, 'utf8'))?.[1],
    );
    expect(new Set(versions).size).toBe(1);
    expect(packagedSchemaVersion((path) => readFileSync(path, 'utf8'))).toBe(Number(versions[0]));
  });

  it('have words for every pattern of a spec', () => {
    const patterns = new Set(crds.flatMap(({schema}) => patternsOf(schema.properties?.['spec'] ?? {})));
    expect([...patterns].filter((pattern) => meaningOf(pattern) === undefined)).toEqual([]);
  });

  it('hold no key or value of a spec that YAML 1.1 reads as a boolean', () => {
    const keysOf = (schema: Schema): string[] => [
      ...Object.keys(schema.properties ?? {}),
      ...(schema.enum ?? []),
      ...[...Object.values(schema.properties ?? {}), schema.items].flatMap((child) =>
        child === undefined ? [] : keysOf(child),
      ),
    ];
    expect(
      crds
        .flatMap(({schema}) => keysOf(schema.properties?.['spec'] ?? {}))
        .filter((key) => /^(y|n|yes|no|on|off|true|false)$/i.test(key)),
    ).toEqual([]);
  });
});

describe('conditions', () => {
  it('have reasons in CamelCase, each once', () => {
    expect(reasons.filter((reason) => !/^([A-Z][a-z]+)+$/.test(reason))).toEqual([]);
    expect(new Set(reasons).size).toBe(reasons.length);
    expect(conditionTypes).toEqual(['Accepted', 'ResolvedRefs', 'Programmed', 'Ready']);
  });
});
