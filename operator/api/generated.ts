/**
 * Types of the resources, generated from crds/ by operator/api/generate.ts: do not edit.
 */
import type {ObjectMeta} from './resources.ts';

export type Resource = ModelRoute | ModelGateway;

/**
 * A model name that callers use, the backends that can answer, their order, and the policy.
 */
export interface ModelRoute {
  apiVersion: 'modelroute.dev/v1alpha1';
  kind: 'ModelRoute';
  metadata: ObjectMeta;
  spec: ModelRouteSpec;
  status?: ModelRouteStatus;
}
/**
 * What is wanted.
 */
export interface ModelRouteSpec {
  gatewayRef?: GatewayRef;
  /**
   * The names that callers send as `model`. An exact name goes before a pattern, a longer pattern before a shorter one. The name of the route unless set.
   *
   * Items: An exact name, or a pattern with one * at its start or its end.
   */
  modelNames?: string[];
  /**
   * The places that can answer, 1 to 64. Their order in this list means nothing: see priority and weight.
   */
  backends: Backend[];
  timeouts?: Timeouts;
  retry?: Retry;
  circuitBreaker?: CircuitBreaker;
  loadBalancing?: LoadBalancing;
  stream?: Stream;
}
/**
 * The gateway that serves this route. Unless set, the operator's default gateway if it has one, else the gateway `models` in the namespace of the route; that one is made if it does not exist.
 */
export interface GatewayRef {
  /**
   * Name of the ModelGateway.
   */
  name: string;
  /**
   * Namespace of the ModelGateway, which has to allow this route in its allowedRoutes. The namespace of the route unless set.
   */
  namespace?: string;
}
/**
 * One place that can answer. Exactly one of serviceRef and url says where it is.
 */
export interface Backend {
  /**
   * Name of the backend, unique in the route; it is shown in the x-modelroute-backend header, logs and metrics.
   */
  name: string;
  serviceRef?: ServiceRef;
  /**
   * Base URL of a place outside the cluster; it stands where the caller's /v1 stands: with https://example.com/openai/v1, /v1/chat/completions becomes https://example.com/openai/v1/chat/completions.
   */
  url?: string;
  /**
   * The name that this backend knows the model by. What the caller sent unless set.
   */
  model?: string;
  /**
   * The API that this backend speaks. A server that speaks both is listed twice. OpenAI unless set.
   */
  api?: 'OpenAI' | 'Anthropic';
  /**
   * The rung: backends of the lowest number are used first, those of the next when all before are open, full or without ready endpoints. 0 unless set.
   */
  priority?: number;
  /**
   * Share of this backend inside its rung, split over its ready endpoints. 0 keeps it out of use. 1 unless set.
   */
  weight?: number;
  /**
   * Tokens that this backend takes, prompt and answer together. A request that an earlier rung refused as too long is tried on a later rung that declares a larger window.
   */
  contextWindow?: number;
  /**
   * How this backend takes up an answer that another left unfinished, when the route says onCut Continue: Regenerate asks again and drops what was already sent, Prefill sends the beginning along. Regenerate unless set.
   */
  continueBy?: 'Regenerate' | 'Prefill';
  /**
   * Requests at a time, per proxy, past which this backend is full and the next rung is used at once. No limit unless set.
   */
  maxConcurrentRequests?: number;
  auth?: Auth;
  tls?: BackendTls;
  timeouts?: BackendTimeouts;
}
/**
 * A Service in the namespace of the route. Its pods are balanced one by one, not through the address of the Service.
 */
export interface ServiceRef {
  /**
   * Name of the Service.
   */
  name: string;
  /**
   * A port of the Service, not of its pods.
   */
  port: number;
  /**
   * What stands where the caller's /v1 stands. /v1 unless set.
   */
  path?: string;
}
/**
 * The credential that this backend is called with. The caller's own credentials never reach a backend.
 */
