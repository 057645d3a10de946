import {describe, expect, it} from '@jest/globals';
import {retryReasons} from '../config/schema.ts';
import {nextStep, shareOfRemaining, type Situation, type Step} from './retry.ts';

/** A lone endpoint answered 503, with another rung to go to. */
const situation: Situation = {
  verdict: {fault: 'Backend', reason: 'ServerError'},
  retryAfterMs: undefined,
  policy: {maxAttempts: 3, maxWaitMs: 2_000, retryOn: [...retryReasons], budgetPercent: 20},
  attempts: 1,
  retriedOnRung: false,
  otherEndpoint: false,
  sameEndpoint: true,
  nextRung: true,
  budgetHasRoom: true,
  remainingMs: 60_000,
  random: 0.5,
};

const same = (afterMs: number): Step => ({step: 'SameEndpoint', afterMs});
const other: Step = {step: 'OtherEndpoint'};
const next: Step = {step: 'NextRung'};
const stop: Step = {step: 'Stop'};
const {policy} = situation;

type Case = [sentence: string, changes: Partial<Situation>, step: Step];

const cases: Case[] = [
  ['the same endpoint is asked again after half the back-off', {}, same(50)],
  ['the jitter may make it no wait at all', {random: 0}, same(0)],
  ['another endpoint of the rung goes first, at once', {otherEndpoint: true}, other],
  ['a reset is retried on the same endpoint', {verdict: {fault: 'Backend', reason: 'Reset'}}, same(50)],
  [
    '429 is retried after its Retry-After',
    {verdict: {fault: 'Backend', reason: 'RateLimited'}, retryAfterMs: 1_500},
    same(1_500),
  ],
  ['a Retry-After of exactly maxWait is waited for', {retryAfterMs: 2_000}, same(2_000)],
  ['a Retry-After past maxWait is not', {retryAfterMs: 2_001}, next],
  ['a wait that the deadline forbids is not begun', {retryAfterMs: 1_000, remainingMs: 1_000}, next],
  ['a silent endpoint is not asked again', {verdict: {fault: 'Backend', reason: 'Timeout'}}, next],
  ['one that cannot be reached is not asked again', {verdict: {fault: 'Backend', reason: 'ConnectFailure'}}, next],
  ['one that talks nonsense is not asked again', {verdict: {fault: 'Backend', reason: 'MalformedReply'}}, next],
  [
    'but another endpoint is, whatever it was',
    {verdict: {fault: 'Backend', reason: 'Timeout'}, otherEndpoint: true},
    other,
  ],
  ['an endpoint whose breaker has opened is not asked again', {sameEndpoint: false}, next],
  ['a rung is retried once', {retriedOnRung: true, otherEndpoint: true}, next],
  ['maxAttempts ends retries on the rung', {attempts: 3, otherEndpoint: true}, next],
  ['an untried rung is tried even then', {attempts: 99}, next],
  ['an empty budget ends retries on the rung', {budgetHasRoom: false, otherEndpoint: true}, next],
  ['a reason that retryOn leaves out ends it', {policy: {...policy, retryOn: ['Timeout']}, otherEndpoint: true}, stop],
  ['the deadline ends it', {remainingMs: 0, otherEndpoint: true}, stop],
  ['without a rung left it ends', {retriedOnRung: true, nextRung: false}, stop],
  [
    'a refused credential leads to the next rung, whatever retryOn says',
    {verdict: {fault: 'Backend', reason: 'Rejected'}, policy: {...policy, retryOn: []}},
    next,
  ],
  [
    'a refused credential may be another one’s luck',
    {verdict: {fault: 'Backend', reason: 'Rejected'}, otherEndpoint: true},
    other,
  ],
  ['an API that is not spoken leads to the next rung', {verdict: {fault: 'NotSpoken'}, otherEndpoint: true}, next],
  ['a model that is not known leads to the next rung', {verdict: {fault: 'UnknownModel'}, otherEndpoint: true}, next],
  ['a prompt that is too long leads to the next rung', {verdict: {fault: 'TooLong'}, otherEndpoint: true}, next],
];

describe('nextStep', () => {
  it.each(cases)('%s', (_, changes, step) => {
    expect(nextStep({...situation, ...changes})).toEqual(step);
  });
});

describe('shareOfRemaining', () => {
  it('leaves every rung that is still to come as much', () => {
    expect(shareOfRemaining(600, 2)).toBe(200);
    expect(shareOfRemaining(400, 1)).toBe(200);
    expect(shareOfRemaining(200, 0)).toBe(200);
  });
});
