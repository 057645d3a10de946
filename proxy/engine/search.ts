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
import type {LiveBackend, LiveEndpoint, LiveGateway, LiveRoute} from './live.ts';

export type Found = {rung: number; backend: LiveBackend; endpoint: LiveEndpoint};

export type SearchOptions = {
  engine: {clock: Clock; random: () => number};
  /** Of what is live now. */
  route: LiveRoute;
  /** Pods come and go while a request waits: where it goes next is looked for among those that are there by then. */
  latest: () => LiveGateway | undefined;
  api: SpokenApi;
  /** Hash of the prompt's prefix. */
  prefixHash: () => number;
};

type Pass = {ignoreBreakers: boolean; ignoreReadiness: boolean; ignoreLearnt: boolean};

type Offer = {rung: number; view: RungView<LiveBackend>; survey: Survey<LiveBackend, LiveEndpoint>};

const strict: Pass = {ignoreBreakers: false, ignoreReadiness: false, ignoreLearnt: false};
const strictOnUnready: Pass = {...strict, ignoreReadiness: true};

/**
 * Only `nextRung` and `otherOnRung` choose; everything else looks and changes nothing. A class, since each request has one: its
 * methods then are no closures of it.
 */
export class Search {
  readonly #options: SearchOptions;
  // Lists: they are short, and empty for nearly every request.
  /** Each once. */
  readonly #triedRungs: number[] = [];
  readonly #triedEndpoints: LiveEndpoint[] = [];
  /** Names. */
  readonly #excluded: string[] = [];
  #live: LiveGateway | undefined;
  #newest: LiveRoute;
  #currentRung = -1;
  /** What was asked last had no endpoint that is ready. */
  #onLastResort = false;
  #retried = false;
  /** After "too long": tokens that a backend must declare more than. */
  #windowAbove: number | undefined;

  constructor(options: SearchOptions) {
    this.#options = options;
    this.#live = options.latest();
    this.#newest = options.route;
  }

  /** The route with the endpoints of now. A route with another config is another: this request goes on by the one that it began with. */
  #route(): LiveRoute {
    const live = this.#options.latest();
    if (live !== this.#live) {
      this.#live = live;
      this.#newest = live?.routes.find(({config}) => config === this.#newest.config) ?? this.#newest;
    }
    return this.#newest;
  }

  /** From the first untried rung that can take it; breakers, readiness and what was learnt are ignored only where nothing else is left. */
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
    return backend.admits(now) && !endpoint.isEjected(now) && this.#isThere(endpoint);
  }

  #isThere(endpoint: LiveEndpoint): boolean {
    return this.#route().backends.some(({endpoints}) => endpoints.includes(endpoint));
  }

  /** Whether it can take that request at this moment. */
  canTakeNow(found: Found): boolean {
    return this.mayAskAgain(found) && !found.backend.isFull() && found.endpoint.heldUntil <= this.#now();
  }

  use({rung, backend, endpoint}: Found): void {
    if (rung !== this.#currentRung) this.#retried = false;
    this.#currentRung = rung;
    this.#onLastResort = backend.isLastResort;
    if (!this.#triedRungs.includes(rung)) this.#triedRungs.push(rung);
    this.#triedEndpoints.push(endpoint);
  }

  /** What the failed attempt says about where else to go. */
  learn({backend}: Found, verdict: Verdict | undefined): void {
    if (verdict === undefined) return;
    if (verdict.fault === 'TooLong')
      this.#windowAbove = Math.max(this.#windowAbove ?? 0, backend.config.contextWindow ?? 0);
    if (verdict.fault !== 'Backend' || verdict.reason === 'Rejected') this.#excluded.push(backend.config.name);
  }

  countRetry(): void {
    this.#retried = true;
  }

  retriedOnRung(): boolean {
    return this.#retried;
  }

  /** Rungs that may still get this request, whatever their state is at this moment. */
  untriedRungs(): number {
    const {rungs} = this.#route();
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
    const {backends} = this.#route();
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

  #triesAll(): boolean {
    return this.#route().config.circuitBreaker.whenAllOpen === 'TryAll';
  }

  #lastResort(): Pass {
    const triesAll = this.#triesAll();
    return {ignoreBreakers: triesAll, ignoreReadiness: triesAll, ignoreLearnt: true};
  }

  #surveyOptions({ignoreBreakers, ignoreReadiness, ignoreLearnt}: Pass): SurveyOptions<LiveBackend, LiveEndpoint> {
    const now = this.#now();
    return {
      now,
      ignoreBreakers,
      excludesBackend: (backend) =>
        (backend.isLastResort && !ignoreReadiness) ||
        this.#excluded.includes(backend.config.name) ||
        !this.#speaks(backend, now, ignoreLearnt) ||
        !this.#isLargeEnough(backend),
      excludesEndpoint: (endpoint) => this.#triedEndpoints.includes(endpoint),
    };
  }

  #isUntried(rung: number): boolean {
    return !this.#triedRungs.includes(rung) && (this.#windowAbove === undefined || rung > this.#currentRung);
  }

  #untried(): number[] {
    return [...this.#route().rungs.keys()].filter((rung) => this.#isUntried(rung));
  }

  #offerOf(rung: number, pass: Pass): Offer {
    const view = this.#route().rungs[rung];
    if (view === undefined) throw new Error(`bug: there is no rung ${rung}`);
    return {rung, view, survey: surveyRung<LiveEndpoint, LiveBackend>(view, this.#surveyOptions(pass))};
  }

  #findNext(): Offer | undefined {
    return this.#findNextIn(strict) ?? this.#findNextIn(this.#lastResort());
  }

  #findNextIn(pass: Pass): Offer | undefined {
    for (let rung = 0; rung < this.#route().rungs.length; rung += 1) {
      if (!this.#isUntried(rung)) continue;
      const offer = this.#offerOf(rung, pass);
      if (offer.survey.slots.length > 0) return offer;
    }
    return undefined;
  }

  /** A larger window is only looked for on a later rung. Where the last resort has been asked, others like it may be. */
  #findOther(): Offer | undefined {
    if (this.#windowAbove !== undefined) return undefined;
    return this.#offerOf(this.#currentRung, this.#onLastResort ? strictOnUnready : strict);
  }

  #choose(offer: Offer | undefined): Found | undefined {
    if (offer === undefined) return undefined;
    const {engine, prefixHash} = this.#options;
    const picked = chooseFrom(offer.view, offer.survey, {random: engine.random, prefixHash});
    return picked && {rung: offer.rung, ...picked};
  }

  /** A backend that is not ready counts only where it would be asked in the end. */
  #blocked(): Survey<LiveBackend, LiveEndpoint>[] {
    const pass = this.#triesAll() ? strictOnUnready : strict;
    return this.#untried()
      .map((rung) => this.#offerOf(rung, pass).survey)
      .filter(({slots}) => slots.length === 0);
  }
}
