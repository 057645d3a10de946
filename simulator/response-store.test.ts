import {describe, expect, it} from '@jest/globals';
import type {Outcome} from './errors.ts';
import type {ResponseObject} from './response-object.ts';
import {createResponseStore} from './response-store.ts';

const response = (id: string, background = false): ResponseObject => ({
  id,
  background,
  status: 'completed',
  output: [{type: 'message'}],
  usage: {},
});

const read = (outcome: Outcome): object => {
  if (outcome.kind === 'Streamed') throw new Error('nothing streams here');
  return outcome.kind === 'Refused' ? {httpStatus: outcome.status} : (JSON.parse(outcome.body) as object);
};

describe('stored responses', () => {
  it('are the last 1,000', () => {
    const store = createResponseStore(() => 0);
    for (let made = 0; made < 1_001; made += 1) store.keep(response(`resp_${made}`), {durationMs: 0, said: `${made}`});
    expect([store.said('resp_0'), store.said('resp_1'), store.said('resp_1000')]).toEqual([undefined, '1', '1000']);
    expect(read(store.retrieve('resp_0'))).toEqual({httpStatus: 404});
  });

  it('run in the background for as long as they take', () => {
    let now = 0;
    const store = createResponseStore(() => now);
    store.keep(response('a', true), {durationMs: 100, said: ''});
    now = 99;
    expect(read(store.retrieve('a'))).toMatchObject({status: 'in_progress', output: [], usage: null});
    now = 100;
    expect(read(store.retrieve('a'))).toMatchObject({status: 'completed', output: [{type: 'message'}]});
    expect(read(store.cancel('a'))).toMatchObject({status: 'completed'});
  });

  it('are cancelled while they run, and stay so', () => {
    let now = 0;
    const store = createResponseStore(() => now);
    store.keep(response('a', true), {durationMs: 100, said: ''});
    store.keep(response('b'), {durationMs: 100, said: ''});
    expect(read(store.cancel('a'))).toMatchObject({status: 'cancelled', output: []});
    now = 200;
    expect(read(store.retrieve('a'))).toMatchObject({status: 'cancelled'});
    expect(read(store.cancel('b'))).toEqual({httpStatus: 400});
    expect(read(store.cancel('c'))).toEqual({httpStatus: 404});
  });
});
