/** What the charts make of values, by the real Helm. */
import {spawnSync} from 'node:child_process';
import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {describe, expect, it} from '@jest/globals';
import {parse} from 'yaml';
import {planChildren} from '../../operator/plan/children/children.ts';
import {modelGateway} from '../objects.ts';
import {valueRows} from '../../charts/values-table.ts';
import {
  chartFolder,
  commandsOf,
  createHelm,
  deploymentSpec,
  findHelm,
  ofKind,
  only,
  testPodSpec,
  type ChartName,
  type Container,
  type KubeDocument,
  type Values,
} from './helm.ts';
import {combinations, everything, least, ownNamespace, someNamespaces} from './values.ts';

const program = findHelm((line) => process.stderr.write(line));
const helm = createHelm(program ?? '');
const charts: ChartName[] = ['modelroute', 'modelroute-crds'];

const container = (documents: KubeDocument[]): Container => deploymentSpec(documents).template.spec.containers[0]!;

const kindAndName = ({kind, metadata}: {kind: string; metadata: {name: string}}): string => `${kind} ${metadata.name}`;

/** `a.b.c` = value. */
const nested = (key: string, value: unknown): Values =>
  key.split('.').reduceRight<unknown>((inner, part) => ({[part]: inner}), value) as Values;

const merged = (a: Values, b: Values): Values =>
  Object.fromEntries(
    [...new Set([...Object.keys(a), ...Object.keys(b)])].map((key) => {
      const [left, right] = [a[key], b[key]];
      const areMaps = [left, right].every((side) => typeof side === 'object' && side !== null && !Array.isArray(side));
      return [key, areMaps ? merged(left as Values, right as Values) : key in b ? right : left];
    }),
  );

/** For each value another one, and what else has to be set for it to matter. */
const changes: Record<string, {value: unknown; beside?: Values}> = {
  'image.registry': {value: 'registry.example'},
  'image.repository': {value: 'own/modelroute'},
  'image.tag': {value: 'v2'},
  'image.digest': {value: `sha256:${'a'.repeat(64)}`},
  'image.pullPolicy': {value: 'Never'},
  imagePullSecrets: {value: [{name: 'registry'}]},
  'proxy.image': {value: 'proxy:v1'},
  replicas: {value: 0},
  watchNamespaces: {value: ['team-a']},
  defaultGateway: {value: 'team-a/shared'},
  logLevel: {value: 'warn'},
  'rbac.aggregate': {value: false},
  'serviceAccount.create': {value: false},
  'serviceAccount.name': {value: 'other'},
  'serviceAccount.annotations': {value: {a: 'b'}},
  'metrics.serviceMonitor.enabled': {value: true},
  'metrics.serviceMonitor.interval': {value: '30s', beside: {metrics: {serviceMonitor: {enabled: true}}}},
  'metrics.serviceMonitor.labels': {value: {a: 'b'}, beside: {metrics: {serviceMonitor: {enabled: true}}}},
  'metrics.podMonitor.enabled': {value: true},
  'metrics.podMonitor.interval': {value: '30s', beside: {metrics: {podMonitor: {enabled: true}}}},
  'metrics.podMonitor.labels': {value: {a: 'b'}, beside: {metrics: {podMonitor: {enabled: true}}}},
  resources: {value: {limits: {memory: '1Gi'}}},
  'podDisruptionBudget.enabled': {value: false},
  'podDisruptionBudget.maxUnavailable': {value: '50%'},
  topologySpreadConstraints: {value: []},
  affinity: {value: {nodeAffinity: {}}},
  nodeSelector: {value: {disk: 'fast'}},
  tolerations: {value: [{operator: 'Exists'}]},
  priorityClassName: {value: 'high'},
  podAnnotations: {value: {a: 'b'}},
  podLabels: {value: {a: 'b'}},
  extraLabels: {value: {a: 'b'}},
  extraEnv: {value: [{name: 'A', value: 'b'}]},
  extraVolumes: {value: [{name: 'a', emptyDir: {}}]},
  extraVolumeMounts: {value: [{name: 'a', mountPath: '/a'}]},
  extraObjects: {value: ['kind: ConfigMap']},
  nameOverride: {value: 'routes'},
  fullnameOverride: {value: 'routes'},
};
const crdChanges: typeof changes = {
  keep: {value: false},
  extraLabels: {value: {a: 'b'}},
  annotations: {value: {a: 'b'}},
};

