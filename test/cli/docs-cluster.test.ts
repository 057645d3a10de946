/** The pages on clusters say what the code does: reasons, messages, rights, objects, metrics, fields, links, examples. */
import {existsSync, readdirSync, readFileSync} from 'node:fs';
import {createServer} from 'node:http';
import {dirname, join} from 'node:path';
import {describe, expect, it} from '@jest/globals';
import {Ajv} from 'ajv';
import {parse, parseAllDocuments} from 'yaml';
import type {KubeClient} from '../../kube/client.ts';
import {createWriter} from '../../operator/cluster/writer.ts';
import {conditionTypes, reasons} from '../../operator/api/conditions.ts';
import {crdPaths, readCrds, type Schema} from '../../operator/api/crds.ts';
import type {Condition, ModelGateway, ModelRoute, ModelRouteSpec} from '../../operator/api/generated.ts';
import {anchor} from '../../operator/api/reference-page.ts';
import {loadFiles} from '../../operator/files/load.ts';
import {farGrant, ownGrant} from '../../operator/plan/children/access.ts';
import {planChildren} from '../../operator/plan/children/children.ts';
import {configName, credentialsName} from '../../operator/plan/children/names.ts';
import type {Child, FleetState} from '../../operator/plan/fleet.ts';
import {childLabels} from '../../operator/plan/labels.ts';
import {plan} from '../../operator/plan/plan.ts';
import {planStatus} from '../../operator/plan/status.ts';
import {unsupportedFields} from '../../operator/plan/unsupported.ts';
import type {World} from '../../operator/plan/world.ts';
import {createOperatorMetrics} from '../../operator/telemetry/metrics.ts';
import {modelGateway, modelRoute, secret, service, slice} from '../objects.ts';

const read = (path: string): string => readFileSync(path, 'utf8');

type Row = string[];

/** The rows of the tables between `heading` and the next one; without their heads. */
const rowsUnder = (page: string, heading: string): Row[] => {
  const lines = read(page).split('\n');
  const start = lines.indexOf(heading);
  if (start < 0) throw new Error(`${page} has no heading ${heading}`);
  const length = lines.slice(start + 1).findIndex((line) => /^#+ /.test(line));
  const section = length < 0 ? lines.slice(start + 1) : lines.slice(start + 1, start + 1 + length);
  return section
    .filter(
      (line, index, all) =>
        line.startsWith('|') && !line.startsWith('| -') && all[index + 1]?.startsWith('| -') !== true,
    )
    .map((line) =>
      line
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
};

const codes = (cell = ''): string[] => [...cell.matchAll(/`([^`]*)`/g)].map(([, text = '']) => text);

const conditions = 'docs/conditions.md';

describe('docs/conditions.md', () => {
  it('has every reason, and none that does not exist', () => {
    const documented = conditionTypes.flatMap((type) =>
      rowsUnder(conditions, `## ${type}`).flatMap(([reason]) => codes(reason)),
    );
    expect(new Set(documented)).toEqual(new Set(reasons));
  });

  it('has the fields that nothing acts on yet', () => {
    const documented = rowsUnder(conditions, '## Not supported yet').map(([kind, field, supported]) => ({
      kind,
      field: codes(field)[0],
      supported: codes(supported),
    }));
    expect(documented).toEqual(
      unsupportedFields.map(({kind, field, supported = []}) => ({kind, field, supported: supported.map(String)})),
    );
  });
});

const local = {name: 'local', serviceRef: {name: 'vllm', port: 8000}};
const cloud = {name: 'cloud', url: 'https://api.example.com/v1', auth: {secretRef: {name: 'openai'}}};
const older = {creationTimestamp: '2026-01-01T00:00:00Z'};
const younger = {creationTimestamp: '2026-02-01T00:00:00Z'};
const shared = {name: 'shared', namespace: 'ai-platform'};

const world = (rest: Partial<World>): World => ({
  gateway: {name: 'models', namespace: 'team-a'},
  gateways: [modelGateway()],
  routes: [],
  secrets: [],
  services: [],
  slices: [],
  ...rest,
});

const routeTo = (backend: ModelRouteSpec['backends'][number], spec: Partial<ModelRouteSpec> = {}): ModelRoute =>
  modelRoute({generation: 1}, {backends: [backend], ...spec});

const onShared = (gateway: ModelGateway[]): World =>
  world({gateway: shared, gateways: gateway, routes: [modelRoute({}, {gatewayRef: shared})]});

const all = {allowedRoutes: {namespaces: {from: 'All'}}} as const;

