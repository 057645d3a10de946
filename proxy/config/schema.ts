/**
 * THE CONTRACT: the one document that the operator's plan writes and a proxy serves from. Knows no Kubernetes: names of objects
 * appear only so that answers, logs and metrics can name them. Every value is final: defaults are merged, durations are
 * milliseconds, sizes are bytes. Unknown fields are dropped, so that operator and proxies one release apart work together.
 */
import {z} from 'zod';

const milliseconds = z.int().min(0);
const count = z.int().min(0);
const percent = z.int().min(0).max(100);

export const formatVersion = 1;

/** In bytes of JSON, before it is compressed: no more than a small pod has memory for. */
export const longestConfigText = 32 * 1_048_576;

/** Kinds of failed attempts after which another try may be made. */
export const retryReasons = [
  'ConnectFailure',
  'Reset',
  'ServerError',
  'RateLimited',
  'Timeout',
  'MalformedReply',
] as const;

const timeouts = z.object({
  connectMs: milliseconds,
  firstTokenMs: milliseconds,
  tokenIdleMs: milliseconds,
  /** One try, streamed or not. Unset: a try that is not streamed gets the remaining time / (untried rungs + 1). */
  attemptMs: milliseconds.optional(),
});

/** Names one version of one credential. The value travels apart, see {@link Credentials}. */
const credential = z.object({
  namespace: z.string(),
  name: z.string(),
  key: z.string(),
  uid: z.string(),
  resourceVersion: z.string(),
});

const target = z.discriminatedUnion('type', [
  /** `url` stands where the caller's `/v1` stands; no trailing slash. */
  z.object({type: z.literal('Url'), url: z.string()}),
  /** Endpoints come from the EndpointSlices of the Service, those of the port named `portName` ('' if it has no name). */
  z.object({
    type: z.literal('Service'),
    namespace: z.string(),
    name: z.string(),
    portName: z.string(),
    path: z.string(),
    /** The Service's first family: only slices of this one count. Unset: the family of the first slice. */
    ipFamily: z.enum(['IPv4', 'IPv6']).optional(),
  }),
]);

/** Certificates and keys in PEM; `cert` and `key` go together. */
const tls = z.object({
  /** Asked for, and expected in the certificate: a name or an address. */
  serverName: z.string(),
  /** To trust instead of what the system trusts. */
  ca: credential.optional(),
  cert: credential.optional(),
  key: credential.optional(),
});

const backend = z.object({
  name: z.string(),
  target,
  /** The name sent upstream; unset: what the caller sent. */
  model: z.string().optional(),
  api: z.enum(['OpenAI', 'Anthropic']),
  priority: count,
  weight: count,
  /** Tokens. */
  contextWindow: count.optional(),
  maxConcurrentRequests: count.optional(),
  auth: z.object({headerName: z.string(), prefix: z.string(), credential}).optional(),
  /** A Service is spoken to in TLS if and only if this is set; a URL says by itself. */
  tls: tls.optional(),
  timeouts,
});

const circuitBreaker = z.object({
  failurePercent: percent,
  minRequests: count,
  consecutiveFailures: count,
  windowMs: milliseconds,
  openDurationMs: milliseconds,
  maxOpenDurationMs: milliseconds,
  maxEjectionPercent: percent,
  whenAllOpen: z.enum(['TryAll', 'FailFast']),
});

const retry = z.object({
  maxAttempts: count,
  maxWaitMs: milliseconds,
  retryOn: z.array(z.enum(retryReasons)),
  budgetPercent: percent,
});

const loadBalancing = z.object({
  strategy: z.enum(['LeastRequest', 'RoundRobin', 'PeakEWMA', 'PrefixHash']),
  /** `SameZone`: endpoints meant for the proxy's own zone, where there are any. An operator of the release before does not say it. */
  zonePreference: z.enum(['None', 'SameZone']).default('None'),
});

const route = z.object({
  name: z.string(),
  namespace: z.string(),
  generation: count,
  /** Exact, or one `*` at the start or the end. */
  modelNames: z.array(z.string()),
  backends: z.array(backend),
  /** One deadline for everything: waits, retries and the running stream included. */
  requestMs: milliseconds,
  retry,
  circuitBreaker,
  loadBalancing,
  stream: z.object({keepAliveMs: milliseconds}),
});

const limits = z.object({
  maxBodyBytes: count,
  maxHeaderBytes: count,
  /** Request bodies and unfinished answers in memory, over all requests. */
  maxBufferedBytes: count,
  maxConnections: count.optional(),
  drainPeriodMs: milliseconds,
});

const versionFault = (input: unknown): string => {
  if (input === undefined) return 'there is no formatVersion';
  return typeof input === 'number' ? `formatVersion ${input} is not known here` : 'formatVersion is not a number';
};

const ofAnotherFormat = (input: unknown): string =>
  `${versionFault(input)}: this proxy reads formatVersion ${formatVersion}, so run an operator and proxies of one release`;

export const gatewayConfigSchema = z.object({
  formatVersion: z.literal(formatVersion, {error: ({input}) => ofAnotherFormat(input)}),
  gateway: z.object({name: z.string(), namespace: z.string(), generation: count}),
  limits,
  logging: z.object({level: z.enum(['error', 'warn', 'info', 'debug'])}),
  routes: z.array(route),
});

export type GatewayConfig = z.infer<typeof gatewayConfigSchema>;
export type RouteConfig = z.infer<typeof route>;
export type BackendConfig = z.infer<typeof backend>;
export type BackendTarget = z.infer<typeof target>;
export type BackendTimeouts = z.infer<typeof timeouts>;
export type CircuitBreakerConfig = z.infer<typeof circuitBreaker>;
export type RetryConfig = z.infer<typeof retry>;
export type LimitsConfig = z.infer<typeof limits>;
export type CredentialName = z.infer<typeof credential>;
export type TlsConfig = z.infer<typeof tls>;
export type RetryReason = (typeof retryReasons)[number];
export type Strategy = RouteConfig['loadBalancing']['strategy'];
export type ZonePreference = RouteConfig['loadBalancing']['zonePreference'];

/** Values of credentials by {@link credentialKey}. Never logged, never part of the config. */
export type Credentials = ReadonlyMap<string, string>;

/** Values of {@link TlsConfig}. */
export type TlsMaterial = {ca?: string; cert?: string; key?: string};

/** What answers, logs and metrics call a route. */
export const routeName = ({namespace, name}: Pick<RouteConfig, 'namespace' | 'name'>): string => `${namespace}/${name}`;

/** One string for one version of one credential: a changed Secret is another credential. */
export const credentialKey = (name: CredentialName): string =>
  [name.namespace, name.name, name.uid, name.resourceVersion, name.key].join('/');
