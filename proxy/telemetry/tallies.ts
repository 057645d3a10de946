/**
 * What is counted of requests, in one tally of plain numbers for all that have the same labels. OpenTelemetry sorts and hashes the
 * labels at each add to one of its counters; so it has counters that look here when they are asked.
 */
import type {Attributes, Meter} from '@opentelemetry/api';

export type TallyLabels = {
  route: string;
  api: string;
  status: number;
  /** '' for none. */
  errorCode: string;
  /** '' for none. */
  backend: string;
  /** The tokens are our own estimate. */
  estimated: boolean;
};

export type Tally = {
  readonly labels: Readonly<TallyLabels>;
  requests: number;
  errors: number;
  attempts: number;
  promptTokens: number;
  completionTokens: number;
  malformedEvents: number;
};

type Sample = {count: number; labels: Attributes};

type Counter = {name: string; description: string; read: (tally: Tally) => Sample[]};

const counters: Counter[] = [
  {
    name: 'modelroute.requests',
    description: 'Requests that have ended, by status.',
    read: ({requests: count, labels: {route, api, status}}) => [{count, labels: {route, api, status}}],
  },
  {
    name: 'modelroute.errors',
    description: 'Requests without a whole answer, by error code; docs/errors.md has the codes.',
    read: ({errors: count, labels: {route, errorCode: code}}) => [{count, labels: {route, code}}],
  },
  {
    name: 'modelroute.attempts',
    description: 'Attempts at backends.',
    read: ({attempts: count, labels: {route}}) => [{count, labels: {route}}],
  },
  {
    name: 'modelroute.tokens',
    description: 'Tokens, as the backend reported them or as estimated.',
    read: ({promptTokens, completionTokens, labels: {route, backend, estimated}}) => [
      {count: promptTokens, labels: {route, backend, type: 'prompt', estimated}},
      {count: completionTokens, labels: {route, backend, type: 'completion', estimated}},
    ],
  },
  {
    name: 'modelroute.malformed_events',
    description: 'Stream events that were not JSON, kept from callers.',
    read: ({malformedEvents: count, labels: {route, backend}}) => [{count, labels: {route, backend}}],
  },
];

/** Of samples whose labels are the same, since a counter has but some of a tally's; nothing of what has never been counted. */
function sums(samples: readonly Sample[]): Sample[] {
  const byLabels = new Map<string, Sample>();
  for (const {count, labels} of samples) {
    if (count === 0) continue;
    const key = JSON.stringify(labels);
    byLabels.set(key, {count: count + (byLabels.get(key)?.count ?? 0), labels});
  }
  return [...byLabels.values()];
}

/** Returns the tally for these labels, to count on. */
export function createTallies(meter: Meter): (labels: TallyLabels) => Tally {
  const tallies = new Map<string, Tally>();
  for (const {name, description, read} of counters) {
    meter.createObservableCounter(name, {description}).addCallback((result) => {
      for (const {count, labels} of sums([...tallies.values()].flatMap(read))) result.observe(count, labels);
    });
  }
  return (labels) => {
    const {route, api, status, errorCode, backend, estimated} = labels;
    const key = `${route} ${api} ${status} ${errorCode} ${backend} ${estimated}`; // none of them holds a space
    const known = tallies.get(key);
    if (known !== undefined) return known;
    const tally = {
      labels,
      requests: 0,
      errors: 0,
      attempts: 0,
      promptTokens: 0,
      completionTokens: 0,
      malformedEvents: 0,
    };
    tallies.set(key, tally);
    return tally;
  };
}