/** Each makes one of the messages of the page. */
const faults: Record<string, World> = {
  'a Secret that is missing': world({routes: [routeTo(cloud)]}),
  'a key that is missing': world({routes: [routeTo(cloud)], secrets: [secret({values: {token: 'x'}})]}),
  'a key without a value': world({routes: [routeTo(cloud)], secrets: [secret({values: {apiKey: ''}})]}),
  'a Service that is missing': world({routes: [routeTo(local)]}),
  'a port that is missing': world({
    routes: [routeTo({...local, serviceRef: {name: 'vllm', port: 80}})],
    services: [service()],
  }),
  'a Service without pods': world({routes: [routeTo(local)], services: [service({type: 'ExternalName'})]}),
  'a name that is taken': world({
    routes: [modelRoute({name: 'older', ...older}, {modelNames: ['chat']}), modelRoute(younger)],
  }),
  'a name under the pattern of another namespace': world({
    gateway: shared,
    gateways: [modelGateway(shared, all)],
    routes: [
      modelRoute({name: 'all', namespace: 'team-b', ...older}, {modelNames: ['*'], gatewayRef: shared}),
      modelRoute(younger, {gatewayRef: shared}),
    ],
  }),
  'a gateway that is missing': onShared([]),
  'a gateway that takes routes of its own namespace only': onShared([modelGateway(shared)]),
  'a gateway that takes other names': onShared([
    modelGateway(shared, {allowedRoutes: {...all.allowedRoutes, modelNames: ['team-a-*']}}),
  ]),
  'a value that is not supported': world({routes: [modelRoute({}, {stream: {onCut: 'Continue'}})]}),
};

const fleet: FleetState = {
  replicas: 2,
  readyReplicas: 2,
  reports: ['10.0.0.1', '10.0.0.2'].map((address) => ({address, hash: 'wanted', missingCredentials: []})),
  readyAddresses: ['10.0.0.1', '10.0.0.2'],
  published: new Map(),
  wantedHash: 'wanted',
};

/** The conditions of the first route. */
const statusOf = (input: World, state: FleetState = fleet): Condition[] => {
  const {problems, config} = plan(input);
  const {routes, slices, gateways} = input;
  const planned = planStatus({gateway: gateways[0], routes, problems, config, slices, fleet: state, now: ''});
  return planned.routes.get('team-a/chat')?.conditions ?? [];
};

const serving = world({routes: [routeTo(local)], services: [service()], slices: [slice()]});

describe('the tables of docs/conditions.md', () => {
  const documented = new Set(
    conditionTypes.flatMap((type) =>
      rowsUnder(conditions, `## ${type}`).flatMap(([reasonsCell, statuses = '']) =>
        codes(reasonsCell).flatMap((reason) => statuses.split(', ').map((status) => `${type}=${status}/${reason}`)),
      ),
    ),
  );
  const blockedBy = (reason: 'Pending' | 'ApplyFailed' | 'ConfigTooLarge'): FleetState => ({
    ...fleet,
    wantedHash: 'another',
    blocked: {type: 'Programmed', reason, message: ''},
  });
  const states: Record<string, FleetState> = {
    'that serves': fleet,
    'without proxies': {...fleet, readyAddresses: [], reports: []},
    'whose proxies have an older config': {...fleet, wantedHash: 'another'},
    'that waits for an object to go': blockedBy('Pending'),
    'that cannot be made': blockedBy('ApplyFailed'),
    'with too large a config': blockedBy('ConfigTooLarge'),
    'that may not look where the pods are': {
      ...fleet,
      elsewhere: [{namespace: 'team-a', reason: 'NameInUse', message: ''}],
    },
    'of a stranger’s name': {...fleet, blocked: {type: 'Accepted', reason: 'NameInUse', message: ''}},
  };

  it.each(Object.entries(states))('have what a route says on a fleet %s', (_, state) => {
    for (const input of [...Object.values(faults), serving])
      for (const {type, status, reason} of statusOf(input, state))
        expect(documented).toContain(`${type}=${status}/${reason}`);
  });
});

