/** The conditions that each resource always carries, and every reason that may stand in one: the words users and alerts match on. */

/** Types of conditions, in the order in which they become true. */
export const conditionTypes = ['Accepted', 'ResolvedRefs', 'Programmed', 'Ready'] as const;

export type ConditionType = (typeof conditionTypes)[number];

/** Accepted=True: the object is valid, and its gateway takes it. */
export const accepted = 'Accepted';
/** ResolvedRefs=False: what a backend refers to is there, but cannot be used, such as bytes that are no credential; the message says why. */
export const invalid = 'Invalid';
/**
 * Accepted=False: a field or value is part of the schema, but this version does not act on it. On a gateway everything else is
 * in effect; on a backend of a route it is ResolvedRefs=False, and the other backends serve.
 */
export const unsupportedValue = 'UnsupportedValue';
/** Accepted=False: an older route on the same gateway claims one of the names; the message names it. */
export const modelNameConflict = 'ModelNameConflict';
/** Accepted=False: the ModelGateway that gatewayRef names, or the default one, does not exist. */
export const gatewayNotFound = 'GatewayNotFound';
/** Accepted=False: the gateway's allowedRoutes do not admit this route's namespace or names. */
export const notAllowedByGateway = 'NotAllowedByGateway';
/**
 * Accepted=False: an object that the gateway would have to make exists and belongs to somebody else. Programmed=False and Ready=False: the
 * same in the namespace of a route's Services, where the gateway's proxies would have to look.
 */
export const nameInUse = 'NameInUse';

/** ResolvedRefs=True: everything that the object refers to was found. */
export const resolvedRefs = 'ResolvedRefs';
/** ResolvedRefs=False: a Secret that a backend names does not exist. */
export const secretNotFound = 'SecretNotFound';
/** ResolvedRefs=False: a Secret exists, but lacks the key that a backend names, or holds nothing there. */
export const secretKeyNotFound = 'SecretKeyNotFound';
/** ResolvedRefs=False: a Service that a backend names does not exist. */
export const backendNotFound = 'BackendNotFound';
/** ResolvedRefs=False: a Service exists, but has no port of that number. */
export const portNotFound = 'PortNotFound';
/** Accepted=False: gatewayRef points into a namespace that the operator does not watch. */
export const refNotPermitted = 'RefNotPermitted';

/** Programmed=True: every ready proxy serves this object as it is wanted. */
export const programmed = 'Programmed';
/** Programmed=False, and Ready=False for a route: a proxy refused the config; the old one goes on. */
export const configRejected = 'ConfigRejected';
/** Programmed=False: the config or the credentials are larger than an object of Kubernetes may be; the old ones go on. */
export const configTooLarge = 'ConfigTooLarge';
/** Programmed=False: the API server refused to let the operator make or change an object; the message names verb and resource. */
export const applyFailed = 'ApplyFailed';
/** Programmed=Unknown and Ready=Unknown: not loaded everywhere yet, or not known to be. */
export const pending = 'Pending';

/** Ready=True: calls are answered. */
export const ready = 'Ready';
/** Ready=False: no backend of the route has a ready endpoint. */
export const noReadyEndpoints = 'NoReadyEndpoints';
/** Ready=False: no proxy of the gateway is ready. */
export const noReadyProxies = 'NoReadyProxies';
/** Programmed=False and Ready=False: the object is not accepted, and the condition Accepted says why. */
export const notAccepted = 'NotAccepted';

export const reasons = [
  accepted,
  invalid,
  unsupportedValue,
  modelNameConflict,
  gatewayNotFound,
  notAllowedByGateway,
  nameInUse,
  resolvedRefs,
  secretNotFound,
  secretKeyNotFound,
  backendNotFound,
  portNotFound,
  refNotPermitted,
  programmed,
  configRejected,
  configTooLarge,
  applyFailed,
  pending,
  ready,
  noReadyEndpoints,
  noReadyProxies,
  notAccepted,
] as const;

export type Reason = (typeof reasons)[number];
