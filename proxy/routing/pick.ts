/** Which endpoint takes a request: the first rung that can, and in it the one that the strategy chooses. */
import type {Candidate, Choice, Strategist} from './strategies.ts';

/** What picking has to know of one endpoint at this moment. */
export type EndpointView = {
  readonly id: string;
  readonly inFlight: number;
  readonly latencyMs: number;
  isEjected(now: number): boolean;
  /** A Retry-After holds it until then. */
  readonly heldUntil: number;
};

export type BackendView<Endpoint extends EndpointView> = {
  readonly weight: number;
  readonly endpoints: readonly Endpoint[];
  /** At its `maxConcurrentRequests`. */
  isFull(): boolean;
  /** Its breaker lets a request through. */
  admits(now: number): boolean;
};

export type RungView<Backend> = {readonly backends: readonly Backend[]; readonly choose: Strategist};

export type PickOptions<Backend, Endpoint> = {
  now: number;
  /** Backends that this request may not use: already found wanting, too small, or not speaking its API. */
  excludesBackend: (backend: Backend) => boolean;
  excludesEndpoint: (endpoint: Endpoint) => boolean;
  /** Open breakers and ejections do not count: `whenAllOpen: TryAll`. */
  ignoreBreakers: boolean;
  choice: Choice;
};

/** Why what is there cannot be used. */
export type Unavailable = 'Open' | 'Held' | 'Full';

export type Pick<Backend, Endpoint> = {backend: Backend; endpoint: Endpoint};

type Slot<Backend, Endpoint> = Candidate & Pick<Backend, Endpoint>;

type Survey<Backend, Endpoint> = {slots: Slot<Backend, Endpoint>[]; reasons: Set<Unavailable>; heldUntil: number};

/** The reason why an endpoint cannot be used now. */
function unusable<E extends EndpointView, B>(
  endpoint: E,
  {now, ignoreBreakers}: PickOptions<B, E>,
): Unavailable | undefined {
  if (endpoint.heldUntil > now) return 'Held';
  return !ignoreBreakers && endpoint.isEjected(now) ? 'Open' : undefined;
}

function surveyBackend<E extends EndpointView, B extends BackendView<E>>(
  backend: B,
  options: PickOptions<B, E>,
  survey: Survey<B, E>,
): void {
  const offered = backend.endpoints.filter((endpoint) => !options.excludesEndpoint(endpoint));
  if (offered.length === 0) return;
  if (backend.isFull()) return void survey.reasons.add('Full');
  if (!options.ignoreBreakers && !backend.admits(options.now)) return void survey.reasons.add('Open');
  const usable: E[] = [];
  for (const endpoint of offered) {
    const reason = unusable(endpoint, options);
    if (reason === undefined) usable.push(endpoint);
    else survey.reasons.add(reason);
    if (reason === 'Held') survey.heldUntil = Math.min(survey.heldUntil, endpoint.heldUntil);
  }
  for (const endpoint of usable) {
    const {id, inFlight, latencyMs} = endpoint;
    survey.slots.push({id, inFlight, latencyMs, weight: backend.weight / usable.length, backend, endpoint});
  }
}

export type RungPick<B, E> =
  {picked: Pick<B, E>} | {picked: undefined; reasons: ReadonlySet<Unavailable>; heldUntil: number};

/** One endpoint of one rung. `heldUntil`: when the first Retry-After there has passed; Infinity if none holds. */
export function pickFromRung<E extends EndpointView, B extends BackendView<E>>(
  rung: RungView<B>,
  options: PickOptions<B, E>,
): RungPick<B, E> {
  const survey: Survey<B, E> = {slots: [], reasons: new Set(), heldUntil: Infinity};
  for (const backend of rung.backends) {
    if (backend.weight > 0 && !options.excludesBackend(backend)) surveyBackend(backend, options, survey);
  }
  if (survey.slots.length === 0) return {picked: undefined, reasons: survey.reasons, heldUntil: survey.heldUntil};
  const {backend, endpoint} = rung.choose(survey.slots, options.choice);
  return {picked: {backend, endpoint}};
}

/** Backends by `priority`, lowest first. */
export function toRungs<B extends {priority: number}>(backends: readonly B[]): B[][] {
  const rungs = new Map<number, B[]>();
  for (const backend of backends) rungs.set(backend.priority, [...(rungs.get(backend.priority) ?? []), backend]);
  return [...rungs].sort(([a], [b]) => a - b).map(([, rung]) => rung);
}
