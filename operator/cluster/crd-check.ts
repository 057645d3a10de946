/** Whether the cluster knows our resources, in a version that this operator can work with. Until then there is nothing to do but to say so. */
import {z} from 'zod';
import type {KubeClient} from '../../kube/client.ts';
import type {Clock, Timer} from '../../kube/clock.ts';
import {KubeError} from '../../kube/errors.ts';
import {schemaVersionAnnotation, version} from '../api/crds.ts';
import type {Log} from '../log.ts';

export type CrdCheck = {
  /** When they are there, or when it turns out that we may not look. Rejects if stopped before. */
  ready(): Promise<void>;
  /** What is wrong with them, as far as is known; undefined: nothing. */
  problem(): string | undefined;
  stop(): void;
};

export type CrdCheckSettings = {
  client: KubeClient;
  clock: Clock;
  log: Log;
  /** The lowest that will do; {@link requiredSchemaVersion} unless given. */
  required?: number;
};

/** It grows when the operator begins to need something of the CRDs that older ones lack. */
export const requiredSchemaVersion = 1;

const names = ['modelroutes.modelroute.dev', 'modelgateways.modelroute.dev'];
const chart = 'the chart modelroute-crds';
const lookAgainMs = 3_000;

const crdSchema = z.object({
  metadata: z.object({annotations: z.record(z.string(), z.string()).default({})}),
  spec: z.object({versions: z.array(z.object({name: z.string(), served: z.boolean()}))}),
});

/** `key`: the same as long as nothing else is wrong; messages of the network differ from try to try. */
type Fault = {key: string; text: string};

const fault = (text: string): Fault => ({key: text, text});

function faultOf(name: string, crd: unknown, required: number): Fault | undefined {
  const {data} = crdSchema.safeParse(crd);
  if (data === undefined) return fault(`the CRD ${name} cannot be read`);
  const installed = data.metadata.annotations[schemaVersionAnnotation] ?? '0';
  if (!(Number(installed) >= required))
    // nor if it is no number
    return fault(
      `the CRD ${name} is of schema version ${installed} and this operator needs ${required}: upgrade ${chart}`,
    );
  if (!data.spec.versions.some((offered) => offered.name === version && offered.served))
    return fault(`the CRD ${name} does not serve ${version}: install ${chart} of this release`);
  return undefined;
}

/** Looks at once, and every few seconds until all is well. Says what is wrong when it begins or changes. */
export function watchCrds({client, clock, log, required = requiredSchemaVersion}: CrdCheckSettings): CrdCheck {
  const {promise: ready, resolve, reject} = Promise.withResolvers<void>();
  ready.catch(() => {}); // nobody needs to wait for it
  const stopping = new AbortController();
  let timer: Timer | undefined;
  let faults = [fault('the CRDs have not been looked at yet')];
  const unreadable = new Set<string>();

  const look = async (name: string): Promise<Fault | undefined> => {
    const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}`;
    try {
      return faultOf(name, await client.request({method: 'GET', path, signal: stopping.signal}), required);
    } catch (error) {
      const status = error instanceof KubeError ? error.status : 0;
      if (status === 404) return fault(`the CRD ${name} is not installed: install ${chart}`);
      if (status !== 403) return {key: `${name} ${status}`, text: `the CRD ${name} cannot be read: ${String(error)}`};
      if (!unreadable.has(name)) log.warn('may not read the CRD, and takes it to be right', {crd: name});
      unreadable.add(name);
      return undefined;
    }
  };

  const lookAtAll = async (): Promise<void> => {
    const found: Fault[] = [];
    for (const name of names) {
      const wrong = await look(name);
      if (stopping.signal.aborted) return;
      if (wrong !== undefined) found.push(wrong);
    }
    for (const {key, text} of found)
      if (!faults.some((known) => known.key === key)) log.error('waits for the CRDs', {problem: text});
    faults = found;
    if (found.length === 0) return resolve();
    timer = clock.after(lookAgainMs, () => void lookAtAll());
  };
  void lookAtAll();

  return {
    ready: () => ready,
    problem: () => (faults.length === 0 ? undefined : faults.map(({text}) => text).join('; ')),
    stop() {
      stopping.abort();
      timer?.cancel();
      reject(new Error('stopped before the CRDs were there')); // no effect once they are
    },
  };
}
