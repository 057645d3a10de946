import {describe, expect, it} from '@jest/globals';
import {judgeReply, type ReplyFacts, type Verdict} from './verdict.ts';

type Case = [sentence: string, facts: Partial<ReplyFacts> & {status: number}, verdict: Verdict];

const backend = (reason: Extract<Verdict, {fault: 'Backend'}>['reason']): Verdict => ({fault: 'Backend', reason});

const cases: Case[] = [
  ['a bad request is the caller’s', {status: 400}, {fault: 'Caller'}],
  ['a body that is too large is the caller’s', {status: 413}, {fault: 'Caller'}],
  ['a body that cannot be processed is the caller’s', {status: 422}, {fault: 'Caller'}],
  ['any other 4xx is the caller’s', {status: 418}, {fault: 'Caller'}],
  ['a refused credential is the backend’s', {status: 401}, backend('Rejected')],
  ['an account without money is the backend’s', {status: 402}, backend('Rejected')],
  ['a forbidden credential is the backend’s', {status: 403}, backend('Rejected')],
  ['a 403 by a content filter is the caller’s', {status: 403, contentFiltered: true}, {fault: 'Caller'}],
  ['a 400 by a content filter is the caller’s', {status: 400, contentFiltered: true}, {fault: 'Caller'}],
  [
    'a missing model that the route fixed is the backend’s',
    {status: 404, modelMissing: true, modelIsFixed: true},
    backend('Rejected'),
  ],
  ['a missing model that the caller chose is no verdict', {status: 404, modelMissing: true}, {fault: 'UnknownModel'}],
  ['any other 404 says that the API is not spoken', {status: 404, modelIsFixed: true}, {fault: 'NotSpoken'}],
  ['404 goes to a caller whom no other backend may answer', {status: 404, carriedOnce: true}, {fault: 'Caller'}],
  [
    'a missing model that the caller chose too, if no other backend may answer him',
    {status: 404, carriedOnce: true, modelMissing: true},
    {fault: 'Caller'},
  ],
  ['and so do 405', {status: 405, carriedOnce: true}, {fault: 'Caller'}],
  ['and 501', {status: 501, carriedOnce: true}, {fault: 'Caller'}],
  ['405 says that the API is not spoken', {status: 405}, {fault: 'NotSpoken'}],
  ['501 says that the API is not spoken', {status: 501}, {fault: 'NotSpoken'}],
  ['408 is a timeout of the backend', {status: 408}, backend('Timeout')],
  ['429 limits the rate', {status: 429}, backend('RateLimited')],
  ['500 is a server error', {status: 500}, backend('ServerError')],
  ['529 is a server error', {status: 529}, backend('ServerError')],
  ['a redirect is no answer', {status: 302}, backend('MalformedReply')],
  ['a 400 for too many tokens is too long', {status: 400, contextLengthExceeded: true}, {fault: 'TooLong'}],
  ['a 413 for too many tokens is too long', {status: 413, contextLengthExceeded: true}, {fault: 'TooLong'}],
  ['a 500 for too many tokens is too long', {status: 500, contextLengthExceeded: true}, {fault: 'TooLong'}],
  ['a 503 stays a server error whatever it says', {status: 503, contextLengthExceeded: true}, backend('ServerError')],
  [
    'a filter goes before the length',
    {status: 400, contextLengthExceeded: true, contentFiltered: true},
    {fault: 'Caller'},
  ],
];

describe('judgeReply', () => {
  it.each(cases)('%s', (_, facts, verdict) => {
    const silent = {
      contextLengthExceeded: false,
      contentFiltered: false,
      modelMissing: false,
      modelIsFixed: false,
      carriedOnce: false,
    };
    expect(judgeReply({...silent, ...facts})).toEqual(verdict);
  });
});
