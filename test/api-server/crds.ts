/** Our CRDs on a running API server, and what it says of objects of theirs. */
import {readFileSync} from 'node:fs';
import {setTimeout as delay} from 'node:timers/promises';
import {parse} from 'yaml';
import {crdPaths} from '../../operator/api/crds.ts';
import type {Resource} from './documents.ts';
import type {Answer, ApiServer} from './start.ts';

export const group = '/apis/modelroute.dev/v1alpha1';
const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

type Conditions = {status?: {conditions?: {type: string; status: string}[]}};

/** The test that awaits this has a time limit of its own. */
const until = async (isSo: () => Promise<boolean>): Promise<void> => {
  while (!(await isSo())) await delay(20);
};

const install = async (server: ApiServer, crdPath: string): Promise<Answer> => {
  const crd = parse(readFileSync(crdPath, 'utf8')) as {metadata: {name: string}; spec: {names: {plural: string}}};
  const answer = await server.request('POST', `${definitions}?fieldValidation=Strict`, crd);
  if (answer.status !== 201) return answer;
  await until(async () => {
    const {body} = await server.request('GET', `${definitions}/${crd.metadata.name}`);
    const conditions = (body as Conditions).status?.conditions ?? [];
    return conditions.some(({type, status}) => type === 'Established' && status === 'True');
  });
  // Established comes a moment before the first answer.
  await until(async () => (await server.request('GET', `${group}/${crd.spec.names.plural}`)).status === 200);
  return answer;
};

/** What the API server said to each CRD; those it accepted are served. */
export const installCrds = async (server: ApiServer): Promise<Answer[]> => {
  const answers: Answer[] = [];
  for (const crdPath of crdPaths()) answers.push(await install(server, crdPath));
  return answers;
};

export const collection = ({kind, metadata}: Resource): string =>
  `${group}/namespaces/${metadata.namespace ?? 'default'}/${kind.toLowerCase()}s`;

/** What the API server would say if the object were made as kubectl does it: unknown fields are errors. */
export const dryRun = (server: ApiServer, object: Resource): Promise<Answer> =>
  server.request('POST', `${collection(object)}?dryRun=All&fieldValidation=Strict`, object);