export interface Auth {
  /**
   * Bearer sends `Authorization: Bearer <value>`, Header sends the value alone in the header headerName. Unless set it follows from api: Bearer for OpenAI, Header with x-api-key for Anthropic.
   */
  type?: 'Bearer' | 'Header';
  /**
   * The header that carries the value, such as api-key. Goes with type Header only.
   */
  headerName?: string;
  /**
   * Where the credential is.
   */
  secretRef: {
    /**
     * Name of the Secret, in the namespace of the route.
     */
    name: string;
    /**
     * The key within the Secret. apiKey unless set.
     */
    key?: string;
  };
}
/**
 * TLS to this backend. With serviceRef, TLS is spoken if and only if this is present, be it empty; an https:// url always speaks it.
 */
export interface BackendTls {
  /**
   * Certificates to trust instead of the system's.
   */
  caRef?: {
    /**
     * Name of the Secret, in the namespace of the route.
     */
    name: string;
    /**
     * The key within the Secret that holds PEM certificates. ca.crt unless set.
     */
    key?: string;
  };
  /**
   * Name to ask for (SNI) and to expect in the certificate. The host of the url, or name.namespace.svc of the Service, unless set.
   */
  serverName?: string;
  /**
   * The certificate to show, from a Secret of type kubernetes.io/tls (keys tls.crt and tls.key).
   */
  clientCertRef?: {
    /**
     * Name of the Secret, in the namespace of the route.
     */
    name: string;
  };
}
/**
 * Overrides timeouts of the route for this backend. The deadline `request` is the whole request's and stands on the route alone.
 */
export interface BackendTimeouts {
  /**
   * Time to connect, TLS included, before the try counts as ConnectFailure. 2s unless set.
   */
  connect?: string;
  /**
   * Time from sending the request to the first content of a streamed answer: text, reasoning, a tool call. Headers, pings and chunks that carry only a role do not count; a tool's progress starts it anew. Of speech the first byte, of a realtime session the answer to its handshake; forms have none unless they ask for events, and calls that are not known here have none. 60s unless set.
   */
  firstToken?: string;
  /**
   * Longest pause between two pieces of progress of a streamed answer, after which it counts as cut. Pings do not count. Of answers in bytes, between two bytes. 30s unless set.
   */
  tokenIdle?: string;
  /**
   * Bounds one try, streamed or not. Unset, a try whose answer comes whole in JSON gets the time that is left divided by the rungs not yet tried plus one; speech, forms, calls that are not known here and streams are bounded by the others alone.
   */
  attempt?: string;
}
/**
 * How long to wait for what. Durations are such as 500ms, 30s or 1m30s.
 */
export interface Timeouts {
  /**
   * Time to connect, TLS included, before the try counts as ConnectFailure. 2s unless set.
   */
  connect?: string;
  /**
   * Time from sending the request to the first content of a streamed answer: text, reasoning, a tool call. Headers, pings and chunks that carry only a role do not count; a tool's progress starts it anew. Of speech the first byte, of a realtime session the answer to its handshake; forms have none unless they ask for events, and calls that are not known here have none. 60s unless set.
   */
  firstToken?: string;
  /**
   * Longest pause between two pieces of progress of a streamed answer, after which it counts as cut. Pings do not count. Of answers in bytes, between two bytes. 30s unless set.
   */
  tokenIdle?: string;
  /**
   * Bounds one try, streamed or not. Unset, a try whose answer comes whole in JSON gets the time that is left divided by the rungs not yet tried plus one; speech, forms, calls that are not known here and streams are bounded by the others alone.
   */
  attempt?: string;
  /**
   * One deadline for everything: waits, retries and the running stream included; of an open realtime session, how long nothing may be said. 10m unless set.
   */
  request?: string;
}
/**
 * When and how often a failed try is followed by another. Going on to a rung not yet tried is always allowed once.
 */
export interface Retry {
  /**
   * Tries in all, the first included. 3 unless set.
   */
  maxAttempts?: number;
  /**
   * Longest Retry-After or back-off that is waited for before the same endpoint is asked again; if the wait were longer, the next rung is used at once. 2s unless set.
   */
  maxWait?: string;
  /**
   * Failures after which another try may be made. All of them unless set; an empty list turns retries on the same rung off.
   *
   * Items: A kind of failure.
   */
  retryOn?: ('ConnectFailure' | 'Reset' | 'ServerError' | 'RateLimited' | 'Timeout' | 'MalformedReply')[];
  /**
   * Retries on the same rung, per route and proxy, may be at most this share of the requests of the last 10 seconds, but never fewer than 10. 20 unless set.
   */
  budgetPercent?: number;
}
/**
 * When a backend, or one endpoint of it, is left alone for a while. Only failures that are the backend's own count.
 */
