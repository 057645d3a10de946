import {describe, expect, it} from '@jest/globals';
import {createStrategist, fadedLatency, hashBytes, peakEwma, type Candidate, type Strategist} from './strategies.ts';

/** Mulberry32: the seed alone decides. */
const randomFrom = (seed: number): (() => number) => {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
};

const candidate = (id: string, fields: Partial<Candidate> = {}): Candidate => ({
  id,
  inFlight: 0,
  weight: 1,
  latencyMs: 100,
  ...fields,
});

const named = (count: number): Candidate[] =>
  Array.from({length: count}, (_, index) => candidate(`pool/10.0.0.${index + 1}:8000`));

const noPrefix = (): number => {
  throw new Error('this strategy has no use for the prefix');
};

const hashOf = (text: string): number => hashBytes(new TextEncoder().encode(text));

/** How often each was chosen, in shares. */
function sharesOf(choose: Strategist, candidates: Candidate[], times: number): Record<string, number> {
  const random = randomFrom(1);
  const counts: Record<string, number> = Object.fromEntries(candidates.map(({id}) => [id, 0]));
  for (let time = 0; time < times; time += 1) {
    const {id} = choose(candidates, {random, prefixHash: () => hashOf(`prompt ${time}`)});
    counts[id] = (counts[id] ?? 0) + 1;
  }
  return Object.fromEntries(Object.entries(counts).map(([id, count]) => [id, count / times]));
}

describe.each(['LeastRequest', 'PeakEWMA', 'RoundRobin', 'PrefixHash'] as const)('%s', (strategy) => {
  it('shares equal endpoints out equally', () => {
    const shares = sharesOf(createStrategist(strategy), named(5), 10_000);
    for (const share of Object.values(shares)) expect(Math.abs(share - 0.2)).toBeLessThan(0.02);
  });

  it('keeps the weights', () => {
    const candidates = [candidate('a', {weight: 0.9}), candidate('b', {weight: 0.09}), candidate('c', {weight: 0.01})];
    const shares = sharesOf(createStrategist(strategy), candidates, 20_000);
    expect(Math.abs(shares['a']! - 0.9)).toBeLessThan(0.01);
    expect(Math.abs(shares['b']! - 0.09)).toBeLessThan(0.01);
    expect(Math.abs(shares['c']! - 0.01)).toBeLessThan(0.004);
  });

  it('takes the only one, however loaded', () => {
    const only = candidate('a', {inFlight: 1_000, latencyMs: 1e9});
    expect(createStrategist(strategy)([only], {random: () => 0.5, prefixHash: noPrefix})).toBe(only);
  });

  it('says so when there is nothing to choose from', () => {
    expect(() => createStrategist(strategy)([], {random: () => 0, prefixHash: () => 0})).toThrow(/^bug:/);
  });

  it('chooses at both ends of randomness', () => {
    for (const random of [0, 1 - 2 ** -32]) {
      const chosen = createStrategist(strategy)(named(3), {random: () => random, prefixHash: () => 0});
      expect(named(3)).toContainEqual(chosen);
    }
  });
});

describe('LeastRequest', () => {
  it('never takes the fullest of three, and the emptiest most often: power of two choices', () => {
    const candidates = [candidate('a', {inFlight: 9}), candidate('b', {inFlight: 5}), candidate('c', {inFlight: 1})];
    const shares = sharesOf(createStrategist('LeastRequest'), candidates, 10_000);
    expect(shares['a']).toBe(0);
    expect(Math.abs(shares['b']! - 1 / 3)).toBeLessThan(0.02);
    expect(Math.abs(shares['c']! - 2 / 3)).toBeLessThan(0.02);
  });

  it('keeps the share of a canary also when the others are full', () => {
    const candidates = [candidate('canary', {weight: 0.1}), candidate('main', {weight: 0.9, inFlight: 1_000})];
    const shares = sharesOf(createStrategist('LeastRequest'), candidates, 20_000);
    expect(Math.abs(shares['canary']! - 0.1)).toBeLessThan(0.01);
  });

  it('keeps the fullest of a hundred within a few of the mean, where chance alone would not', () => {
    const random = randomFrom(3);
    const loads = named(100).map((each) => ({...each}));
    const choose = createStrategist('LeastRequest');
    for (let time = 0; time < 1_000; time += 1) choose(loads, {random, prefixHash: noPrefix}).inFlight += 1;
    expect(Math.max(...loads.map(({inFlight}) => inFlight))).toBeLessThanOrEqual(14); // chance alone: 18 to 22
  });
});

describe('RoundRobin', () => {
  const order = (candidates: Candidate[], times: number, choose = createStrategist('RoundRobin')): string =>
    Array.from({length: times}, () => choose(candidates, {random: noPrefix, prefixHash: noPrefix}).id).join('');

  it('goes round', () => {
    expect(order([candidate('a'), candidate('b'), candidate('c')], 7)).toBe('abcabca');
  });

  it("spreads the heavy ones' turns as nginx does", () => {
    const candidates = [candidate('a', {weight: 5}), candidate('b'), candidate('c')];
    expect(order(candidates, 14)).toBe('aabacaaaabacaa');
  });

  it('goes round with weights that are fractions', () => {
    const thirds = ['a', 'b', 'c'].map((id) => candidate(id, {weight: 1 / 3}));
    const turns = order(thirds, 300);
    for (const id of 'abc') expect(turns.split(id)).toHaveLength(101);
  });

  it('goes on when one leaves and when it comes back', () => {
    const choose = createStrategist('RoundRobin');
    const [a, b, c] = [candidate('a'), candidate('b'), candidate('c')];
    expect(order([a, b, c], 1, choose)).toBe('a');
    const without = order([b, c], 4, choose);
    expect(without.split('b')).toHaveLength(3);
    const turns = order([a, b, c], 6, choose);
    for (const id of 'abc') expect(turns.split(id)).toHaveLength(3);
  });
});