const rowsOf = (chart: ChartName): string[] =>
  valueRows(readFileSync(join(chartFolder(chart), 'values.yaml'), 'utf8')).map(({key}) => key);

(program === undefined ? describe.skip : describe)('the charts', () => {
  it.each(combinations)('pass lint %s', async (_, values) => {
    await expect(helm.lint('modelroute', values)).resolves.toContain('0 chart(s) failed');
  });

  it('pass lint, that of the definitions', async () => {
    await expect(helm.lint('modelroute-crds', {keep: false, annotations: {a: 'b'}})).resolves.toContain(
      '0 chart(s) failed',
    );
  });

  it.each(charts)('have the version of the package: %s', (chart) => {
    const {version} = JSON.parse(readFileSync('package.json', 'utf8')) as {version: string};
    const about = parse(readFileSync(join(chartFolder(chart), 'Chart.yaml'), 'utf8')) as Record<string, string>;
    expect(about).toMatchObject({version, appVersion: version});
  });

  it.each([
    ['modelroute', changes],
    ['modelroute-crds', crdChanges],
  ] as const)(
    'have no value that does nothing: %s',
    async (chart, table) => {
      expect(Object.keys(table).toSorted()).toEqual(rowsOf(chart).toSorted());
      for (const [key, {value, beside = {}}] of Object.entries(table)) {
        const before = await helm.template(chart, beside);
        const after = await helm.template(chart, merged(beside, nested(key, value)));
        if (before === after) throw new Error(`${key} changes nothing`);
      }
    },
    120_000,
  );

  it.each(combinations)('come out twice the same %s', async (_, values) => {
    expect(await helm.template('modelroute', values)).toBe(await helm.template('modelroute', values));
  });

  it.each(combinations)('name no object twice %s, also under the longest name', async (_, values) => {
    const release = {name: 'r'.repeat(53), namespace: 'n'.repeat(63)};
    const documents = await helm.render('modelroute', values, release);
    const names = documents.map(({kind, metadata}) => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`);
    expect(new Set(names).size).toBe(names.length);
    for (const {metadata} of documents) {
      for (const label of Object.values(metadata.labels ?? {})) expect(label.length).toBeLessThanOrEqual(63);
    }
    expect(only(documents, 'Deployment').metadata).toMatchObject({namespace: release.namespace});
  });

  it('have no object that the gateway of the test would need', async () => {
    const script = readFileSync(join(chartFolder('modelroute'), 'files/test.mts'), 'utf8');
    const [, name = ''] = /gatewayName = '(.+)'/.exec(script) ?? [];
    const becomes = planChildren({
      gateway: modelGateway({uid: 'uid-1', name}),
      servedNamespaces: [],
      proxyImage: 'example.com/modelroute:1',
      imagePullPolicy: 'IfNotPresent',
      currentDeployment: undefined,
    }).map(kindAndName);
    expect(becomes).toContain('ServiceAccount modelroute-test-gateway');
    const own = (await helm.render('modelroute')).map(kindAndName);
    expect(own.filter((object) => becomes.includes(object))).toEqual([]);
  });

  it.each(combinations)('leave every object in the namespace it names %s', async (_, values) => {
    const clusterWide = ['ClusterRole', 'ClusterRoleBinding'];
    for (const {kind, metadata} of await helm.render('modelroute', values))
      expect({kind, isNamed: metadata.namespace !== undefined}).toEqual({kind, isNamed: !clusterWide.includes(kind)});
  });
});

/** Helm 3 says `metrics.podMonitor: … enable`, Helm 4 `at '/metrics/podMonitor': … 'enable'`. */
const eitherHelm = ({source, flags}: RegExp): RegExp =>
  new RegExp(source.replaceAll("'", '[\'"]?').replaceAll(/(?<=\w)\.(?=\w)/g, '[./]'), flags);

(program === undefined ? describe.skip : describe)('values that are refused', () => {
  it.each<[string, Values, RegExp]>([
    ['an unknown one', {replica: 3}, /'replica'/],
    ['an unknown one in a group', {image: {repo: 'x'}}, /image.*'repo'/s],
    ['an unknown one of a monitor', {metrics: {podMonitor: {enable: true}}}, /podMonitor.*'enable'/s],
    ['an unknown one of a container', {extraEnv: [{name: 'A', vaule: 'b'}]}, /extraEnv.*'vaule'/s],
    ['an unknown resource list', {resources: {limit: {}}}, /resources.*'limit'/s],
    ['an unknown affinity', {affinity: {nodeaffinity: {}}}, /affinity.*'nodeaffinity'/s],
    ['text for a number', {replicas: 'two'}, /replicas/],
    ['a number for text', {image: {tag: 1.1}}, /image.tag/],
    ['text for a truth', {metrics: {serviceMonitor: {enabled: 'yes'}}}, /serviceMonitor.enabled/],
    ['text for a list', {watchNamespaces: 'team-a'}, /watchNamespaces/],
    ['a name that no namespace has', {watchNamespaces: ['Team_A']}, /watchNamespaces/],
    ['a namespace twice', {watchNamespaces: ['team-a', 'team-a']}, /watchNamespaces/],
    ['a gateway without namespace', {defaultGateway: 'models'}, /defaultGateway/],
    ['a gateway in a namespace that is not watched', {...someNamespaces, defaultGateway: 'team-c/models'}, /"team-c"/],
    ['a digest that is none', {image: {digest: 'latest'}}, /image.digest/],
    ['a policy that is none', {image: {pullPolicy: 'Sometimes'}}, /image.pullPolicy/],
    ['a level that is none', {logLevel: 'loud'}, /logLevel/],
    ['an interval without unit', {metrics: {podMonitor: {interval: '30'}}}, /podMonitor.interval/],
    ['a label that is not text', {extraLabels: {a: true}}, /extraLabels/],
    ['a share without percent', {podDisruptionBudget: {maxUnavailable: 'half'}}, /maxUnavailable/],
  ])('%s', async (_, values, message) => {
    await expect(helm.template('modelroute', values)).rejects.toThrow(eitherHelm(message));
  });

  it('an unknown one of the definitions', async () => {
    await expect(helm.template('modelroute-crds', {kep: true})).rejects.toThrow(/kep/);
  });
});

(program === undefined ? describe.skip : describe)('the operator', () => {
  it.each<[string, Values, string]>([
    ['appVersion is the tag', {}, 'ghcr.io/modelroute/modelroute:0.1.0'],
    ['a tag', {tag: 'v2'}, 'ghcr.io/modelroute/modelroute:v2'],
    ['no registry', {registry: '', repository: 'localhost/modelroute', tag: 'test'}, 'localhost/modelroute:test'],
    ['a registry with a port', {registry: 'example:5000'}, 'example:5000/modelroute/modelroute:0.1.0'],
    [
      'a digest wins over a tag',
      {tag: 'v2', digest: `sha256:${'a'.repeat(64)}`},
      `ghcr.io/modelroute/modelroute@sha256:${'a'.repeat(64)}`,
    ],
  ])('has an image, which the proxies and the test have too: %s', async (_, image, expected) => {
    const documents = await helm.render('modelroute', {image});
    expect(container(documents).image).toBe(expected);
    expect(container(documents).args).toContain(`--proxy-image=${expected}`);
    const {containers, initContainers} = testPodSpec(documents);
    for (const {image} of [...containers, ...initContainers]) expect(image).toBe(expected);
  });

  it('gets what the values say', async () => {
    expect(container(await helm.render('modelroute')).args).toEqual([
      'operator',
      '--proxy-image=ghcr.io/modelroute/modelroute:0.1.0',
      '--proxy-image-pull-policy=IfNotPresent',
      '--log-level=info',
    ]);
    expect(container(await helm.render('modelroute', someNamespaces)).args).toEqual([
      'operator',
      '--proxy-image=ghcr.io/modelroute/modelroute:0.1.0',
      '--proxy-image-pull-policy=IfNotPresent',
      '--watch-namespaces=team-a,team-b',
      '--default-gateway=team-b/shared',
      '--log-level=info',
    ]);
    const {args, env} = container(await helm.render('modelroute', everything));
    expect(args).toContain('--proxy-image=registry.example:5000/platform/proxy:v1');
    expect(env.map(({name}) => name)).toEqual([
      'MODELROUTE_NAMESPACE',
      'MODELROUTE_IDENTITY',
      'HTTPS_PROXY',
      'NODE_IP',
    ]);
  });

  it('has the same selector whatever the labels and names', async () => {
    const selectorOf = (documents: KubeDocument[]): unknown => deploymentSpec(documents).selector;
    const plain = await helm.render('modelroute');
    const hostile = {
      'app.kubernetes.io/name': 'x',
      'app.kubernetes.io/instance': 'x',
      'app.kubernetes.io/component': 'x',
    };
    const labelled = await helm.render('modelroute', {
      ...everything,
      extraLabels: hostile,
      podLabels: {...hostile, tier: 'control'},
      fullnameOverride: 'other',
    });
    expect(selectorOf(labelled)).toEqual(selectorOf(plain));
    const {selector, template} = deploymentSpec(labelled);
    expect(template.metadata.labels).toMatchObject({...selector.matchLabels, tier: 'control'});
    expect(only(labelled, 'PodDisruptionBudget')['spec']).toMatchObject({selector});
    const metrics = ofKind(labelled, 'Service').find(({metadata}) => metadata.name === 'other-metrics');
    expect(metrics?.['spec']).toMatchObject({selector: selector.matchLabels});
  });

  it('puts extra labels on every object and pod', async () => {
    const documents = await helm.render('modelroute', everything);
    const without = documents.filter(
      ({metadata}) => !metadata.name.startsWith('extra-') && metadata.labels?.['team'] !== 'platform',
    );
    expect(without).toEqual([]);
    expect(deploymentSpec(documents).template.metadata.labels).toMatchObject({team: 'platform'});
  });

  it('gives its own selector to spread constraints that have none', async () => {
    const {topologySpreadConstraints, containers} = deploymentSpec(await helm.render('modelroute', everything)).template
      .spec;
    expect(containers).toHaveLength(1);
    expect(topologySpreadConstraints.map(({labelSelector}) => labelSelector)).toEqual([
      {matchLabels: expect.objectContaining({'app.kubernetes.io/component': 'operator'})},
      {matchLabels: {tier: 'control'}},
    ]);
  });

  it('fills in the templates of extra objects', async () => {
    const maps = ofKind(await helm.render('modelroute', everything), 'ConfigMap');
    expect(maps).toContainEqual(expect.objectContaining({data: {release: 'modelroute'}}));
    expect(maps.map(({metadata}) => metadata)).toContainEqual({name: 'extra-text', namespace: 'modelroute-system'});
  });
});

type PolicyRule = {apiGroups: string[]; resources: string[]; verbs: string[]; resourceNames?: string[]};
const rulesOf = (role: KubeDocument): PolicyRule[] => role['rules'] as PolicyRule[];

(program === undefined ? describe.skip : describe)('rights', () => {
  it('are of the whole cluster unless namespaces are named', async () => {
    const documents = await helm.render('modelroute');
    expect(ofKind(documents, 'ClusterRole').map(({metadata}) => metadata.name)).toEqual([
      'modelroute-operator:modelroute-system:modelroute:view',
      'modelroute-operator:modelroute-system:modelroute:edit',
      'modelroute-operator:modelroute-system:modelroute:admin',
      'modelroute-operator:modelroute-system:modelroute',
    ]);
    expect(only(documents, 'ClusterRoleBinding')).toMatchObject({
      roleRef: {kind: 'ClusterRole', name: 'modelroute-operator:modelroute-system:modelroute'},
      subjects: [{kind: 'ServiceAccount', name: 'modelroute', namespace: 'modelroute-system'}],
    });
  });

  it.each([
    ['some namespaces', someNamespaces, ['team-a', 'team-b']],
    ['its own too', ownNamespace, ['modelroute-system', 'team-a']],
  ])('are of %s if those are named, without any ClusterRole', async (_, values, namespaces) => {
    const documents = await helm.render('modelroute', values);
    expect(documents.filter(({kind}) => kind.startsWith('Cluster'))).toEqual([]);
    const name = 'modelroute-operator:modelroute-system:modelroute';
    for (const kind of ['Role', 'RoleBinding']) {
      const found = ofKind(documents, kind).filter(({metadata}) => metadata.name === name);
      expect(found.map(({metadata}) => metadata.namespace)).toEqual(namespaces);
    }
  });

  it.each(combinations)('never take all, and are only what is needed in the own namespace %s', async (_, values) => {
    const documents = await helm.render('modelroute', values);
    const roles = documents.filter(({kind}) => kind === 'Role' || kind === 'ClusterRole');
    for (const {apiGroups, resources, verbs} of roles.flatMap(rulesOf))
      expect([...apiGroups, ...resources, ...verbs]).not.toContain('*');
    const leader = ofKind(documents, 'Role').filter(({metadata}) => metadata.name.endsWith(':leader'));
    expect(leader.flatMap(rulesOf)).toEqual([
      {apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['create']},
      {
        apiGroups: ['coordination.k8s.io'],
        resources: ['leases'],
        resourceNames: ['modelroute-operator'],
        verbs: ['get', 'update'],
      },
    ]);
  });

  it('let those who view a namespace see routes, gateways and their status, and nobody else write that', async () => {
    const roles = ofKind(await helm.render('modelroute'), 'ClusterRole');
    for (const who of ['view', 'edit', 'admin']) {
      const role = roles.find(
        ({metadata}) => metadata.labels?.[`rbac.authorization.k8s.io/aggregate-to-${who}`] === 'true',
      );
      expect(role?.metadata.name).toBe(`modelroute-operator:modelroute-system:modelroute:${who}`);
      const verbsOn = (resource: string): string[] =>
        rulesOf(role!).flatMap(({resources, verbs}) => (resources.includes(resource) ? verbs : []));
      expect(verbsOn('modelroutes/status')).toEqual(['get']);
      expect(verbsOn('modelgateways/status')).toEqual(['get']);
      expect(verbsOn('modelroutes').includes('create')).toBe(who !== 'view');
      expect(verbsOn('modelgateways/scale').includes('update')).toBe(who !== 'view');
    }
  });

  it.each(combinations)('are bound to an account that is there %s', async (_, values) => {
    const documents = await helm.render('modelroute', values);
    const account = deploymentSpec(documents).template.spec.serviceAccountName;
    const made = ofKind(documents, 'ServiceAccount').map(({metadata}) => metadata.name);
    if (values === least) expect({account, made}).toEqual({account: 'default', made: ['modelroute-test']});
    else expect(made).toContain(account);
  });
});

(program === undefined ? describe.skip : describe)('the notes', () => {
  it.each<[string, Values, string, string]>([
    ['of a cluster', {}, 'default', 'models.default'],
    ['of some namespaces', {watchNamespaces: ['team-a', 'team-b']}, 'team-a', 'models.team-a'],
    ['of a shared gateway', {defaultGateway: 'platform/shared'}, 'default', 'shared.platform'],
  ])('name the namespace and the gateway %s', async (_, values, namespace, host) => {
    const notes = await helm.notes(values);
    expect(notes).toContain(`kubectl apply --namespace ${namespace} -f -`);
    const [service, gatewayNamespace] = host.split('.');
    expect(notes).toContain(`kubectl port-forward --namespace ${gatewayNamespace} service/${service} 8080:80`);
    expect(notes).toContain(`http://${host}/v1`);
  });

  it('hold commands that a shell takes as they stand', async () => {
    const commands = commandsOf(await helm.notes());
    expect(commands.match(/^(kubectl|curl) /gm)).toHaveLength(5);
    const {status, stderr} = spawnSync('bash', ['-n'], {input: commands, encoding: 'utf8'});
    expect({status, stderr}).toEqual({status: 0, stderr: ''}); // it warns of a here-document without end
  });
});