export interface CircuitBreaker {
  /**
   * Share of failed tries within `window` that opens the breaker. 50 unless set.
   */
  failurePercent?: number;
  /**
   * Tries within `window` below which failurePercent is not looked at. 20 unless set.
   */
  minRequests?: number;
  /**
   * Failures in a row that open the breaker, however many tries there were. 5 unless set.
   */
  consecutiveFailures?: number;
  /**
   * The time over which failurePercent is taken. 30s unless set.
   */
  window?: string;
  /**
   * How long the breaker stays open before a probe is let through; doubles with each failed probe. 5s unless set.
   */
  openDuration?: string;
  /**
   * The longest that openDuration may grow to. 20s unless set.
   */
  maxOpenDuration?: string;
  /**
   * At most this share of a backend's endpoints, rounded down, is ejected at a time. 50 unless set.
   */
  maxEjectionPercent?: number;
  /**
   * What to do when every breaker of the route is open: TryAll ignores them and tries each rung once, FailFast answers with an error at once. TryAll unless set.
   */
  whenAllOpen?: 'TryAll' | 'FailFast';
}
/**
 * How an endpoint is picked among those of a rung.
 */
export interface LoadBalancing {
  /**
   * LeastRequest takes the less busy of two picked at random, RoundRobin takes turns, PeakEWMA prefers the quicker, PrefixHash sends prompts with the same beginning to the same endpoint so that its prefix cache is used. LeastRequest unless set.
   */
  strategy?: 'LeastRequest' | 'RoundRobin' | 'PeakEWMA' | 'PrefixHash';
  /**
   * SameZone prefers ready endpoints in the proxy's own zone, None treats all zones alike. None unless set.
   */
  zonePreference?: 'None' | 'SameZone';
}
/**
 * How streamed answers are kept alive and what happens when one is cut.
 */
export interface Stream {
  /**
   * What a caller gets when an answer breaks off after content has gone out: Error ends the stream with an error event, Continue takes the rest from the next backend where that is safe. Error unless set.
   */
  onCut?: 'Error' | 'Continue';
  /**
   * How long a streaming caller waits without content before it gets a keep-alive, and again after each such pause. 15s unless set.
   */
  keepAlive?: string;
}
/**
 * What was found; written by the operator.
 */
export interface ModelRouteStatus {
  /**
   * The metadata.generation that this status is about.
   */
  observedGeneration?: number;
  /**
   * The base URL that callers use.
   */
  url?: string;
  /**
   * The names that callers send, separated by commas; of many the first ones.
   */
  models?: string;
  /**
   * Endpoints of all backends that take requests, of all that are known, such as 2/3.
   */
  endpoints?: string;
  /**
   * What was found behind each backend.
   */
  backends?: BackendStatus[];
  /**
   * Accepted, ResolvedRefs, Programmed and Ready; all four are always present.
   */
  conditions?: Condition[];
}
/**
 * One backend.
 */
export interface BackendStatus {
  /**
   * Name of the backend.
   */
  name: string;
  /**
   * Endpoints known; a url is one.
   */
  endpoints?: number;
  /**
   * Endpoints that take requests. None while resolved is false.
   */
  readyEndpoints?: number;
  /**
   * Whether everything that the backend refers to was found.
   */
  resolved?: boolean;
}
/**
 * One aspect of the state.
 */
export interface Condition {
  /**
   * Accepted, ResolvedRefs, Programmed or Ready.
   */
  type: string;
  /**
   * Whether it holds.
   */
  status: 'True' | 'False' | 'Unknown';
  /**
   * The metadata.generation that this was found out about.
   */
  observedGeneration?: number;
  /**
   * When status last changed.
   */
  lastTransitionTime: string;
  /**
   * Why, as one CamelCase word for programs.
   */
  reason: string;
  /**
   * Why, in words for people.
   */
  message: string;
}
/**
 * One fleet of proxies that serves ModelRoutes.
 */
