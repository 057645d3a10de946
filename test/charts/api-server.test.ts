/** What a real API server says of all that the charts make: strict about fields, and with restricted Pod Security. */
import {afterAll, beforeAll, describe, expect, it} from '@jest/globals';
import {parse} from 'yaml';
import {findAssets} from '../api-server/assets.ts';
import {installCrds} from '../api-server/crds.ts';
import {startApiServer, type Answer, type ApiServer} from '../api-server/start.ts';
import {
  collection,
  commandsOf,
  createHelm,
  deploymentSpec,
  findHelm,
  only,
  testPodSpec,
  type ChartName,
  type KubeDocument,
  type Release,
  type Values,
} from './helm.ts';
import {combinations, everything} from './values.ts';

const program = findHelm((line) => process.stderr.write(line));
const assets = program === undefined ? undefined : findAssets((line) => process.stderr.write(line));
const helm = createHelm(program ?? '');

const inNamespace = (object: KubeDocument, namespace: string): KubeDocument => ({
  ...object,
  metadata: {...object.metadata, namespace},
});

(assets === undefined ? describe.skip : describe)('a real API server', () => {
  let server: ApiServer;
  const namespaces = ['modelroute-system', 'team-a', 'team-b', 'n'.repeat(63)];

  const dryRun = (object: KubeDocument): Promise<Answer> =>
    server.request('POST', `${collection(object)}?dryRun=All&fieldValidation=Strict`, object);

  beforeAll(async () => {
    server = await startApiServer(assets ?? '');
    const labels = Object.fromEntries(
      ['enforce', 'warn'].map((mode) => [`pod-security.kubernetes.io/${mode}`, 'restricted']),
    );
    for (const name of namespaces) {
      const namespace = {apiVersion: 'v1', kind: 'Namespace', metadata: {name, labels}};
      expect((await server.request('POST', '/api/v1/namespaces', namespace)).status).toBe(201);
    }
  }, 100_000);
  afterAll(() => server?.stop());

  const expectAccepted = async (documents: KubeDocument[]): Promise<void> => {
    expect(documents.length).toBeGreaterThan(0);
    for (const object of documents.filter(({apiVersion}) => !apiVersion.startsWith('monitoring.coreos.com/'))) {
      const {status, body, warnings} = await dryRun(object);
      const {kind, metadata} = object;
      const said = status === 201 ? undefined : body;
      expect({kind, name: metadata.name, status, warnings, said}).toEqual({
        kind,
        name: metadata.name,
        status: 201,
        warnings: [],
        said: undefined,
      });
    }
  };

  it.each<[string, Values, Release]>([
    ...combinations.map(([name, values]): [string, Values, Release] => [name, values, {}]),
    ['under the longest name', everything, {name: 'r'.repeat(53), namespace: 'n'.repeat(63)}],
  ])(
    'accepts the chart %s',
    async (_, values, release) => {
      await expectAccepted(await helm.render('modelroute', values, release));
    },
    60_000,
  );

  it.each(combinations)('lets the operator run where Pod Security is restricted %s', async (_, values) => {
    const {template} = deploymentSpec(await helm.render('modelroute', values));
    // A class that is not there would be refused, and this server has none of them yet.
    const pod = {...template.spec, priorityClassName: undefined};
    const {status, body} = await dryRun({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {name: 'operator', namespace: 'modelroute-system'},
      spec: pod,
    });
    expect({status, body: status === 201 ? undefined : body}).toEqual({status: 201, body: undefined});
  });

  it('refuses there what is not restricted, so that the above proves something', async () => {
    const documents = await helm.render('modelroute');
    const {status} = await dryRun({...only(documents, 'Pod'), spec: {...testPodSpec(documents), securityContext: {}}});
    expect(status).toBe(403);
  });

  it.each<[ChartName, Values]>([
    ['modelroute-crds', {}],
    ['modelroute-crds', {keep: false, annotations: {a: 'b'}, extraLabels: {team: 'platform'}}],
  ])('accepts %s with %j', async (chart, values) => {
    await expectAccepted(await helm.render(chart, values));
  });

  // After the definitions: one that is there cannot be made once more, dry or not.
  it('accepts the route of the notes', async () => {
    await installCrds(server);
    const [, route = ''] = /<<'END'\n([^]*?)\nEND\n/.exec(commandsOf(await helm.notes())) ?? [];
    const {status, body} = await dryRun(inNamespace(parse(route) as KubeDocument, 'team-a'));
    expect({status, body}).toMatchObject({status: 201, body: {kind: 'ModelRoute'}});
  });
});
