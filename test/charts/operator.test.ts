/** The operator at work with the rights of the chart and no others, on a real API server. */
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterAll, afterEach, beforeAll, describe, expect, it} from '@jest/globals';
import {findAssets} from '../api-server/assets.ts';
import {installCrds} from '../api-server/crds.ts';
import {startApiServer, type ApiServer} from '../api-server/start.ts';
import {childKinds, configOf, connect, patienceMs, probeSays, run, type Cluster} from '../operator/harness.ts';
import {endpointSlice} from '../cluster-objects.ts';
import {startProcess, writeKubeconfig} from '../operator/process.ts';
import {until} from '../until.ts';
import {createAccount, leases, own, type Account} from './account.ts';
import {collection, createHelm, deploymentSpec, findHelm, type KubeDocument} from './helm.ts';

const program = findHelm((line) => process.stderr.write(line));
const assets = program === undefined ? undefined : findAssets((line) => process.stderr.write(line));
const helm = createHelm(program ?? '');

const route = (namespace: string) => ({
  kind: 'ModelRoute',
  metadata: {namespace, name: 'chat'},
  spec: {backends: [{name: 'cloud', url: 'https://a.example/v1'}]},
});

type Rule = {apiGroups: string[]; resources: string[]; verbs: string[]};
const rulesOf = (role: KubeDocument): Rule[] => (role['rules'] ?? []) as Rule[];
const isOfSlices = ({resources}: Rule): boolean => resources.includes('endpointslices');

(assets === undefined ? describe.skip : describe)('the operator, with the rights of the chart alone', () => {
  let server: ApiServer;
  let cluster: Cluster;
  let account: Account;
  let folder: string;
  const closers: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'modelroute-rights-'));
    server = await startApiServer(assets ?? '');
    account = createAccount(server);
    cluster = connect(server);
    await installCrds(server);
  }, 100_000);
  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close();
    await account.uninstall();
  }, patienceMs);
  afterAll(async () => {
    await cluster?.close();
    await account?.close();
    await server?.stop();
    rmSync(folder, {recursive: true, force: true});
  });

  const hasAll = (namespace: string): Promise<void> =>
    until(
      async () => {
        const found = await Promise.all([...childKinds, 'Event'].map((kind) => cluster.list(kind, namespace)));
        return found.every((objects) => objects.length > 0);
      },
      `there is a whole fleet in ${namespace}, and an Event that tells of it`,
      patienceMs,
    );

  it('serves the namespaces that it is given, and misses nothing of the whole cluster', async () => {
    const watched = ['team-a', 'team-b'];
    const documents = await helm.render('modelroute', {watchNamespaces: watched, logLevel: 'debug'});
    const {token} = await account.install(documents, watched);
    const {args} = deploymentSpec(documents).template.spec.containers[0]!;
    const operator = startProcess(args, {
      MODELROUTE_NAMESPACE: own,
      MODELROUTE_IDENTITY: 'modelroute-0',
      MODELROUTE_KUBECONFIG: writeKubeconfig(folder, server, token),
    });
    closers.push(() => operator.end());
    account.installed.push(`${leases}/modelroute-operator`); // whoever is killed has not given it up
    await operator.says('leads');
    for (const namespace of [...watched, 'team-c']) await cluster.apply(route(namespace));
    for (const namespace of watched) {
      await hasAll(namespace);
      await cluster.turns(['ModelRoute', namespace, 'chat'], 'Accepted', 'True/Accepted');
    }
    expect(await operator.ready()).toBe(200);
    const refusals = operator.log.filter((line) => /may not|forbidden/i.test(JSON.stringify(line)));
    expect(refusals.map(({message, crd}) => `${message}: ${String(crd)}`)).toEqual([
      'may not read the CRD, and takes it to be right: modelroutes.modelroute.dev',
      'may not read the CRD, and takes it to be right: modelgateways.modelroute.dev',
    ]);
    expect(await cluster.get('ModelGateway', 'team-c', 'models')).toBeUndefined();
  }, 120_000);

  it('says which right to read is missing, is not ready without it, and goes on when it is given', async () => {
    const documents = await helm.render('modelroute');
    const whole = documents.find((role) => role.kind === 'ClusterRole' && rulesOf(role).some(isOfSlices))!;
    const mayDoWithSlices = (verbs: string[]): KubeDocument => ({
      ...whole,
      rules: rulesOf(whole).map((rule) => (isOfSlices(rule) ? {...rule, verbs} : rule)),
    });
    const {token} = await account.install(
      documents.map((document) => (document === whole ? mayDoWithSlices(['get']) : document)),
    );
    const config = {...configOf(server), token};
    const running = await run(server, {access: {config, from: 'a test'}, namespace: own});
    closers.push(() => running.stop());
    const ready = (status: number, text: string) => probeSays(running, '/readyz', {status, text});
    const resource = 'endpointslices.discovery.k8s.io';
    /** Of this resource, the last. */
    const says = (message: string, words = ''): Promise<void> =>
      until(
        () => {
          const last = running.log.findLast((line) => line['resource'] === resource);
          return last?.message === message && String(last['error']).includes(words);
        },
        `it says "${message}" and "${words}"`,
        patienceMs,
      );
    const refused = 'resource "endpointslices" in API group "discovery.k8s.io" at the cluster scope';
    const grant = (verbs: string[]) =>
      server.request('PUT', `${collection(whole)}/${whole.metadata.name}`, mayDoWithSlices(verbs));

    await says('cannot watch', `cannot list ${refused}`);
    await ready(503, `waits for the first list of ${resource}`);
    await grant(['get', 'list']);
    await says('cannot watch', `cannot watch ${refused}`);
    await grant(['get', 'list', 'watch']);
    await ready(200, 'ok');
    await cluster.apply({kind: 'EndpointSlice', ...endpointSlice({namespace: 'healed'})}); // a watch works from its first event on
    await says('watches again');
    await cluster.apply(route('healed'));
    await hasAll('healed');
  }, 120_000);
});