describe('the messages of docs/conditions.md', () => {
  const documented = rowsUnder(conditions, '## What describe says').map(([reason, message]) => ({
    reason: codes(reason)[0] ?? '',
    message: codes(message)[0] ?? '',
  }));
  const shown = (reason: string): string[] =>
    documented.filter((row) => row.reason === reason).map(({message}) => message);

  it.each(Object.entries(faults))('tell of %s as the plan does', (_, input) => {
    for (const {reason, message} of plan(input).problems) expect(shown(reason)).toContain(message);
    expect(plan(input).problems).toHaveLength(1);
  });

  it('are all made by the plan but for those on the fleet', () => {
    const planned = Object.values(faults).flatMap((input) => plan(input).problems.map(({message}) => message));
    const ofFleet = ['NoReadyEndpoints', 'NoReadyProxies', 'NameInUse', 'ApplyFailed', 'ConfigTooLarge'];
    const others = documented.filter(({reason}) => !ofFleet.includes(reason)).map(({message}) => message);
    expect([...others].sort()).toEqual([...planned].sort());
  });

  it('tell of endpoints and proxies that are missing as the status does', () => {
    expect(statusOf({...serving, slices: []}).at(-1)).toMatchObject({
      reason: 'NoReadyEndpoints',
      message: shown('NoReadyEndpoints')[0],
    });
    expect(statusOf(serving, {...fleet, readyAddresses: [], reports: []}).at(-1)).toMatchObject({
      reason: 'NoReadyProxies',
      message: shown('NoReadyProxies')[0],
    });
  });

  it('tell of a stranger’s object as the operator does', async () => {
    const writer = createWriter({client: {} as KubeClient}); // which is not asked: what is known of the object is enough
    const [child] = childrenOf().filter(({kind}) => kind === 'Deployment');
    const known = {kind: 'Deployment', metadata: {namespace: 'team-a', name: 'models'}};
    expect(await writer.apply(child!, {known})).toEqual({type: 'NameInUse', message: shown('NameInUse')[0]});
  });

  it('tell of a config that is too large as the operator does', () => {
    const text = read('operator/cluster/config-object.ts');
    const [before = '', after = ''] = (shown('ConfigTooLarge')[0] ?? '').split(/ has .* stored/);
    expect(text).toContain(before);
    expect(text).toContain(after);
  });

  it('show a whole description as it is', () => {
    const block = /```text\n([^]*?)```/.exec(read(conditions))?.[1] ?? '';
    const fields = (name: string): string[] =>
      [...block.matchAll(new RegExp(`^    ${name}: +(.*)$`, 'gm'))].map(([, text = '']) => text);
    const route = modelRoute({generation: 1}, {backends: [local, {...cloud, priority: 1}]});
    const status = statusOf({...serving, routes: [route]});
    expect(fields('Message')).toEqual(status.map(({message}) => message));
    expect(fields('Reason')).toEqual(status.map(({reason}) => reason));
    expect(fields('Type')).toEqual([...conditionTypes]);
  });
});

const childrenOf = (spec: ModelGateway['spec'] = {}): Child[] =>
  planChildren({
    gateway: modelGateway({uid: 'uid-1'}, spec),
    servedNamespaces: ['team-a', 'team-b'],
    proxyImage: 'image',
    imagePullPolicy: 'IfNotPresent',
    currentDeployment: undefined,
  });

describe('docs/concepts.md', () => {
  const page = 'docs/concepts.md';

  it('has every object that a gateway becomes', () => {
    const documented = rowsUnder(page, '## What a gateway becomes')
      .filter(([kind = '']) => !kind.startsWith('`'))
      .flatMap(([kinds = '', name]) => kinds.split(', ').map((kind) => `${kind} ${codes(name)[0]}`));
    const made = childrenOf({autoscaling: {maxReplicas: 3}}).filter(({metadata}) => metadata.namespace === 'team-a');
    const names = made.map(({kind, metadata}) => `${kind} ${metadata.name}`);
    const stored = [`ConfigMap ${configName('models')}`, `Secret ${credentialsName('models')}`];
    expect([...documented].sort()).toEqual([...names, ...stored].sort());
  });

  it('has the name of what is made in other namespaces', () => {
    const far = childrenOf().filter(({metadata}) => metadata.namespace !== 'team-a');
    expect(far.length).toBe(2);
    for (const {metadata} of far) expect(read(page)).toContain(`\`${metadata.name}\``);
  });

  it('has the labels of all of them', () => {
    const documented = rowsUnder(page, '## What a gateway becomes').flatMap(([key = '', value = '']) =>
      key.startsWith('`') ? [[codes(key)[0], codes(value)[0]]] : [],
    );
    expect(Object.fromEntries(documented)).toEqual(childLabels({namespace: 'team-a', name: 'models'}));
  });
});

type Rule = {apiGroups: string[]; resources: string[]; verbs: string[]; resourceNames?: string[]};

const shownRules = (heading: string): Rule[] =>
  rowsUnder('docs/rbac.md', heading)
    .filter((row) => row.length === 5)
    .map(([group, resources, verbs]) => ({
      apiGroups: codes(group).map((name) => (name === '""' ? '' : name)),
      resources: codes(resources),
      verbs: codes(verbs),
    }));