describe('PeakEWMA', () => {
  it('avoids the slow one, and the one with a queue', () => {
    const slow = [candidate('slow', {latencyMs: 900}), candidate('quick', {latencyMs: 90})];
    expect(sharesOf(createStrategist('PeakEWMA'), slow, 1_000)).toEqual({slow: 0, quick: 1});
    const queued = [candidate('queue', {inFlight: 9}), candidate('idle')];
    expect(sharesOf(createStrategist('PeakEWMA'), queued, 1_000)).toEqual({queue: 0, idle: 1});
  });

  it('takes the slow one when the quick one has a longer queue than it is quicker', () => {
    const candidates = [candidate('slow', {latencyMs: 300}), candidate('quick', {latencyMs: 100, inFlight: 3})];
    expect(sharesOf(createStrategist('PeakEWMA'), candidates, 1_000)).toEqual({slow: 1, quick: 0});
  });

  it.each([
    ['a slower answer at once', {old: 100, sample: 900, passedMs: 1, expected: 900}],
    ['a quicker one not at all in the same moment', {old: 900, sample: 100, passedMs: 0, expected: 900}],
    ['63 % of a quicker one after the decay time', {old: 1_000, sample: 0, passedMs: 10_000, expected: 1_000 / Math.E}],
    ['nearly all of a quicker one after long', {old: 1_000, sample: 10, passedMs: 200_000, expected: 10}],
    ['all of the first sample', {old: 100, sample: 10, passedMs: Infinity, expected: 10}],
  ])('counts %s', (_, {old, sample, passedMs, expected}) => {
    expect(peakEwma({latencyMs: old, at: 5 - passedMs}, sample, 5)).toBeCloseTo(expected, 3);
  });

  it.each([
    ['stays in the same moment', {latencyMs: 1_000, at: 5}, 5, 1_000],
    ['fades with time', {latencyMs: 1_000, at: 0}, 10_000, 1_000 / Math.E],
    ['stays where nothing was ever measured', {latencyMs: 100, at: -Infinity}, 1e9, 100],
  ])('has an estimate that %s', (_, estimate, now, expected) => {
    expect(fadedLatency(estimate, now)).toBeCloseTo(expected, 3);
  });
});

describe('PrefixHash', () => {
  const choose = createStrategist('PrefixHash');
  const placesOf = (candidates: Candidate[], prompts: number): string[] =>
    Array.from(
      {length: prompts},
      (_, prompt) => choose(candidates, {random: noPrefix, prefixHash: () => hashOf(`prompt ${prompt}`)}).id,
    );

  it('takes the same endpoint for the same prefix, in any process and any order of endpoints', () => {
    const candidates = named(10);
    const again = createStrategist('PrefixHash');
    for (let prompt = 0; prompt < 100; prompt += 1) {
      const choice = {random: noPrefix, prefixHash: () => hashOf(`prompt ${prompt}`)};
      expect(again(candidates.toReversed(), choice).id).toBe(choose(candidates, choice).id);
    }
  });

  it('moves only what was on the endpoint that leaves', () => {
    const candidates = named(10);
    const before = placesOf(candidates, 2_000);
    const gone = candidates[3]!.id;
    const after = placesOf(
      candidates.filter(({id}) => id !== gone),
      2_000,
    );
    const moved = before.filter((id, prompt) => id !== after[prompt]);
    expect(new Set(moved)).toEqual(new Set([gone]));
    expect(moved.length / 2_000).toBeLessThan(0.13);
    const heirs = new Set(after.filter((_, prompt) => before[prompt] === gone));
    expect(heirs.size).toBe(9); // not all to one neighbour
  });

  it('moves to a new endpoint only its own share', () => {
    const candidates = named(10);
    const before = placesOf(candidates.slice(0, 9), 2_000);
    const after = placesOf(candidates, 2_000);
    const moved = after.filter((id, prompt) => id !== before[prompt]);
    expect(new Set(moved)).toEqual(new Set([candidates[9]!.id]));
    expect(Math.abs(moved.length / 2_000 - 0.1)).toBeLessThan(0.03);
  });

  it('passes over an endpoint with more than 1.25 times its share, always to the same next one', () => {
    const prefix = {random: noPrefix, prefixHash: () => hashOf('one conversation')};
    const favourite = choose(named(4), prefix).id;
    const loaded = (inFlight: number): Candidate[] =>
      named(4).map((each) => ({...each, inFlight: each.id === favourite ? inFlight : 4}));
    expect(choose(loaded(5), prefix).id).toBe(favourite); // ceil(1.25 × 18 / 4) = 6
    const next = choose(loaded(6), prefix).id; // ceil(1.25 × 19 / 4) = 6: full
    expect(next).not.toBe(favourite);
    for (const load of [7, 20, 50]) expect(choose(loaded(load), prefix).id).toBe(next);
  });

  it('never gives an endpoint more than 1.25 times its share, though all ask with one prefix', () => {
    const candidates = named(8).map((each) => ({...each}));
    for (let time = 0; time < 400; time += 1) {
      const chosen = choose(candidates, {random: noPrefix, prefixHash: () => 7});
      chosen.inFlight += 1;
      expect(chosen.inFlight).toBeLessThanOrEqual(Math.ceil((1.25 * (time + 1)) / 8));
    }
  });

  it('hashes as FNV-1a does', () => {
    expect(hashOf('')).toBe(0x811c9dc5);
    expect(hashOf('a')).toBe(0xe40c292c);
    expect(hashOf('foobar')).toBe(0xbf9cf968);
  });
});
