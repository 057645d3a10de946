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

/**
 * Only `nextRung` and `otherOnRung` choose; everything else looks and changes nothing. A class, since each request has one: its
 * methods then are no closures of it.
 */
export class Search {
  readonly #options: SearchOptions;
  // Lists: they are short, and empty for nearly every request.
  readonly #triedRungs: number[] = [];
  readonly #triedEndpoints: LiveEndpoint[] = [];
  readonly #excluded: LiveBackend[] = [];
  #currentRung = -1;
  #retried = false;
  /** After "too long": tokens that a backend must declare more than. */
  #windowAbove: number | undefined;

  constructor(options: SearchOptions) {
    this.#options = options;
  }

  /** From the first untried rung that can take it; breakers and what was learnt are ignored only where nothing else is left. */
  nextRung(): Found | undefined {
    return this.#choose(this.#findNext());
  }

  hasNextRung(): boolean {
    return this.#findNext() !== undefined;
  }

  /** Another endpoint on the rung of the last attempt. */
  otherOnRung(): Found | undefined {
    return this.#choose(this.#findOther());
  }

  hasOtherOnRung(): boolean {
    return (this.#findOther()?.survey.slots.length ?? 0) > 0;
  }

  /** Whether an endpoint that has failed may be asked once more, now or after its Retry-After. */
  mayAskAgain({backend, endpoint}: Found): boolean {
    const now = this.#now();
    return backend.admits(now) && !endpoint.isEjected(now);
  }

  /** Whether it can take that request at this moment. */
  canTakeNow(found: Found): boolean {
    return this.mayAskAgain(found) && !found.backend.isFull() && found.endpoint.heldUntil <= this.#now();
  }

  use({rung, endpoint}: Found): void {
    if (rung !== this.#currentRung) this.#retried = false;
    this.#currentRung = rung;
    this.#triedRungs.push(rung);
    this.#triedEndpoints.push(endpoint);
  }

  /** What the failed attempt says about where else to go. */
  learn({backend}: Found, verdict: Verdict | undefined): void {
    if (verdict === undefined) return;
    if (verdict.fault === 'TooLong')
      this.#windowAbove = Math.max(this.#windowAbove ?? 0, backend.config.contextWindow ?? 0);
    if (verdict.fault !== 'Backend' || verdict.reason === 'Rejected') this.#excluded.push(backend);
  }

  countRetry(): void {
    this.#retried = true;
  }

  retriedOnRung(): boolean {
    return this.#retried;
  }

  /** Rungs that may still get this request, whatever their state is at this moment. */
  untriedRungs(): number {
    const {rungs} = this.#options.route;
    if (this.#triedRungs.length === rungs.length) return 0;
    const {excludesBackend} = this.#surveyOptions(this.#lastResort());
    const mayTake = (backend: LiveBackend): boolean =>
      backend.weight > 0 && backend.endpoints.length > 0 && !excludesBackend(backend);
    return this.#untried().filter((rung) => rungs[rung]?.backends.some(mayTake)).length;
  }

  /** Why untried rungs cannot be used. */
  reasons(): ReadonlySet<Unavailable> {
    return new Set(this.#blocked().flatMap(({reasons}) => reasons));
  }

  /** When the first Retry-After among untried rungs has passed; Infinity if none holds. */
  heldUntil(): number {
    return Math.min(...this.#blocked().map(({heldUntil}) => heldUntil));
  }

  /** Some backend of the route speaks the API, as far as is known. */
  isSpoken(): boolean {
    const {backends} = this.#options.route;
    return backends.length === 0 || backends.some((backend) => this.#speaks(backend, this.#now(), false));
  }

  #now(): number {
    return this.#options.engine.clock.now();
  }

  #speaks({config, state}: LiveBackend, now: number, ignoreLearnt: boolean): boolean {
    const {api} = this.#options;
    return api.spokenBy.includes(config.api) && (ignoreLearnt || (state.notSpoken.get(api.name) ?? 0) <= now);
  }

  #isLargeEnough({config}: LiveBackend): boolean {
    return this.#windowAbove === undefined || (config.contextWindow ?? 0) > this.#windowAbove;
  }

  #lastResort(): Pass {
    const {whenAllOpen} = this.#options.route.config.circuitBreaker;
    return {ignoreBreakers: whenAllOpen === 'TryAll', ignoreLearnt: true};
  }

  #surveyOptions({ignoreBreakers, ignoreLearnt}: Pass): SurveyOptions<LiveBackend, LiveEndpoint> {
    const now = this.#now();
    return {
      now,
      ignoreBreakers,
      excludesBackend: (backend) =>
        this.#excluded.includes(backend) || !this.#speaks(backend, now, ignoreLearnt) || !this.#isLargeEnough(backend),
      excludesEndpoint: (endpoint) => this.#triedEndpoints.includes(endpoint),
    };
  }

  #isUntried(rung: number): boolean {
    return !this.#triedRungs.includes(rung) && (this.#windowAbove === undefined || rung > this.#currentRung);
  }

  #untried(): number[] {
    return [...this.#options.route.rungs.keys()].filter((rung) => this.#isUntried(rung));
  }

  #offerOf(rung: number, pass: Pass): Offer {
    const view = this.#options.route.rungs[rung];
    if (view === undefined) throw new Error(`bug: there is no rung ${rung}`);
    return {rung, view, survey: surveyRung<LiveEndpoint, LiveBackend>(view, this.#surveyOptions(pass))};
  }

  #findNext(): Offer | undefined {
    return this.#findNextIn(strict) ?? this.#findNextIn(this.#lastResort());
  }

  #findNextIn(pass: Pass): Offer | undefined {
    for (let rung = 0; rung < this.#options.route.rungs.length; rung += 1) {
      if (!this.#isUntried(rung)) continue;
      const offer = this.#offerOf(rung, pass);
      if (offer.survey.slots.length > 0) return offer;
    }
    return undefined;
  }

  /** A larger window is only looked for on a later rung. */
  #findOther(): Offer | undefined {
    return this.#windowAbove === undefined ? this.#offerOf(this.#currentRung, strict) : undefined;
  }

  #choose(offer: Offer | undefined): Found | undefined {
    if (offer === undefined) return undefined;
    const {engine, prefixHash} = this.#options;
    const picked = chooseFrom(offer.view, offer.survey, {random: engine.random, prefixHash});
    return picked && {rung: offer.rung, ...picked};
  }

  #blocked(): Survey<LiveBackend, LiveEndpoint>[] {
    return this.#untried()
      .map((rung) => this.#offerOf(rung, strict).survey)
      .filter(({slots}) => slots.length === 0);
  }
}
