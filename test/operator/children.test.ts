/** What a gateway becomes, on a real API server: applied as the operator applies it, with nothing that would act on it. */
import {readFileSync} from 'node:fs';
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals';
import {Pool} from 'undici';
import type {GatewayPod, ModelGatewaySpec} from '../../operator/api/generated.ts';
import {planChildren, type ChildrenInput} from '../../operator/plan/children/children.ts';
import type {Child} from '../../operator/plan/fleet.ts';
import {leftOvers, ownershipOf} from '../../operator/plan/ownership.ts';
import {findAssets} from '../api-server/assets.ts';
import {collection, installCrds} from '../api-server/crds.ts';
import {startApiServer, type Answer, type ApiServer} from '../api-server/start.ts';
import {modelGateway} from '../objects.ts';

type Live = Child & {metadata: {uid: string; resourceVersion: string; managedFields: object[]}};

const assets = findAssets((line) => process.stderr.write(line));
const patienceMs = 120_000;

let server: ApiServer;
let pool: Pool;

const pathOf = ({apiVersion, kind, metadata: {namespace, name}}: Child): string => {
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const plural = kind === 'NetworkPolicy' ? 'networkpolicies' : `${kind.toLowerCase()}s`;
  return `${root}/namespaces/${namespace}/${plural}/${name}`;
};

const patch = async (path: string, contentType: string, body: unknown): Promise<Answer> => {
  const {
    statusCode,
    headers,
    body: answer,
  } = await pool.request({
    method: 'PATCH',
    path,
    headers: {authorization: `Bearer ${server.token}`, 'content-type': contentType, accept: 'application/json'},
    body: JSON.stringify(body),
  });
  return {status: statusCode, body: await answer.json(), warnings: [headers['warning'] ?? []].flat()};
};

const apply = (child: Child, manager = 'modelroute'): Promise<Answer> =>
  patch(
    `${pathOf(child)}?fieldManager=${manager}&force=true&fieldValidation=Strict`,
    'application/apply-patch+yaml',
    child,
  );

/** As another who edits it. */
const edit = (child: Child, body: object): Promise<Answer> =>
  patch(`${pathOf(child)}?fieldManager=somebody`, 'application/merge-patch+json', body);

const get = async (child: Child): Promise<Live> => (await server.request('GET', pathOf(child))).body as Live;

/** Taken, and nothing said against it. */
const good = ({status, body, warnings}: Answer): void => {
  if (status !== 200 && status !== 201) throw new Error(`${status}: ${JSON.stringify(body)}`);
  expect(warnings).toEqual([]);
};

const made = async (
  metadata: {name: string; namespace: string},
  spec: ModelGatewaySpec = {},
): Promise<ChildrenInput> => {
  const gateway = modelGateway(metadata, spec);
  const answer = await server.request('POST', `${collection(gateway)}?fieldValidation=Strict`, gateway);
  good(answer);
  return {
    gateway: answer.body as ChildrenInput['gateway'], // the API server has held it against the schema
    servedNamespaces: [],
    proxyImage: 'example.com/modelroute:1',
    imagePullPolicy: 'IfNotPresent',
    currentDeployment: undefined,
  };
};

const find = (children: Child[], kind: string): Child => {
  const child = children.find((candidate) => candidate.kind === kind);
  if (child === undefined) throw new Error(`no ${kind}`);
  return child;
};

const withSpec = (input: ChildrenInput, spec: ModelGatewaySpec): ChildrenInput => ({
  ...input,
  gateway: {...input.gateway, spec},
});

const everythingOfPods: GatewayPod = {
  image: 'example.com/ours:2',
  resources: {requests: {cpu: 1, 'ephemeral-storage': '1Gi'}, limits: {memory: '128Mi', cpu: '1.5'}},
  labels: {team: 'a', 'example.com/stage': 'test'},
  annotations: {'example.com/note': 'of the team'},
  nodeSelector: {pool: 'cpu'},
  tolerations: [
    {key: 'dedicated', operator: 'Equal', value: 'models', effect: 'NoSchedule'},
    {operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 60},
  ],
  topologySpread: 'Node',
  priorityClassName: 'high',
  imagePullSecrets: [{name: 'registry'}, {name: 'another'}],
};

