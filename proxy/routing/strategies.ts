/** How one endpoint of a rung is chosen among those that could take the request. */
import type {Strategy} from '../config/schema.ts';

export type Candidate = {
  /** The same for the same endpoint in every process and after every restart: what PrefixHash agrees on. */
  id: string;
  inFlight: number;
  /** The backend's weight, split over its candidates. */
  weight: number;
  /** PeakEWMA's estimate, milliseconds. */
  latencyMs: number;
};

export type Choice = {
  /** In [0, 1). */
  random: () => number;
  /** 32 bits of the request's prefix; only PrefixHash asks for it. */
  prefixHash: () => number;
};

/** Holds what a strategy remembers between requests, per rung. */
export type Strategist = <C extends Candidate>(candidates: readonly C[], choice: Choice) => C;

function first<C>(candidates: readonly C[]): C {
  const [candidate] = candidates;
  if (candidate === undefined) throw new Error('bug: a strategy was asked without candidates');
  return candidate;
}

function byWeight<C extends Candidate>(candidates: readonly C[], random: number): C {
  let rest = random * candidates.reduce((sum, {weight}) => sum + weight, 0);
  for (const candidate of candidates) {
    rest -= candidate.weight;
    if (rest < 0) return candidate;
  }
  return first(candidates);
}

/**
 * Power of two choices: one by weight, then one more of the same weight, and the cheaper of the two. Comparing only equals keeps
 * the shares that the weights promise exact, at any load. M. Mitzenmacher, The Power of Two Choices, 2001.
 */
const twoChoices =
  (cost: (candidate: Candidate) => number): Strategist =>
  (candidates, {random}) => {
    const one = byWeight(candidates, random());
    const equals = candidates.filter((other) => other !== one && other.weight === one.weight);
    const two = equals[Math.floor(random() * equals.length)];
    return two !== undefined && cost(two) < cost(one) ? two : one;
  };

/** Smooth weighted round robin, as nginx does it: no bursts to the heavy ones. */
function createRoundRobin(): Strategist {
  let credits = new Map<string, number>();
  return (candidates) => {
    const total = candidates.reduce((sum, {weight}) => sum + weight, 0);
    const next = new Map<string, number>();
    let chosen = first(candidates);
    for (const candidate of candidates) {
      next.set(candidate.id, (credits.get(candidate.id) ?? 0) + candidate.weight);
      if ((next.get(candidate.id) ?? 0) > (next.get(chosen.id) ?? 0)) chosen = candidate;
    }
    next.set(chosen.id, (next.get(chosen.id) ?? 0) - total);
    credits = next;
    return chosen;
  };
}

/** FNV-1a, 32 bits: http://www.isthe.com/chongo/tech/comp/fnv/ */
export function hashBytes(bytes: Uint8Array, seed = 0x811c9dc5): number {
  let hash = seed;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** In (0, 1): murmur3's finaliser over both hashes. */
function mix(a: number, b: number): number {
  let hash = (a ^ b) >>> 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (((hash ^ (hash >>> 16)) >>> 0) + 1) / 4_294_967_297;
}

const loadFactor = 1.25;
const encoder = new TextEncoder();

/** Hashes of ids, each made once; those of endpoints that are gone go when there are too many. */
function createIdHash(): (id: string) => number {
  const most = 4_096;
  const hashes = new Map<string, number>();
  return (id) => {
    const known = hashes.get(id);
    if (known !== undefined) return known;
    if (hashes.size >= most) hashes.clear();
    const hash = hashBytes(encoder.encode(id));
    hashes.set(id, hash);
    return hash;
  };
}

/**
 * Weighted rendezvous hashing (score −w / ln h): an endpoint that comes or goes moves only its own share. An endpoint with more than
 * 1.25 times its share of what runs is passed over for the next best. Mirrokni et al., Consistent Hashing with Bounded Loads, 2017.
 */
function createPrefixHash(): Strategist {
  const hashOf = createIdHash();
  return (candidates, choice) => {
    const prefix = choice.prefixHash();
    const weights = candidates.reduce((sum, {weight}) => sum + weight, 0);
    const running = candidates.reduce((sum, {inFlight}) => sum + inFlight, 0) + 1;
    const hasRoom = ({inFlight, weight}: Candidate): boolean =>
      inFlight < Math.ceil((loadFactor * running * weight) / weights);
    // Some candidate has room always: not all of them can have more than their share.
    return best(candidates.filter(hasRoom), ({id, weight}) => -weight / Math.log(mix(prefix, hashOf(id))));
  };
}

function best<C>(candidates: readonly C[], scoreOf: (candidate: C) => number): C {
  let winner = first(candidates);
  let highest = -Infinity;
  for (const candidate of candidates) {
    const score = scoreOf(candidate);
    if (score > highest) [winner, highest] = [candidate, score];
  }
  return winner;
}

const strategies: Record<Strategy, () => Strategist> = {
  LeastRequest: () => twoChoices(({inFlight}) => inFlight),
  PeakEWMA: () => twoChoices(({inFlight, latencyMs}) => (inFlight + 1) * latencyMs),
  RoundRobin: createRoundRobin,
  PrefixHash: createPrefixHash,
};

export function createStrategist(strategy: Strategy): Strategist {
  const choose = strategies[strategy]();
  return (candidates, choice) => (candidates.length === 1 ? first(candidates) : choose(candidates, choice));
}

/**
 * Peak EWMA (Finagle): a slower answer counts at once, a faster one fades in. `decayMs` is the time after which an old estimate has
 * lost 63 % of its say.
 */
export const peakEwma = (
  old: {latencyMs: number; at: number},
  sampleMs: number,
  now: number,
  decayMs = 10_000,
): number => {
  if (sampleMs > old.latencyMs) return sampleMs;
  const keep = Math.exp(-(now - old.at) / decayMs);
  return old.latencyMs * keep + sampleMs * (1 - keep);
};

/**
 * An estimate that nobody has confirmed for a while fades, so that an endpoint which was slow once is tried again. One that has never
 * been measured (`at` is -Infinity) stays as it is.
 */
export const fadedLatency = (estimate: {latencyMs: number; at: number}, now: number, decayMs = 10_000): number =>
  estimate.at === -Infinity ? estimate.latencyMs : estimate.latencyMs * Math.exp(-(now - estimate.at) / decayMs);
