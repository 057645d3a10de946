/** What was changed and what was made of it, write by write, as a client that watches sees it. */
import type {KubeObject} from '../../kube/objects.ts';
import type {Api} from './api.ts';
import {watchConfigs, watchObjects, type Published} from './config-watch.ts';

type Change = {
  /** `namespace/name` */
  route: string;
  generation: number;
  sentUs: number;
};

export type Ledger = {
  /** Since it began. */
  changes: Change[];
  /** Configs with an older route than the one before them. */
  backwards: string[];
  /** Writes that changed nothing. */
  twice: string[];
  /** A config has been written. */
  published(config: Published): void;
  /** A route or a gateway has been written. */
  written(object: KubeObject): void;
  /** When the first change that was sent after that time was published. */
  publishedAfter(timeUs: number): number | undefined;
  /** Routes whose last change is not published. */
  lost(): number;
  /** Forgets what has been. */
  begin(): void;
};

type Publication = {route: string; generation: number; atUs: number};

/** What a write has to change to be one. */
const contentOf = ({metadata, spec, status}: KubeObject): string =>
  JSON.stringify([metadata.generation, metadata.labels, metadata.annotations, spec, status]);

export function createLedger(): Ledger {
  const current = new Map<string, number>();
  const contents = new Map<string, string>();
  const publications: Publication[] = [];

  const write = (key: string, content: string): void => {
    if (contents.get(key) === content) ledger.twice.push(`${key} was written again as it was`);
    contents.set(key, content);
  };
  const ledger: Ledger = {
    changes: [],
    backwards: [],
    twice: [],
    published({namespace, hash, atUs, routes}) {
      write(`the config of ${namespace}`, hash);
      for (const [name, generation] of routes) {
        const route = `${namespace}/${name}`;
        const before = current.get(route) ?? 0;
        if (generation < before) ledger.backwards.push(`${route} went back from ${before} to ${generation}`);
        if (generation > before) publications.push({route, generation, atUs});
        current.set(route, generation);
      }
    },
    written(object) {
      const {kind, metadata} = object;
      write(`${kind} ${metadata.namespace}/${metadata.name}`, contentOf(object));
    },
    publishedAfter(timeUs) {
      const later = ledger.changes.filter(({sentUs}) => sentUs > timeUs);
      return publications.find((each) =>
        later.some(({route, generation}) => each.route === route && each.generation >= generation),
      )?.atUs;
    },
    lost() {
      const last = new Map(ledger.changes.map(({route, generation}) => [route, generation]));
      return [...last].filter(([route, generation]) => current.get(route) !== generation).length;
    },
    begin() {
      for (const list of [ledger.changes, ledger.backwards, ledger.twice, publications]) list.length = 0;
    },
  };
  return ledger;
}

/** Keeps it by what the API server tells. */
export async function startLedger(api: Api): Promise<Ledger> {
  const ledger = createLedger();
  await watchConfigs(api, (config) => ledger.published(config));
  for (const [kind, plural] of Object.entries({ModelRoute: 'modelroutes', ModelGateway: 'modelgateways'}))
    await watchObjects(api, `/apis/modelroute.dev/v1alpha1/${plural}`, (object) => ledger.written({...object, kind}));
  return ledger;
}
