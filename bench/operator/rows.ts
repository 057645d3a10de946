/** What is shown of the measurements, and what is asked of them. */
import {spreadOf, type Spread} from '../results.ts';
import type {Outcome, Sizes} from './measurement.ts';

type Limit = {text: string; holds: (value: number) => boolean};

type Row = {
  /** `measurement/metric` */
  metric: string;
  title: (sizes: Sizes) => string;
  limit?: Limit;
};

const below = (most: number, text = `< ${most}`): Limit => ({text, holds: (value) => value < most});
const none: Limit = {text: '0', holds: (value) => value === 0};
const thousands = (count: number): string => count.toLocaleString('en');

const rows: Row[] = [
  {
    metric: 'propagation/proxies.p50',
    title: ({proxies}) => `a route applied, until the last of ${proxies} proxies has loaded it: p50, ms`,
  },
  {metric: 'propagation/proxies.p99', title: () => '… p99, ms', limit: below(1_000, '< 1,000')},
  {metric: 'propagation/proxies.max', title: () => '… longest, ms'},
  {metric: 'propagation/taken', title: () => '… of it until the API server has taken it, p50, ms'},
  {metric: 'propagation/written', title: () => '… of it until the operator has written the config, p50, ms'},
  {
    metric: 'propagation/clients.p50',
    title: ({clients}) => `the same with ${clients} clients that watch, until the last of them has it: p50, ms`,
  },
  {metric: 'propagation/clients.p99', title: () => '… p99, ms', limit: below(2_000, '< 2,000')},
  {metric: 'propagation/clients.max', title: () => '… longest, ms'},
  {
    metric: 'propagation/kubectl',
    title: ({proxies}) => `the same by kubectl, from its start until the last of ${proxies} proxies: p50, ms`,
  },
  {metric: 'propagation/kubectlAlone', title: () => '… of it until kubectl has ended, p50, ms'},
  {
    metric: 'scale/configs',
    title: ({gateways, routesPerGateway}) =>
      `${thousands(gateways * routesPerGateway)} routes on ${gateways} gateways, operator started: until all configs are written, s`,
  },
  {metric: 'scale/statuses', title: () => '… until every object has its status, s', limit: below(60)},
  {metric: 'scale/cpu', title: () => '… CPU of the operator until then, s'},
  {metric: 'scale/late', title: () => 'objects written in the 15 s after that'},
  {metric: 'scale/lateEvents', title: () => 'Events written in the 15 s after that'},
  {
    metric: 'scale/changed',
    title: ({quietSeconds}) => `objects and Events written in ${quietSeconds} s in which nothing changes`,
    limit: none,
  },
  {metric: 'scale/reconciles', title: () => '… reconciles meanwhile'},
  {metric: 'scale/quietCpu', title: () => '… CPU of the operator meanwhile, s'},
  {metric: 'scale/peak', title: () => "the operator's memory: highest, MB", limit: below(200)},
  {metric: 'scale/settled', title: () => '… at the end, MB'},
  {
    metric: 'hand-over/published',
    title: () => 'leader killed, until another has published a change made after that, s',
    limit: below(20),
  },
  {metric: 'hand-over/changes', title: () => '… changes made meanwhile'},
  {metric: 'hand-over/lost', title: () => '… routes not published as they were changed last', limit: none},
  {metric: 'hand-over/backwards', title: () => '… configs in which a route went back', limit: none},
  {metric: 'hand-over/twice', title: () => '… writes that changed nothing', limit: none},
  {metric: 'cluster/ready', title: () => 'first route in an empty namespace, until it is Ready, s', limit: below(15)},
  {
    metric: 'cluster/lastCall',
    title: () => 'pod of a backend deleted: the last new call to it comes later by, ms',
    limit: below(1_000, '< 1,000'),
  },
  {metric: 'cluster/slice', title: () => '… of it until its EndpointSlice says that it goes, ms'},
  {metric: 'cluster/calls', title: () => '… calls meanwhile'},
  {metric: 'cluster/failed', title: () => '… calls that failed', limit: none},
];

export type Result = {
  title: string;
  measured: Spread;
  limit: string;
  /** Each round has to hold it; '' if there is no limit. */
  verdict: 'met' | 'not met' | '';
};

const verdictOf = (limit: Limit | undefined, {min, max}: Spread): Result['verdict'] => {
  if (limit === undefined) return '';
  return limit.holds(min) && limit.holds(max) ? 'met' : 'not met';
};

/** Of what has been measured. */
export const resultsOf = (outcomes: Readonly<Record<string, Outcome>>, sizes: Sizes): Result[] =>
  rows.flatMap(({metric, title, limit}) => {
    const [measurement = '', name = ''] = metric.split('/');
    const measured = spreadOf(outcomes[measurement]?.metrics[name] ?? []);
    if (measured === undefined) return [];
    return [{title: title(sizes), measured, limit: limit?.text ?? '', verdict: verdictOf(limit, measured)}];
  });