export interface ModelGateway {
  apiVersion: 'modelroute.dev/v1alpha1';
  kind: 'ModelGateway';
  metadata: ObjectMeta;
  spec: ModelGatewaySpec;
  status?: ModelGatewayStatus;
}
/**
 * What is wanted.
 */
export interface ModelGatewaySpec {
  /**
   * Size of the fleet; ignored while autoscaling is set. 2 unless set.
   */
  replicas?: number;
  autoscaling?: Autoscaling;
  allowedRoutes?: AllowedRoutes;
  allowedCallers?: AllowedCallers;
  defaults?: RouteDefaults;
  service?: GatewayService;
  limits?: Limits;
  logging?: Logging;
  tracing?: Tracing;
  pod?: GatewayPod;
}
/**
 * Lets a HorizontalPodAutoscaler choose the size of the fleet.
 */
export interface Autoscaling {
  /**
   * The fewest replicas. 2 unless set, or maxReplicas if that is smaller.
   */
  minReplicas?: number;
  /**
   * The most replicas.
   */
  maxReplicas: number;
  /**
   * Average use of the requested CPU to aim for. 80 unless set.
   */
  targetCPUPercent?: number;
}
/**
 * Which ModelRoutes may attach, and with which names.
 */
export interface AllowedRoutes {
  namespaces?: NamespacesFrom;
  /**
   * Names that attached routes may claim. Any unless set.
   *
   * Items: An exact name, or a pattern with one * at its start or its end.
   */
  modelNames?: string[];
}
/**
 * From which namespaces.
 */
export interface NamespacesFrom {
  /**
   * Same is the namespace of the gateway, All is every one, Selector those that selector matches. Same unless set.
   */
  from?: 'Same' | 'All' | 'Selector';
  selector?: LabelSelector;
}
/**
 * Labels of namespaces. Goes with from Selector only.
 */
export interface LabelSelector {
  /**
   * Labels that all have to be there with these values.
   */
  matchLabels?: {
    [k: string]: string;
  };
  /**
   * Requirements that all have to hold.
   */
  matchExpressions?: LabelSelectorRequirement[];
}
/**
 * One requirement.
 */
export interface LabelSelectorRequirement {
  /**
   * The label.
   */
  key: string;
  /**
   * How values are compared.
   */
  operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  /**
   * The values for In and NotIn.
   *
   * Items: A value.
   */
  values?: string[];
}
/**
 * Which pods may call, held by a NetworkPolicy: whoever reaches a gateway spends its credentials.
 */
export interface AllowedCallers {
  namespaces?: NamespacesFrom;
}
/**
 * What a route that is silent gets.
 */
export interface RouteDefaults {
  timeouts?: Timeouts;
  retry?: Retry;
  circuitBreaker?: CircuitBreaker;
  loadBalancing?: LoadBalancing;
  stream?: Stream;
}
/**
 * How callers reach the fleet.
 */
export interface GatewayService {
  /**
   * Type of the Service. ClusterIP unless set.
   */
  type?: 'ClusterIP' | 'NodePort' | 'LoadBalancer';
  /**
   * Port of the Service. 80 unless set.
   */
  port?: number;
  /**
   * Annotations of the Service, for example for a cloud's load balancer.
   */
  annotations?: {
    [k: string]: string;
  };
  /**
   * Which of the fleet's pods callers prefer. All alike unless set.
   */
  trafficDistribution?: 'PreferClose' | 'PreferSameZone' | 'PreferSameNode';
}
/**
 * Bounds of one proxy. Sizes are such as 16Ki, 32Mi or 1Gi, or a number of bytes as a string.
 */