const gateways: Record<string, ModelGatewaySpec> = {
  'says nothing': {},
  'has no proxies': {replicas: 0},
  'scales automatically': {autoscaling: {minReplicas: 1, maxReplicas: 5, targetCPUPercent: 60}},
  'says everything of its pods': {pod: everythingOfPods, limits: {drainPeriod: '1500ms'}},
  'drains for a day and spreads nothing': {pod: {topologySpread: 'None'}, limits: {drainPeriod: '24h'}},
  'has a load balancer': {
    service: {
      type: 'LoadBalancer',
      port: 8000,
      annotations: {'example.com/internal': 'true'},
      trafficDistribution: 'PreferClose',
    },
  },
  'has a node port': {service: {type: 'NodePort', trafficDistribution: 'PreferSameZone'}},
  'lets everybody call': {allowedCallers: {namespaces: {from: 'All'}}},
  'lets some namespaces call': {
    allowedCallers: {
      namespaces: {
        from: 'Selector',
        selector: {
          matchLabels: {team: 'a'},
          matchExpressions: [
            {key: 'stage', operator: 'In', values: ['test', 'live']},
            {key: 'old', operator: 'DoesNotExist', values: []},
          ],
        },
      },
    },
  },
  'says nothing in many words': {
    service: {annotations: {}},
    pod: {
      labels: {},
      annotations: {},
      nodeSelector: {},
      tolerations: [],
      imagePullSecrets: [],
      resources: {requests: {}, limits: {}},
    },
    allowedCallers: {namespaces: {from: 'Selector', selector: {matchLabels: {}, matchExpressions: []}}},
  },
  'writes empty values': {
    service: {annotations: {a: ''}},
    pod: {
      labels: {a: ''},
      annotations: {a: ''},
      nodeSelector: {a: ''},
      tolerations: [
        {key: '', operator: 'Exists', value: ''},
        {key: 'a', value: ''},
      ],
      resources: {requests: {cpu: '0.10', memory: '1024Ki'}, limits: {cpu: '2000m', memory: '1e9'}},
    },
    allowedCallers: {namespaces: {from: 'Selector', selector: {matchLabels: {a: ''}}}},
  },
  'lets every namespace call': {allowedCallers: {namespaces: {from: 'Selector', selector: {}}}},
};