const withoutNames = ({apiGroups, resources, verbs}: Rule): Rule => ({apiGroups, resources, verbs});

/** What stands between two lines of a template, none of which is filled in. */
const rulesIn = (path: string, from: RegExp, to: RegExp): Rule[] => {
  const text = read(path);
  const start = from.exec(text);
  if (start === null) throw new Error(`${path} has no ${String(from)}`);
  const rest = text.slice(start.index + start[0].length);
  return parse(rest.slice(0, to.exec(rest)?.index)) as Rule[];
};

describe('docs/rbac.md', () => {
  const rules = 'charts/modelroute/templates/_rules.tpl';
  const defined = (name: string): Rule[] => rulesIn(rules, new RegExp(`{{- define "${name}" -}}`), /{{- end -}}/);

  it('has what the chart grants the operator in each namespace', () => {
    expect(shownRules('## The operator')).toEqual(defined('modelroute.namespacedRules'));
  });

  it('has what it grants over the whole cluster', () => {
    const granted = defined('modelroute.clusterRules');
    expect(shownRules('### Only for the whole cluster')).toEqual(granted.map(withoutNames));
    expect(granted.flatMap(({resourceNames = []}) => resourceNames)).toEqual([
      'modelroutes.modelroute.dev',
      'modelgateways.modelroute.dev',
    ]);
  });

  it('has what it grants beside the operator', () => {
    const granted = rulesIn('charts/modelroute/templates/rbac-leader.yaml', /^rules:\n/m, /^---$/m);
    expect(shownRules('### In its own namespace')).toEqual(granted.map(withoutNames));
  });

  it('has what the proxies may do', () => {
    const of = (children: Child[]): Rule[] => (children[0]!['rules'] as Rule[]).map(withoutNames);
    const gateway = modelGateway({uid: 'uid-1'});
    const documented = shownRules('## The proxies');
    expect(documented).toEqual([...of(ownGrant(gateway)), ...of(farGrant(gateway, 'team-b'))]);
  });
});

const sources = ['cli', 'kube', 'operator', 'proxy'].flatMap((folder) =>
  readdirSync(folder, {recursive: true, encoding: 'utf8'})
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .map((name) => read(join(folder, name))),
);

describe('docs/operations.md', () => {
  const lines = rowsUnder('docs/operations.md', '## Looking into it').flatMap(([, line]) => codes(line));

  it.each(lines)('has a line that is logged: %s', (line) => {
    expect(sources.filter((text) => text.includes(`'${line}'`))).not.toEqual([]);
  });

  it('has every metric of the operator', async () => {
    const numbers = {adds: 1, retries: 0, depth: 0, active: 0, unfinishedMs: 0, longestRunningMs: 0};
    const outcomes = {Done: 0, Again: 0, Failed: 0, FailedForGood: 0};
    const queue = () => ({...numbers, outcomes});
    const metrics = createOperatorMetrics({queue, isLeader: () => true, maxConcurrent: 4, leaseName: 'x'});
    metrics.observe({type: 'Started', key: 'a', waitedMs: 1});
    metrics.observe({type: 'Ended', key: 'a', workedMs: 1, outcome: {type: 'Done'}});
    const server = createServer((request, response) => metrics.serve(request, response)).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('bug: a server without a port');
    const text = await (await fetch(`http://127.0.0.1:${address.port}/metrics`)).text();
    server.close();
    const exported = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name = '']) => name);
    const documented = rowsUnder('docs/operations.md', '## Metrics of the operator').flatMap(([name]) => codes(name));
    expect([...documented].sort()).toEqual([...exported].sort());
  });
});

