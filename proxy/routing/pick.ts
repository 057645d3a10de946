/** Which endpoint takes a request: the first rung that can, and in it the one that the strategy chooses. */
import {fadedLatency, type Candidate, type Choice, type Strategist} from './strategies.ts';

/** What picking has to know of one endpoint at this moment. */
export type EndpointView = {
  readonly id: string;
  readonly inFlight: number;
  readonly latencyMs: number;
  /** When the last sample came. */
  readonly latencyAt: number;
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

export type SurveyOptions<Backend, Endpoint> = {
  now: number;
  /** Backends that this request may not use: already found wanting, too small, or not speaking its API. */
  excludesBackend: (backend: Backend) => boolean;
  excludesEndpoint: (endpoint: Endpoint) => boolean;
  /** Open breakers and ejections do not count: `whenAllOpen: TryAll`. */
  ignoreBreakers: boolean;
};

/** Why what is there cannot be used. */
export type Unavailable = 'Open' | 'Held' | 'Full';

export type Pick<Backend, Endpoint> = {backend: Backend; endpoint: Endpoint};

type Slot<Backend, Endpoint> = Candidate & Pick<Backend, Endpoint>;

/** What a rung offers one request now. Looking changes nothing; only choosing may move a strategy on. */
export type Survey<Backend, Endpoint> = {
  slots: Slot<Backend, Endpoint>[];
  /** Each may stand there more than once. */
  reasons: Unavailable[];
  /** When the first Retry-After there has passed; Infinity if none holds. */
  heldUntil: number;
};

/** The reason why an endpoint cannot be used now. */
function unusable<E extends EndpointView, B>(
  endpoint: E,
  {now, ignoreBreakers}: SurveyOptions<B, E>,
): Unavailable | undefined {
  if (endpoint.heldUntil > now) return 'Held';
  return !ignoreBreakers && endpoint.isEjected(now) ? 'Open' : undefined;
}

function surveyBackend<E extends EndpointView, B extends BackendView<E>>(
  backend: B,
  options: SurveyOptions<B, E>,
  survey: Survey<B, E>,
): void {
  const offered = backend.endpoints.filter((endpoint) => !options.excludesEndpoint(endpoint));
  if (offered.length === 0) return;
  if (backend.isFull()) return void survey.reasons.push('Full');
  if (!options.ignoreBreakers && !backend.admits(options.now)) return void survey.reasons.push('Open');
  const usable: E[] = [];
  for (const endpoint of offered) {
    const reason = unusable(endpoint, options);
    if (reason === undefined) usable.push(endpoint);
    else survey.reasons.push(reason);
    if (reason === 'Held') survey.heldUntil = Math.min(survey.heldUntil, endpoint.heldUntil);
  }
  for (const endpoint of usable) {
    const {id, inFlight} = endpoint;
    const latencyMs = fadedLatency({latencyMs: endpoint.latencyMs, at: endpoint.latencyAt}, options.now);
    survey.slots.push({id, inFlight, latencyMs, weight: backend.weight / usable.length, backend, endpoint});
  }
}

export function surveyRung<E extends EndpointView, B extends BackendView<E>>(
  {backends}: RungView<B>,
  options: SurveyOptions<B, E>,
): Survey<B, E> {
  const survey: Survey<B, E> = {slots: [], reasons: [], heldUntil: Infinity};
  for (const backend of backends) {
    if (backend.weight > 0 && !options.excludesBackend(backend)) surveyBackend(backend, options, survey);
  }
  return survey;
}

/** One endpoint of what the rung offers; undefined if that is none. */
export function chooseFrom<B, E>({choose}: RungView<B>, {slots}: Survey<B, E>, choice: Choice): Pick<B, E> | undefined {
  const [only] = slots;
  if (only === undefined) return undefined;
  const {backend, endpoint} = slots.length === 1 ? only : choose(slots, choice);
  return {backend, endpoint};
}

/** Backends by `priority`, lowest first. */
export function toRungs<B extends {priority: number}>(backends: readonly B[]): B[][] {
  const rungs = new Map<number, B[]>();
  for (const backend of backends) rungs.set(backend.priority, [...(rungs.get(backend.priority) ?? []), backend]);
  return [...rungs].sort(([a], [b]) => a - b).map(([, rung]) => rung);
}
