import {beforeEach, describe, expect, it} from '@jest/globals';
import {arrivalMs, createStatusPace, pauseMs, settleMs, startMs, type StatusPace} from './status-pace.ts';

const done = {url: 'http://models.team-a/v1', conditions: [{status: 'True' as const, reason: 'Ready'}]};
const underWay = {conditions: [{status: 'Unknown' as const, reason: 'Pending'}]};
const failed = {conditions: [{status: 'False' as const, reason: 'SecretNotFound'}]};

describe('when a status is written', () => {
  let now = 0;
  let pace: StatusPace;
  beforeEach(() => {
    now = 1_000;
    pace = createStatusPace({now: () => now});
  });

  it('never without a change', () => {
    expect(pace.decide('a', {...done}, {...done})).toEqual({type: 'Same'});
  });

  it('when all is well, as soon as callers get there', () => {
    expect(pace.decide('a', undefined, done)).toEqual({type: 'Wait', ms: arrivalMs});
    now += arrivalMs;
    expect(pace.decide('a', undefined, done)).toEqual({type: 'Write'});
  });

  it('a moment later when something is wrong or under way, counted from when it began', () => {
    expect(pace.decide('b', done, failed)).toEqual({type: 'Wait', ms: settleMs});
    expect(pace.decide('a', done, underWay)).toEqual({type: 'Wait', ms: settleMs});
    now += settleMs - 1;
    expect(pace.decide('a', done, underWay)).toEqual({type: 'Wait', ms: 1});
    now += 1;
    expect(pace.decide('a', done, underWay)).toEqual({type: 'Write'});
  });

  it('a moment later while a fleet is not whole', () => {
    expect(pace.decide('a', done, {...done, replicas: 2, readyReplicas: 1})).toEqual({type: 'Wait', ms: settleMs});
    expect(pace.decide('b', undefined, {...done, replicas: 2, readyReplicas: 2})).toEqual({
      type: 'Wait',
      ms: arrivalMs,
    });
  });

  it('later than that for what is new and only starts, so that it may be ready when it is first told of', () => {
    expect(pace.decide('a', undefined, underWay)).toEqual({type: 'Wait', ms: startMs});
    expect(pace.decide('b', undefined, failed)).toEqual({type: 'Wait', ms: settleMs});
    now += settleMs;
    expect(pace.decide('a', undefined, done)).toEqual({type: 'Write'});
    expect(pace.decide('b', undefined, failed)).toEqual({type: 'Write'});
  });

  it('never for what was under way and is over', () => {
    pace.decide('a', done, underWay);
    now += settleMs + 5;
    expect(pace.decide('a', done, done)).toEqual({type: 'Same'});
    expect(pace.decide('a', done, underWay)).toEqual({type: 'Wait', ms: settleMs});
  });

  it('at most once in ten seconds per object', () => {
    pace.written('a');
    now += 4_000;
    expect(pace.decide('a', failed, done)).toEqual({type: 'Wait', ms: pauseMs - 4_000});
    expect(pace.decide('b', failed, done)).toEqual({type: 'Wait', ms: arrivalMs});
    now += pauseMs - 4_000;
    expect(pace.decide('a', failed, done)).toEqual({type: 'Write'});
  });

  it('without memory of an object that is gone', () => {
    pace.written('a');
    pace.forget('a');
    expect(pace.decide('a', undefined, done)).toEqual({type: 'Wait', ms: arrivalMs});
  });
});
