/** The operator's account on a real API server, with the rights that the chart gives it. */
import {readFileSync} from 'node:fs';
import {Agent, request} from 'undici';
import type {ApiServer} from '../api-server/start.ts';
import {until} from '../until.ts';
import {collection, type KubeDocument} from './helm.ts';

/** Where the operator is. */
export const own = 'modelroute-system';
export const leases = `/apis/coordination.k8s.io/v1/namespaces/${own}/leases`;

/** The status of the answer. */
export type Ask = (method: string, path: string, body?: object) => Promise<number>;

export type Account = {
  /** As Helm would, but for what nobody asks for rights; waits until they are in force. `watched`: namespaces, unless it is all. */
  install(documents: readonly KubeDocument[], watched?: readonly string[]): Promise<{token: string; ask: Ask}>;
  /** Paths of what is there because of it; a test may add others. */
  installed: string[];
  uninstall(): Promise<void>;
  close(): Promise<void>;
};

const isForUs = ({kind, metadata}: KubeDocument): boolean =>
  /Role|ServiceAccount/.test(kind) && metadata.annotations?.['helm.sh/hook'] === undefined;

/** The API server learns of a role a moment after it has stored it, and of one that is gone too. */
const untilInForce = async (ask: Ask, watched: readonly string[] | undefined): Promise<void> => {
  const answers: [string, boolean][] = [
    ...(watched ?? []).map((name): [string, boolean] => [`/api/v1/namespaces/${name}/secrets`, true]),
    [`${leases}/modelroute-operator`, true],
    ['/api/v1/secrets', watched === undefined],
  ];
  for (const [path, isAllowed] of answers)
    await until(async () => ((await ask('GET', path)) !== 403) === isAllowed, `the right to ${path}`, 30_000);
};

export function createAccount(server: ApiServer): Account {
  const agent = new Agent({connect: {ca: readFileSync(server.ca)}});
  const installed: string[] = [];

  const askAs =
    (token: string): Ask =>
    async (method, path, body) => {
      const answer = await request(`${server.url}${path}`, {
        method,
        dispatcher: agent,
        headers: {
          authorization: `Bearer ${token}`,
          'content-type': method === 'PATCH' ? 'application/apply-patch+yaml' : 'application/json',
        },
        ...(body === undefined ? {} : {body: JSON.stringify(body)}),
      });
      await answer.body.dump();
      return answer.statusCode;
    };
  const make = async (object: KubeDocument): Promise<void> => {
    const {status, body} = await server.request('POST', collection(object), object);
    if (status !== 201) throw new Error(`${object.kind} ${object.metadata.name}: ${JSON.stringify(body)}`);
    installed.push(`${collection(object)}/${object.metadata.name}`);
  };

  return {
    installed,
    async install(documents, watched) {
      for (const object of documents.filter(isForUs)) await make(object);
      const {body} = await server.request('POST', `/api/v1/namespaces/${own}/serviceaccounts/modelroute/token`, {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: {},
      });
      const {token} = (body as {status: {token: string}}).status;
      const ask = askAs(token);
      await untilInForce(ask, watched);
      return {token, ask};
    },
    async uninstall() {
      for (const path of installed.splice(0).toReversed()) await server.request('DELETE', path);
    },
    close: () => agent.destroy(),
  };
}