describe('docs/reference', () => {
  const fieldsOf = (schema: Schema, path: string): string[] =>
    Object.entries(schema.properties ?? {}).flatMap(([name, child]) => {
      const inner = child.items ?? child.additionalProperties ?? child;
      const place = `${path}.${name}`;
      return [place, ...(inner.properties === undefined ? [] : fieldsOf(inner, child.items ? `${place}[]` : place))];
    });

  it.each(readCrds((path) => read(path)))('has every field of $kind in the order of the schema', ({kind, schema}) => {
    const page = `docs/reference/${kind.toLowerCase()}.md`;
    const sections = [...read(page).matchAll(/^#{2,3} ((?:spec|status)\S*)$/gm)].map(([, path = '']) => path);
    const documented = sections.flatMap((path) =>
      rowsUnder(page, `${path.includes('.') ? '###' : '##'} ${path}`)
        .map(([field]) => `${path}.${codes(field)[0]}`)
        .filter((field) => !field.endsWith('.undefined')),
    );
    const {spec = {}, status = {}} = schema.properties ?? {};
    expect(new Set(documented)).toEqual(new Set([...fieldsOf(spec, 'spec'), ...fieldsOf(status, 'status')]));
  });

  it('is there for each CRD', () => expect(readdirSync('docs/reference')).toHaveLength(crdPaths().length));
});

const pages = readdirSync('docs', {recursive: true, encoding: 'utf8'})
  .filter((name) => name.endsWith('.md'))
  .map((name) => join('docs', name));

const withoutBlocks = (text: string): string => text.replaceAll(/```[^]*?```/g, '');

const linksOf = (page: string): string[] =>
  [
    ...withoutBlocks(read(page))
      .replaceAll(/`[^`]*`/g, '')
      .matchAll(/\]\(([^)\s]+)\)/g),
  ]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target));

const anchorsOf = (page: string): string[] =>
  [...withoutBlocks(read(page)).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchor(heading));

describe('a link of the docs', () => {
  const links = pages.flatMap((page) => linksOf(page).map((target) => ({page, target})));

  it('leads somewhere', () => {
    const broken = links.filter(({page, target}) => {
      const [path = '', fragment] = target.split('#');
      const file = path === '' ? page : join(dirname(page), path);
      if (!existsSync(file)) return true;
      return fragment !== undefined && !anchorsOf(file).includes(fragment);
    });
    expect(broken).toEqual([]);
    expect(links.length).toBeGreaterThan(20);
  });
});

/** YAML of others is marked with the name of its file: ```yaml values.yaml */
const foreignBlocks = pages.flatMap((page) =>
  [...read(page).matchAll(/^ *```yaml (\S+)\n([^]*?)^ *```$/gm)].map(([, file = '', text = '']) => ({
    page,
    file,
    text,
  })),
);

describe('values for the chart', () => {
  const values = foreignBlocks.filter(({file}) => file === 'values.yaml');
  const schema = JSON.parse(read('charts/modelroute/values.schema.json')) as object;
  const isValid = new Ajv({strict: false}).compile(schema);

  it.each(values)('of $page are taken', ({text}) => {
    expect({valid: isValid(parse(text)), errors: isValid.errors}).toEqual({valid: true, errors: null});
  });

  it('would be found wrong', () => expect(isValid({watchNamespace: ['team-a']})).toBe(false));

  it('are found, and other YAML parses', () => {
    expect(values.length).toBeGreaterThan(1);
    for (const {text} of foreignBlocks) expect(parse(text)).toBeInstanceOf(Object);
  });
});

type ForeignObject = {
  apiVersion: string;
  kind: string;
  metadata: {name: string; labels?: Record<string, string>};
  spec?: {
    selector?: Record<string, unknown>;
    template?: {metadata: {labels: Record<string, string>}; spec: {containers: {image: string}[]}};
  };
};

const objectsOf = (folder: string): ForeignObject[] =>
  readdirSync(folder).flatMap((file) =>
    parseAllDocuments(read(join(folder, file)), {version: '1.1'}).map((document) => {
      expect(document.errors).toEqual([]);
      return document.toJS() as ForeignObject;
    }),
  );

const isRead = ({kind}: ForeignObject): boolean => ['ModelRoute', 'ModelGateway', 'Secret'].includes(kind);

const clusterExamples = readdirSync('examples')
  .filter((name) => name.startsWith('cluster-'))
  .map((name) => join('examples', name));

describe('an example for a cluster', () => {
  it.each(clusterExamples)('%s has no problem but for what its reader’s cluster has', (folder) => {
    const text = objectsOf(folder)
      .filter(isRead)
      .map((object) => JSON.stringify(object));
    const {problems, counts} = loadFiles(['-'], {use: 'Check', stdin: text.join('\n---\n')});
    expect(problems.filter(({message}) => !message.startsWith('no endpoints of Service '))).toEqual([]);
    expect(counts.routes).toBeGreaterThan(0);
  });

  it.each(clusterExamples)('%s runs the image of this release, and its Services find their pods', (folder) => {
    const objects = objectsOf(folder);
    const {version} = JSON.parse(read('package.json')) as {version: string};
    const templates = objects.flatMap(({spec}) => spec?.template ?? []);
    for (const {image} of templates.flatMap(({spec}) => spec.containers))
      expect(image).toBe(`ghcr.io/modelroute/modelroute:${version}`);
    const labels = templates.map(({metadata}) => metadata.labels);
    for (const {spec} of objects.filter(({kind}) => kind === 'Service')) expect(labels).toContainEqual(spec?.selector);
  });

  it('is there', () => expect(clusterExamples).toHaveLength(3));
});
