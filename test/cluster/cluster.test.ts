/** The cluster that the other tests here stand on: its images run as pods under the strictest rules, and its parts come back after they were killed. */
import {readFileSync} from 'node:fs';
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals';
import {canRunCluster} from './machine.ts';
import {type Cluster, startCluster, startMs} from './cluster.ts';

const namespace = 'cluster-test';

/** A pod that the `restricted` standard admits, and its Service. */
const podWithService = (name: string, port: number, container: object, volumes: object[] = []): object[] => [
  {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {name, namespace, labels: {app: name}},
    spec: {
      securityContext: {runAsNonRoot: true, seccompProfile: {type: 'RuntimeDefault'}},
      containers: [
        {
          name,
          ports: [{containerPort: port}],
          readinessProbe: {tcpSocket: {port}, periodSeconds: 1},
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: {drop: ['ALL']},
          },
          ...container,
        },
      ],
      volumes,
    },
  },
  {apiVersion: 'v1', kind: 'Service', metadata: {name, namespace}, spec: {selector: {app: name}, ports: [{port}]}},
];

const route = {
  apiVersion: 'modelroute.dev/v1alpha1',
  kind: 'ModelRoute',
  metadata: {name: 'chat'},
  spec: {backends: [{name: 'simulated', url: `http://simulator.${namespace}:8000/v1`}]},
};

const image = 'localhost/modelroute:test';
const objects = [
  {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {name: namespace, labels: {'pod-security.kubernetes.io/enforce': 'restricted'}},
  },
  {apiVersion: 'v1', kind: 'ConfigMap', metadata: {name: 'route', namespace}, data: {'r.yaml': JSON.stringify(route)}},
  ...podWithService('simulator', 8000, {image, args: ['simulate', '--model', 'chat', '--listen', ':8000']}),
  ...podWithService('model-server', 8000, {image: 'localhost/model-server:test'}),
  ...podWithService(
    'proxy',
    8080,
    {
      image,
      args: ['serve', '-f', '/route/r.yaml', '--listen', ':8080'],
      volumeMounts: [{name: 'route', mountPath: '/route'}],
    },
    [{name: 'route', configMap: {name: 'route'}}],
  ),
];

const describeOnCluster = canRunCluster((line) => process.stderr.write(line)) ? describe : describe.skip;

describeOnCluster('a cluster', () => {
  let cluster: Cluster;

  /** kube-proxy may be a second later than the pod: until then a Service refuses connections. */
  const whenRouted = ['--retry', '60', '--retry-connrefused', '--retry-delay', '1'];

  const post = async (url: string, body: object): Promise<string> => {
    const headers = ['-H', 'content-type: application/json'];
    const {stdout} = await cluster.run('curl', '-sS', ...whenRouted, url, ...headers, '-d', JSON.stringify(body));
    return stdout;
  };
  const chat = (model: string): object => ({model, max_tokens: 4, messages: [{role: 'user', content: 'Hi'}]});

  beforeAll(async () => {
    cluster = await startCluster();
    await cluster.loadImages();
    await cluster.apply(JSON.stringify({apiVersion: 'v1', kind: 'List', items: objects}));
    await cluster.kubectl(['wait', '-n', namespace, '--for=condition=Ready', 'pod', '--all', '--timeout=120s']);
  }, startMs);

  afterAll(async () => {
    await cluster.kubectl(['delete', 'namespace', namespace, '--wait=false']);
    await cluster.stop();
  }, 60_000);

  it('carries a request through the image as proxy to the image as simulator, by the names of their Services', async () => {
    expect(await post(`http://proxy.${namespace}:8080/v1/chat/completions`, chat('chat'))).toContain('Hello from');
  }, 60_000);

  it('has modelroute as a command in the image', async () => {
    const {stdout} = await cluster.kubectl(['exec', '-n', namespace, 'proxy', '--', 'modelroute', '--version']);
    const {version} = JSON.parse(readFileSync('package.json', 'utf8')) as {version: string};
    expect(stdout.trim()).toBe(version);
  }, 60_000);

  it('runs a real model server', async () => {
    const answer = await post(`http://model-server.${namespace}:8000/v1/chat/completions`, chat('tiny'));
    expect(JSON.parse(answer)).toMatchObject({model: 'tiny', usage: {completion_tokens: 4}});
  }, 60_000);

  it.each(['kube-apiserver', 'etcd'] as const)(
    'has everything back after %s was killed and started',
    async (part) => {
      const name = `after-${part}`;
      await cluster.kubectl(['create', 'configmap', name, '-n', namespace, '--from-literal=kept=yes']);

      await cluster.part.kill(part);
      await expect(
        cluster.kubectl(['get', 'configmap', name, '-n', namespace, '--request-timeout=5s']),
      ).rejects.toThrow();
      expect(await post(`http://proxy.${namespace}:8080/v1/chat/completions`, chat('chat'))).toContain('Hello from');

      await cluster.part.start(part);
      await cluster.waitFor(async () => {
        const {stdout} = await cluster.kubectl([
          'get',
          'configmap',
          name,
          '-n',
          namespace,
          '-o',
          'jsonpath={.data.kept}',
        ]);
        return stdout === 'yes';
      }, 'what was stored is there');
      await cluster.kubectl([
        'create',
        'deployment',
        name,
        '-n',
        namespace,
        '--image',
        'localhost/pause:1',
        '--dry-run=none',
      ]);
      await cluster.waitFor(async () => {
        const {stdout} = await cluster.kubectl([
          'get',
          'replicasets',
          '-n',
          namespace,
          '-l',
          `app=${name}`,
          '-o',
          'name',
        ]);
        return stdout !== '';
      }, 'the controllers act again');
    },
    180_000,
  );
});