(assets === undefined ? describe.skip : describe)('the children of a gateway', () => {
  beforeAll(async () => {
    server = await startApiServer(assets ?? '');
    pool = new Pool(server.url, {connections: 1, connect: {ca: readFileSync(server.ca)}});
    for (const answer of await installCrds(server)) good(answer);
    const restricted = Object.fromEntries(
      ['enforce', 'warn'].map((mode) => [`pod-security.kubernetes.io/${mode}`, 'restricted']),
    );
    const namespaces = [{name: 'restricted', labels: restricted}, {name: 'team-b'}, {name: 'n'.repeat(63)}];
    for (const metadata of namespaces) good(await server.request('POST', '/api/v1/namespaces', {metadata}));
    good(
      await server.request('POST', '/apis/scheduling.k8s.io/v1/priorityclasses', {metadata: {name: 'high'}, value: 9}),
    );
  }, patienceMs);

  afterAll(async () => {
    await pool?.destroy();
    await server?.stop();
  });

  describe('that', () => {
    it.each(Object.entries(gateways).map(([sentence, spec], index) => ({sentence, spec, index})))(
      '$sentence: are taken without warnings, stay as they are when applied again, and their pods pass the restricted Pod Security',
      async ({spec, index}) => {
        const input = await made({name: `models-${index}`, namespace: 'restricted'}, spec);
        const children = planChildren({...input, servedNamespaces: ['team-b', 'restricted']});
        for (const child of children) good(await apply(child));
        const before = await Promise.all(children.map(get));
        for (const child of children) good(await apply(child));
        const after = await Promise.all(children.map(get));
        expect(after.map(({metadata}) => metadata.resourceVersion)).toEqual(
          before.map(({metadata}) => metadata.resourceVersion),
        );

        const {template} = find(children, 'Deployment')['spec'] as {template: {metadata: object; spec: object}};
        const pod = {...template, metadata: {...template.metadata, name: 'proxy'}};
        good(await server.request('POST', '/api/v1/namespaces/restricted/pods?dryRun=All&fieldValidation=Strict', pod));
      },
      patienceMs,
    );
  });

  it(
    'may have the longest names',
    async () => {
      const metadata = {name: 'm'.repeat(63), namespace: 'n'.repeat(63)};
      const input = await made(metadata, {autoscaling: {maxReplicas: 2}});
      for (const child of planChildren({...input, servedNamespaces: ['team-b']})) good(await apply(child));
    },
    patienceMs,
  );

  it(
    'change with their gateway, and lose what it says no more',
    async () => {
      const input = await made({name: 'changing', namespace: 'team-b'});
      const spec: ModelGatewaySpec = {
        pod: everythingOfPods,
        service: {type: 'NodePort', port: 8000, annotations: {a: 'b'}, trafficDistribution: 'PreferClose'},
        allowedCallers: {namespaces: {from: 'Selector', selector: {matchLabels: {team: 'a'}}}},
      };
      const plain = planChildren(input);
      for (const child of plain) good(await apply(child));
      const before = await Promise.all(plain.map(get));
      for (const child of planChildren(withSpec(input, spec))) good(await apply(child));
      expect((await get(find(plain, 'Service')))['spec']).toMatchObject({ports: [{port: 8000}], type: 'NodePort'});
      for (const child of plain) good(await apply(child));
      const after = await Promise.all(plain.map(get));
      expect(after.map((object) => object['spec'])).toEqual(before.map((object) => object['spec']));
      expect(after.map(({metadata}) => metadata.annotations)).toEqual(before.map(({metadata}) => metadata.annotations));
    },
    patienceMs,
  );

  it(
    'keep what others add, and take back what is theirs',
    async () => {
      const input = await made({name: 'shared', namespace: 'team-b'}, {replicas: 3});
      const children = planChildren(input);
      for (const child of children) good(await apply(child));
      const deployment = find(children, 'Deployment');
      for (const child of children)
        good(await edit(child, {metadata: {labels: {team: 'b'}, annotations: {note: 'c'}}}));
      const restartedAt = {'kubectl.kubernetes.io/restartedAt': 'now'};
      good(
        await edit(deployment, {
          spec: {
            minReadySeconds: 7,
            replicas: 1,
            template: {metadata: {annotations: restartedAt}, spec: {enableServiceLinks: true}},
          },
        }),
      );
      for (const child of children) good(await apply(child));
      for (const child of children) {
        const {metadata} = await get(child);
        expect(metadata.labels).toEqual({...child.metadata.labels, team: 'b'});
        expect(metadata.annotations).toMatchObject({note: 'c'});
      }
      expect((await get(deployment))['spec']).toMatchObject({
        minReadySeconds: 7,
        replicas: 3,
        template: {metadata: {annotations: restartedAt}, spec: {enableServiceLinks: false}},
      });
    },
    patienceMs,
  );

  const scaleTo = async (deployment: Child, replicas: number): Promise<void> => {
    const path = `${pathOf(deployment)}/scale`;
    const {body} = await server.request('GET', path);
    good(await server.request('PUT', `${path}?fieldManager=an-autoscaler`, {...(body as object), spec: {replicas}}));
  };

  it(
    'keep the number of proxies when autoscaling begins, until an autoscaler has set it',
    async () => {
      const input = await made({name: 'growing', namespace: 'team-b'}, {replicas: 5});
      const planned = (spec: ModelGatewaySpec, currentDeployment?: object): Child =>
        find(planChildren({...withSpec(input, spec), currentDeployment}), 'Deployment');
      const autoscaling = {maxReplicas: 9};
      const fixed = planned({replicas: 5});
      good(await apply(fixed));
      const replicas = async (): Promise<unknown> => ((await get(fixed))['spec'] as {replicas: number}).replicas;

      const began = planned({autoscaling}, await get(fixed));
      good(await apply(began));
      expect(await replicas()).toBe(5);

      await scaleTo(fixed, 8);
      expect((await apply(began)).status).toBe(409); // planned before the autoscaler came
      expect(await replicas()).toBe(8);

      const handedOver = planned({autoscaling}, await get(fixed));
      good(await apply(handedOver));
      expect(await replicas()).toBe(8);
      await scaleTo(fixed, 4);
      good(await apply(handedOver));
      expect(await replicas()).toBe(4);

      good(await apply(planned({replicas: 2}, await get(fixed))));
      expect(await replicas()).toBe(2);
    },
    patienceMs,
  );

  it(
    'are told from what belongs to others, and from what is left over',
    async () => {
      const input = await made({name: 'owner', namespace: 'team-b'}, {autoscaling: {maxReplicas: 2}});
      const children = planChildren({...input, servedNamespaces: ['team-c']});
      for (const child of children) good(await apply(child));
      const live = await Promise.all(children.map(async (child) => ({...(await get(child)), kind: child.kind})));
      expect(live.map((object, index) => ownershipOf(object, children[index]!))).toEqual(children.map(() => 'Ours'));

      const {name, uid = ''} = input.gateway.metadata;
      const gateway = {namespace: 'team-b', name, uid};
      const rest = leftOvers({existing: live, desired: planChildren(withSpec(input, {})), gateway});
      expect(rest.map(({kind}) => kind)).toEqual(['Role', 'RoleBinding', 'HorizontalPodAutoscaler']);

      const service = find(children, 'Service');
      const stranger = {metadata: {name: 'stranger', namespace: 'team-b'}, spec: {ports: [{port: 80}]}};
      good(await server.request('POST', '/api/v1/namespaces/team-b/services', stranger));
      const strangers = {...service, metadata: {...service.metadata, name: 'stranger'}};
      expect(ownershipOf(await get(strangers), strangers)).toBe('Strangers');
    },
    patienceMs,
  );
});
