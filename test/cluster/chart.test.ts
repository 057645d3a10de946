/** The chart's own test, and what people see in a table, on a real cluster in a namespace with restricted Pod Security. */
import {afterAll, beforeAll, expect, it} from '@jest/globals';
import {commandsOf} from '../charts/helm.ts';
import type {Cluster} from './cluster.ts';
import {eventually} from './eventually.ts';
import {
  createScope,
  describeOnCluster,
  installProduct,
  operatorNamespace,
  setUpMs,
  startProduct,
  type Scope,
} from './scenario.ts';
import {backend, route, simulators} from './objects.ts';

const testMs = 5 * 60_000;

describeOnCluster('the chart', () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await startProduct();
    const restricted = 'pod-security.kubernetes.io/enforce=restricted';
    await cluster.kubectl(['label', 'namespace', operatorNamespace, restricted, '--overwrite']);
  }, setUpMs);
  afterAll(async () => {
    await cluster.stop();
  }, setUpMs);

  it(
    'passes its own test, and leaves no route and no gateway behind',
    async () => {
      const {stdout} = await cluster.helm(['test', 'modelroute', '--namespace', operatorNamespace, '--timeout', '4m']);
      expect(stdout).toContain('Succeeded');
      const left = await cluster.kubectl([
        'get',
        'mroute,mgateway',
        '--namespace',
        operatorNamespace,
        '--output',
        'name',
      ]);
      expect(left.stdout).toBe('');
    },
    testMs,
  );

  it(
    'prints notes whose commands, pasted into a shell, get an answer from the model, also where it looks after one namespace',
    async () => {
      const scope: Scope = await createScope(cluster, 'notes');
      try {
        await installProduct(cluster, [`watchNamespaces={${scope.name}}`]);
        const {stdout: notes} = await cluster.helm(['get', 'notes', 'modelroute', '--namespace', operatorNamespace]);
        const shell = `set -e; trap 'kill $(jobs -p)' EXIT\n${commandsOf(notes)}`;
        const {stdout} = await cluster.run('bash', '-c', shell);
        expect(stdout).toMatch(/"content": *"Hello from /);
      } finally {
        await scope.close();
        await installProduct(cluster);
      }
    },
    testMs,
  );

  it(
    'makes a table of routes that says all there is to say at a glance',
    async () => {
      const scope: Scope = await createScope(cluster, 'table');
      try {
        await scope.apply(...simulators('sim', 1), route('chat', [backend('sim')], {modelNames: ['gpt-4', 'gpt-*']}));
        await scope.untilReady('mroute/chat');
        const {stdout} = await cluster.kubectl(['get', 'mroute', '--namespace', scope.name]);
        const [head = '', line = ''] = stdout.split('\n').map((text) => text.replaceAll(/\s+/g, ' ').trim());
        expect(head).toBe('NAME MODELS URL READY REASON ENDPOINTS AGE');
        expect(line).toMatch(new RegExp(`^chat gpt-4,gpt-[*] http://models.${scope.name}/v1 True Ready 1/1 \\d+`));
        await eventually(async () => {
          const gateways = await cluster.kubectl(['get', 'mgateway', '--namespace', scope.name]);
          return /models 2 2 1 True Ready http/.test(gateways.stdout.replaceAll(/\s+/g, ' '));
        }, 'the table of gateways says that both proxies are up');
      } finally {
        await scope.close();
      }
    },
    testMs,
  );
});
