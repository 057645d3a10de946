import {describe, expect, it} from '@jest/globals';
import {chooseFrom, surveyRung, toRungs, type EndpointView, type SurveyOptions} from './pick.ts';
import {createStrategist} from './strategies.ts';

type TestBackend = {
  weight: number;
  endpoints: EndpointView[];
  isFull(): boolean;
  admits(): boolean;
};

const endpoint = (id: string, {ejected = false, heldUntil = 0} = {}): EndpointView => ({
  id,
  inFlight: 0,
  latencyMs: 100,
  latencyAt: 0,
  heldUntil,
  isEjected: () => ejected,
});

const backend = (endpoints: EndpointView[], {weight = 1, full = false, open = false} = {}): TestBackend => ({
  weight,
  endpoints,
  isFull: () => full,
  admits: () => !open,
});

const options: SurveyOptions<TestBackend, EndpointView> = {
  now: 1_000,
  excludesBackend: () => false,
  excludesEndpoint: () => false,
  ignoreBreakers: false,
};

const rung = (...backends: TestBackend[]) => ({backends, choose: createStrategist('RoundRobin')});
const look = (backends: TestBackend[], changes: Partial<typeof options> = {}) => {
  const {slots, reasons, heldUntil} = surveyRung<EndpointView, TestBackend>(rung(...backends), {
    ...options,
    ...changes,
  });
  return {ids: slots.map(({id, weight}) => `${id} ${weight}`), reasons: [...new Set(reasons)], heldUntil};
};

describe('a rung offers', () => {
  it('every endpoint, with the weight of its backend split over those that can be used', () => {
    const many = backend([endpoint('a1'), endpoint('a2'), endpoint('a3', {ejected: true})], {weight: 90});
    expect(look([many, backend([endpoint('b')], {weight: 10})]).ids).toEqual(['a1 45', 'a2 45', 'b 10']);
  });

  it.each([
    ['a full backend', backend([endpoint('a')], {full: true}), ['Full']],
    ['an open breaker', backend([endpoint('a')], {open: true}), ['Open']],
    ['an ejected endpoint', backend([endpoint('a', {ejected: true})]), ['Open']],
    ['an endpoint that a Retry-After holds', backend([endpoint('a', {heldUntil: 1_500})]), ['Held']],
    ['a backend of weight 0', backend([endpoint('a')], {weight: 0}), []],
    ['a backend without endpoints', backend([]), []],
  ])('nothing of %s, and says why', (_, only, reasons) => {
    expect(look([only])).toEqual({ids: [], reasons, heldUntil: reasons[0] === 'Held' ? 1_500 : Infinity});
  });

  it('what a Retry-After held as soon as it has passed', () => {
    expect(look([backend([endpoint('a', {heldUntil: 1_000})])]).ids).toEqual(['a 1']);
  });

  it('open and ejected ones where breakers do not count, but never full or held ones', () => {
    const backends = [
      backend([endpoint('open')], {open: true}),
      backend([endpoint('ejected', {ejected: true})]),
      backend([endpoint('full')], {full: true, open: true}),
      backend([endpoint('held', {heldUntil: 1_500, ejected: true})]),
    ];
    expect(look(backends, {ignoreBreakers: true}).ids).toEqual(['open 1', 'ejected 1']);
  });

  it('nothing that the request has excluded, and gives no reason for it', () => {
    const one = backend([endpoint('a')]);
    expect(look([one], {excludesBackend: (each) => each === one})).toMatchObject({ids: [], reasons: []});
    expect(look([one], {excludesEndpoint: ({id}) => id === 'a'})).toMatchObject({ids: [], reasons: []});
  });
});

describe('chooseFrom', () => {
  it('is undefined where nothing is offered', () => {
    const empty = rung();
    const choice = {random: () => 0, prefixHash: () => 0};
    expect(chooseFrom(empty, surveyRung<EndpointView, TestBackend>(empty, options), choice)).toBeUndefined();
  });

  it('moves the strategy on, and looking does not', () => {
    const view = rung(backend([endpoint('a'), endpoint('b')]));
    const choice = {random: () => 0, prefixHash: () => 0};
    const chosen = [1, 2, 3, 4].map(() => {
      surveyRung<EndpointView, TestBackend>(view, options);
      return chooseFrom(view, surveyRung<EndpointView, TestBackend>(view, options), choice)?.endpoint.id;
    });
    expect(chosen).toEqual(['a', 'b', 'a', 'b']);
  });
});

describe('toRungs', () => {
  it('orders by priority and keeps the order inside a rung', () => {
    const backends = [
      {name: 'c', priority: 7},
      {name: 'a', priority: 0},
      {name: 'd', priority: 7},
      {name: 'b', priority: 2},
    ];
    expect(toRungs(backends).map((each) => each.map(({name}) => name))).toEqual([['a'], ['b'], ['c', 'd']]);
  });
});
