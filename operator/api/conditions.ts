/** The conditions that each resource always carries, and every reason that may stand in one: the words users and alerts match on. */

/** Types of conditions, in the order in which they become true. */
export const conditionTypes = ['Accepted', 'ResolvedRefs', 'Programmed', 'Ready'] as const;

export type ConditionType = (typeof conditionTypes)[number];

/** Accepted=True: the object is valid, and its gateway takes it. */
export const accepted = 'Accepted';
/** Accepted=False: the object breaks a rule that its schema cannot hold; the message says which. */
export const invalid = 'Invalid';
/** Accepted=False: a field or value is part of the schema, but this version does not act on it. */
export const unsupportedValue = 'UnsupportedValue';
/** Accepted=False: an older route on the same gateway claims one of the names; the message names it. */
export const modelNameConflict = 'ModelNameConflict';
/** Accepted=False: the ModelGateway that gatewayRef names does not exist. */
export const gatewayNotFound = 'GatewayNotFound';
/** Accepted=False: the gateway's allowedRoutes do not admit this route's namespace or names. */
export const notAllowedByGateway = 'NotAllowedByGateway';
/** Accepted=False: an object that the gateway would have to make exists and belongs to somebody else. */
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
/** ResolvedRefs=False: a reference points to where this object may not look. */
export const refNotPermitted = 'RefNotPermitted';

/** Programmed=True: every ready proxy has loaded the config that holds this object. */
export const programmed = 'Programmed';
/** Programmed=False: a proxy refused the config; the old one goes on. */
export const configRejected = 'ConfigRejected';
/** Any type, Unknown or False: not found out, or not done yet. */
export const pending = 'Pending';

/** Ready=True: calls are answered. */
export const ready = 'Ready';
/** Ready=False: no backend of the route has a ready endpoint. */
export const noReadyEndpoints = 'NoReadyEndpoints';
/** Ready=False: no proxy of the gateway is ready. */
export const noReadyProxies = 'NoReadyProxies';
/** Ready=False: another condition of the object is False; it says why. */
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
  pending,
  ready,
  noReadyEndpoints,
  noReadyProxies,
  notAccepted,
] as const;

export type Reason = (typeof reasons)[number];
