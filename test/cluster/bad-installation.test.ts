/** What an administrator gets wrong: definitions that are missing or old, and rights that do not suffice. */
import {afterAll, afterEach, beforeAll, expect, it} from '@jest/globals';
import type {Cluster} from './cluster.ts';
import {eventually} from './eventually.ts';
import {gateway} from './objects.ts';
import {
  createScope,
  describeOnCluster,
  installDefinitions,
  installProduct,
  operatorNamespace,
  scaleOperator,
  setUpMs,
  startProduct,
  type Pod,
  type Scope,
} from './scenario.ts';

const testMs = 6 * 60_000;

const definitions = ['modelroutes.modelroute.dev', 'modelgateways.modelroute.dev'];

const clusterRole = `clusterrole/modelroute-operator:${operatorNamespace}:modelroute`;

type Role = {rules: {apiGroups: string[]; resources: string[]; verbs: string[]}[]; metadata: Record<string, unknown>};

describeOnCluster('a bad installation', () => {
  let cluster: Cluster;
  let scope: Scope;

  beforeAll(async () => {
    cluster = await startProduct();
    scope = await createScope(cluster, 'bad-install');
  }, setUpMs);
  afterEach(async () => {
    await installDefinitions(cluster);
    await installProduct(cluster);
    await scaleOperator(cluster, 2);
  }, setUpMs);
  afterAll(async () => {
    await scope.close();
    await cluster.stop();
  }, setUpMs);

  const inOperators = async (...args: string[]): Promise<string> =>
    (await cluster.kubectl(['--namespace', operatorNamespace, ...args])).stdout;

  const operators = async (): Promise<Pod[]> =>
    (JSON.parse(await inOperators('get', 'pods', '-o', 'json')) as {items: Pod[]}).items;

  const logs = (): Promise<string> =>
    inOperators('logs', '--selector=app.kubernetes.io/component=operator', '--tail=-1', '--prefix=false');

  const isReady = async (): Promise<boolean> =>
    (await operators()).some(({status}) =>
      status.conditions?.some((one) => one.type === 'Ready' && one.status === 'True'),
    );

  /** It runs, is not ready, and its log says this; then `mend`, and it is, without a restart. */
  const waitsUntil = async (says: RegExp, mend: () => Promise<void>): Promise<void> => {
    await scaleOperator(cluster, 1);
    await eventually(async () => says.test(await logs()), `the log says ${String(says)}`);
    expect(await isReady()).toBe(false);
    await mend();
    await eventually(isReady, 'the operator is ready');
    const restarts = (await operators()).map(({status}) => status.containerStatuses?.[0]?.restartCount);
    expect(restarts).toEqual([0]);
  };

  it(
    'without the definitions the operator waits for them, and says so',
    async () => {
      await scaleOperator(cluster, 0);
      await cluster.kubectl(['delete', 'customresourcedefinition', ...definitions]);
      await waitsUntil(/modelroutes\.modelroute\.dev|modelgateways\.modelroute\.dev/, () =>
        installDefinitions(cluster),
      );
    },
    testMs,
  );

  it(
    'with definitions of an older version the operator waits for newer ones, and says so',
    async () => {
      await scaleOperator(cluster, 0);
      const mark = (version: string): Promise<unknown> =>
        cluster.kubectl([
          'annotate',
          '--overwrite',
          'customresourcedefinition',
          ...definitions,
          `modelroute.dev/schema-version=${version}`,
        ]);
      await mark('0');
      await waitsUntil(/schema-version|older|version/i, async () => {
        await mark('1');
      });
    },
    testMs,
  );

  it(
    'with too few rights the status names the verb and the resource, and it heals when they are given',
    async () => {
      const whole = JSON.parse((await cluster.kubectl(['get', clusterRole, '-o', 'json'])).stdout) as Role;
      const {resourceVersion: _version, ...metadata} = whole.metadata;
      const replace = (rules: Role['rules']): Promise<unknown> =>
        cluster.kubectl(['replace', '-f', '-'], {stdin: JSON.stringify({...whole, metadata, rules})});
      const mayNotMake = (rule: Role['rules'][number]): Role['rules'][number] =>
        rule.resources.includes('poddisruptionbudgets')
          ? {...rule, verbs: rule.verbs.filter((verb) => !['create', 'patch', 'update'].includes(verb))}
          : rule;
      try {
        await replace(whole.rules.map(mayNotMake));
        await scope.apply(gateway('narrow', {replicas: 1}));
        const {message} = await scope.untilReason('mgateway/narrow', 'Programmed', 'ApplyFailed');
        expect(message).toMatch(/create|patch/);
        expect(message).toContain('poddisruptionbudgets');
        expect(await scope.describe('mgateway/narrow')).toContain('poddisruptionbudgets');
      } finally {
        await replace(whole.rules);
      }
      await eventually(() => scope.exists('poddisruptionbudget/narrow'), 'what it may make now is made', 300);
    },
    testMs,
  );
});
