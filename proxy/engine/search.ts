/** What one request has tried and may still try: its way down the rungs. */
import {
  chooseFrom,
  surveyRung,
  type RungView,
  type Survey,
  type SurveyOptions,
  type Unavailable,
} from '../routing/pick.ts';
import type {Verdict} from '../routing/verdict.ts';
import type {SpokenApi} from '../wire/api.ts';
import type {Clock} from './clock.ts';
import type {LiveBackend, LiveEndpoint, LiveRoute} from './live.ts';

export type Found = {rung: number; backend: LiveBackend; endpoint: LiveEndpoint};

/** Only `nextRung` and `otherOnRung` choose; everything else looks and changes nothing. */
export type Search = {
  /** From the first untried rung that can take it; breakers and what was learnt are ignored only where nothing else is left. */
  nextRung: () => Found | undefined;
  hasNextRung(): boolean;
  /** Another endpoint on the rung of the last attempt. */
  otherOnRung: () => Found | undefined;
  hasOtherOnRung(): boolean;
  /** Whether an endpoint that has failed may be asked once more, now or after its Retry-After. */
  mayAskAgain(found: Found): boolean;
  /** Whether it can take that request at this moment. */
  canTakeNow(found: Found): boolean;
  use(found: Found): void;
  /** What the failed attempt says about where else to go. */
  learn(found: Found, verdict: Verdict | undefined): void;
  countRetry(): void;
  retriedOnRung(): boolean;
  /** Rungs that may still get this request, whatever their state is at this moment. */
  untriedRungs(): number;
  /** Why untried rungs cannot be used. */
  reasons(): ReadonlySet<Unavailable>;
  /** When the first Retry-After among untried rungs has passed; Infinity if none holds. */
  heldUntil(): number;
  /** Some backend of the route speaks the API, as far as is known. */
  isSpoken(): boolean;
};

export type SearchOptions = {
  engine: {clock: Clock; random: () => number};
  route: LiveRoute;
  api: SpokenApi;
  /** Hash of the prompt's prefix. */
  prefixHash: () => number;
};

type Pass = {ignoreBreakers: boolean; ignoreLearnt: boolean};

type Offer = {rung: number; view: RungView<LiveBackend>; survey: Survey<LiveBackend, LiveEndpoint>};

const strict: Pass = {ignoreBreakers: false, ignoreLearnt: false};

export function createSearch({engine, route, api, prefixHash}: SearchOptions): Search {
  // Lists: they are short, and empty for nearly every request.
  const triedRungs: number[] = [];
  const triedEndpoints: LiveEndpoint[] = [];
  const excluded: LiveBackend[] = [];
  const choice = {random: engine.random, prefixHash};
  const lastResort: Pass = {
    ignoreBreakers: route.config.circuitBreaker.whenAllOpen === 'TryAll',
    ignoreLearnt: true,
  };
  let currentRung = -1;
  let retried = false;
  /** After "too long": tokens that a backend must declare more than. */
  let windowAbove: number | undefined;

  const speaks = ({config, state}: LiveBackend, now: number, ignoreLearnt: boolean): boolean =>
    api.spokenBy.includes(config.api) && (ignoreLearnt || (state.notSpoken.get(api.name) ?? 0) <= now);

  const isLargeEnough = ({config}: LiveBackend): boolean =>
    windowAbove === undefined || (config.contextWindow ?? 0) > windowAbove;

  const optionsFor = ({ignoreBreakers, ignoreLearnt}: Pass): SurveyOptions<LiveBackend, LiveEndpoint> => {
    const now = engine.clock.now();
    return {
      now,
      ignoreBreakers,
      excludesBackend: (backend) =>
        excluded.includes(backend) || !speaks(backend, now, ignoreLearnt) || !isLargeEnough(backend),
      excludesEndpoint: (endpoint) => triedEndpoints.includes(endpoint),
    };
  };

  const isUntried = (rung: number): boolean =>
    !triedRungs.includes(rung) && (windowAbove === undefined || rung > currentRung);
  const untried = (): number[] => [...route.rungs.keys()].filter(isUntried);

  const offerOf = (rung: number, pass: Pass): Offer => {
    const view = route.rungs[rung];
    if (view === undefined) throw new Error(`bug: there is no rung ${rung}`);
    return {rung, view, survey: surveyRung<LiveEndpoint, LiveBackend>(view, optionsFor(pass))};
  };

  const findNext = (): Offer | undefined => {
    for (const pass of [strict, lastResort]) {
      for (let rung = 0; rung < route.rungs.length; rung += 1) {
        if (!isUntried(rung)) continue;
        const offer = offerOf(rung, pass);
        if (offer.survey.slots.length > 0) return offer;
      }
    }
    return undefined;
  };

  /** A larger window is only looked for on a later rung. */
  const findOther = (): Offer | undefined => (windowAbove === undefined ? offerOf(currentRung, strict) : undefined);

  const choose = (offer: Offer | undefined): Found | undefined => {
    const picked = offer && chooseFrom(offer.view, offer.survey, choice);
    return picked && {rung: offer.rung, ...picked};
  };

  const blocked = (): Survey<LiveBackend, LiveEndpoint>[] =>
    untried()
      .map((rung) => offerOf(rung, strict).survey)
      .filter(({slots}) => slots.length === 0);

  const mayAskAgain = ({backend, endpoint}: Found): boolean => {
    const now = engine.clock.now();
    return backend.admits(now) && !endpoint.isEjected(now);
  };

  return {
    nextRung: () => choose(findNext()),
    hasNextRung: () => findNext() !== undefined,
    otherOnRung: () => choose(findOther()),
    hasOtherOnRung: () => (findOther()?.survey.slots.length ?? 0) > 0,
    mayAskAgain,
    canTakeNow: (found) =>
      mayAskAgain(found) && !found.backend.isFull() && found.endpoint.heldUntil <= engine.clock.now(),
    use({rung, endpoint}) {
      if (rung !== currentRung) retried = false;
      currentRung = rung;
      triedRungs.push(rung);
      triedEndpoints.push(endpoint);
    },
    learn({backend}, verdict) {
      if (verdict === undefined) return;
      if (verdict.fault === 'TooLong') windowAbove = Math.max(windowAbove ?? 0, backend.config.contextWindow ?? 0);
      if (verdict.fault !== 'Backend' || verdict.reason === 'Rejected') excluded.push(backend);
    },
    countRetry() {
      retried = true;
    },
    retriedOnRung: () => retried,
    untriedRungs() {
      if (triedRungs.length === route.rungs.length) return 0;
      const {excludesBackend} = optionsFor(lastResort);
      const mayTake = (backend: LiveBackend): boolean =>
        backend.weight > 0 && backend.endpoints.length > 0 && !excludesBackend(backend);
      return untried().filter((rung) => route.rungs[rung]?.backends.some(mayTake)).length;
    },
    reasons: () => new Set(blocked().flatMap(({reasons}) => reasons)),
    heldUntil: () => Math.min(...blocked().map(({heldUntil}) => heldUntil)),
    isSpoken: () =>
      route.backends.length === 0 || route.backends.some((backend) => speaks(backend, engine.clock.now(), false)),
  };
}
