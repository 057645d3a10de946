/** What one request has tried and may still try: its way down the rungs. */
import {pickFromRung, type PickOptions, type Unavailable} from '../routing/pick.ts';
import type {Verdict} from '../routing/verdict.ts';
import type {Call} from './call.ts';
import type {Clock} from './clock.ts';
import type {LiveBackend, LiveEndpoint, LiveRoute} from './live.ts';

export type Found = {rung: number; backend: LiveBackend; endpoint: LiveEndpoint};

export type Search = {
  /** From the first untried rung that can take it; breakers and what was learnt are ignored only where nothing else is left. */
  nextRung(): Found | undefined;
  /** Another endpoint on the rung of the last attempt. */
  otherOnRung(): Found | undefined;
  use(found: Found): void;
  /** What the failed attempt says about where else to go. */
  learn(found: Found, verdict: Verdict | undefined): void;
  countRetry(): void;
  retriedOnRung(): boolean;
  untriedRungs(): number;
  /** Why untried rungs cannot be used. */
  reasons(): ReadonlySet<Unavailable>;
  /** When the first Retry-After among untried rungs has passed; Infinity if none holds. */
  heldUntil(): number;
  /** Some backend of the route speaks the API, as far as is known. */
  isSpoken(): boolean;
};

type Context = {engine: {clock: Clock; random: () => number}; call: Call; route: LiveRoute};

type Pass = {ignoreBreakers: boolean; ignoreLearnt: boolean};

export function createSearch({engine, call, route}: Context): Search {
  const triedRungs = new Set<number>();
  const triedEndpoints = new Set<LiveEndpoint>();
  const excluded = new Set<LiveBackend>();
  const {api} = call.request;
  const passes: readonly Pass[] = [
    {ignoreBreakers: false, ignoreLearnt: false},
    {ignoreBreakers: route.config.circuitBreaker.whenAllOpen === 'TryAll', ignoreLearnt: true},
  ];
  let currentRung = -1;
  let retried = false;
  /** After "too long": tokens that a backend must declare more than. */
  let windowAbove: number | undefined;

  const speaks = ({config, state}: LiveBackend, now: number, ignoreLearnt: boolean): boolean =>
    api.spokenBy.includes(config.api) && (ignoreLearnt || (state.notSpoken.get(api.name) ?? 0) <= now);

  const isLargeEnough = ({config}: LiveBackend): boolean =>
    windowAbove === undefined || (config.contextWindow ?? 0) > windowAbove;

  const optionsFor = ({ignoreBreakers, ignoreLearnt}: Pass): PickOptions<LiveBackend, LiveEndpoint> => {
    const now = engine.clock.now();
    return {
      now,
      ignoreBreakers,
      excludesBackend: (backend) =>
        excluded.has(backend) || !speaks(backend, now, ignoreLearnt) || !isLargeEnough(backend),
      excludesEndpoint: (endpoint) => triedEndpoints.has(endpoint),
      choice: {random: engine.random, prefixHash: call.prefixHash},
    };
  };

  const untried = (): number[] =>
    [...route.rungs.keys()].filter(
      (rung) => !triedRungs.has(rung) && (windowAbove === undefined || rung > currentRung),
    );

  const pick = (rung: number, pass: Pass): ReturnType<typeof pickFromRung<LiveEndpoint, LiveBackend>> => {
    const view = route.rungs[rung];
    if (view === undefined) throw new Error(`bug: there is no rung ${rung}`);
    return pickFromRung<LiveEndpoint, LiveBackend>(view, optionsFor(pass));
  };

  const pickAs = (rung: number, pass: Pass): Found | undefined => {
    const {picked} = pick(rung, pass);
    return picked && {rung, ...picked};
  };

  return {
    nextRung() {
      for (const pass of passes) {
        for (const rung of untried()) {
          const found = pickAs(rung, pass);
          if (found !== undefined) return found;
        }
      }
      return undefined;
    },
    otherOnRung: () => (windowAbove === undefined ? pickAs(currentRung, passes[0] as Pass) : undefined),
    use({rung, endpoint}) {
      if (rung !== currentRung) retried = false;
      currentRung = rung;
      triedRungs.add(rung);
      triedEndpoints.add(endpoint);
    },
    learn({backend}, verdict) {
      if (verdict === undefined) return;
      if (verdict.fault === 'TooLong') windowAbove = Math.max(windowAbove ?? 0, backend.config.contextWindow ?? 0);
      if (verdict.fault !== 'Backend' || verdict.reason === 'Rejected') excluded.add(backend);
    },
    countRetry() {
      retried = true;
    },
    retriedOnRung: () => retried,
    untriedRungs: () => untried().length,
    reasons() {
      const reasons = new Set<Unavailable>();
      for (const rung of untried()) {
        const result = pick(rung, passes[0] as Pass);
        if (result.picked === undefined) for (const reason of result.reasons) reasons.add(reason);
      }
      return reasons;
    },
    heldUntil() {
      const held = untried().map((rung) => pick(rung, passes[0] as Pass));
      return Math.min(...held.map((result) => (result.picked === undefined ? result.heldUntil : Infinity)));
    },
    isSpoken: () =>
      route.backends.length === 0 || route.backends.some((backend) => speaks(backend, engine.clock.now(), false)),
  };
}