export interface Limits {
  /**
   * The largest request body, past which callers get 413, and the largest WebSocket message. 32Mi unless set.
   */
  maxBodyBytes?: string;
  /**
   * The largest request header. 16Ki unless set.
   */
  maxHeaderBytes?: string;
  /**
   * Memory for request bodies and unfinished answers over all requests; past it callers get 503. 128Mi unless set.
   */
  maxBufferedBytes?: string;
  /**
   * Connections of callers at a time. No limit unless set.
   */
  maxConnections?: number;
  /**
   * How long a proxy that stops lets running answers and WebSockets finish. 10m unless set.
   */
  drainPeriod?: string;
}
/**
 * What the proxies log.
 */
export interface Logging {
  /**
   * The least level that is logged. Info unless set.
   */
  level?: 'Error' | 'Warn' | 'Info' | 'Debug';
  /**
   * Whether prompts and answers are logged; they may hold personal data. false unless set.
   */
  prompts?: boolean;
}
/**
 * Where OpenTelemetry traces go.
 */
export interface Tracing {
  /**
   * Share of requests that are traced unless the caller's traceparent decides. 1 unless set.
   */
  samplePercent?: number;
  /**
   * Base URL of an OTLP/HTTP receiver, such as http://collector.tracing.svc:4318. No traces are sent unless set.
   */
  endpoint?: string;
}
/**
 * What the proxies' pods look like.
 */
export interface GatewayPod {
  /**
   * Image of the proxy. The operator's own version unless set.
   */
  image?: string;
  /**
   * Compute resources. 250m CPU and 256Mi memory are requested unless set.
   */
  resources?: {
    /**
     * What is reserved, such as cpu: 250m.
     */
    requests?: {
      /**
       * An amount, such as 250m, 2 or 512Mi.
       */
      [k: string]: number | string;
    };
    /**
     * What may be used at most, such as memory: 1Gi.
     */
    limits?: {
      /**
       * An amount, such as 250m, 2 or 512Mi.
       */
      [k: string]: number | string;
    };
  };
  /**
   * Labels to add to the pods; the operator's own win.
   */
  labels?: {
    [k: string]: string;
  };
  /**
   * Annotations to add to the pods; the operator's own win.
   */
  annotations?: {
    [k: string]: string;
  };
  /**
   * Labels that a node needs to have.
   */
  nodeSelector?: {
    [k: string]: string;
  };
  /**
   * Taints of nodes that the pods tolerate.
   */
  tolerations?: Toleration[];
  /**
   * What the pods are spread over, as far as possible. Zone unless set.
   */
  topologySpread?: 'Zone' | 'Node' | 'None';
  /**
   * The PriorityClass of the pods.
   */
  priorityClassName?: string;
  /**
   * Secrets in the namespace of the gateway that hold credentials for the image's registry.
   *
   * Items: One Secret.
   */
  imagePullSecrets?: {
    /**
     * Name of the Secret.
     */
    name: string;
  }[];
}
/**
 * One toleration.
 */
export interface Toleration {
  /**
   * The taint's key; every one unless set, with operator Exists.
   */
  key?: string;
  /**
   * How value is compared. Equal unless set.
   */
  operator?: 'Equal' | 'Exists';
  /**
   * The taint's value, with operator Equal.
   */
  value?: string;
  /**
   * The taint's effect; every one unless set.
   */
  effect?: 'NoSchedule' | 'PreferNoSchedule' | 'NoExecute';
  /**
   * How long a NoExecute taint is tolerated; for ever unless set.
   */
  tolerationSeconds?: number;
}
/**
 * What was found; written by the operator.
 */
export interface ModelGatewayStatus {
  /**
   * The metadata.generation that this status is about.
   */
  observedGeneration?: number;
  /**
   * The base URL that callers use.
   */
  url?: string;
  /**
   * Proxies that exist.
   */
  replicas?: number;
  /**
   * Proxies that are ready.
   */
  readyReplicas?: number;
  /**
   * Labels of the proxies' pods, for the scale subresource.
   */
  selector?: string;
  /**
   * Hash of the newest config.
   */
  configHash?: string;
  /**
   * Proxies that serve the newest config.
   */
  loadedReplicas?: number;
  /**
   * Routes that are attached and accepted.
   */
  routes?: number;
  /**
   * Accepted, ResolvedRefs, Programmed and Ready; all four are always present.
   */
  conditions?: Condition[];
}
