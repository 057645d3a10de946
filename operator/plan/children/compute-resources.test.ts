import {describe, expect, it} from '@jest/globals';
import type {GatewayPod} from '../../api/generated.ts';
import {computeResources, parseQuantity, type ComputeResources} from './compute-resources.ts';

describe('the compute resources of a proxy', () => {
  const cases: Record<string, {given?: GatewayPod['resources']; expected: ComputeResources}> = {
    'are a quarter of a CPU and 256Mi': {expected: {requests: {cpu: '250m', memory: '256Mi'}}},
    'are those if nothing is in them': {
      given: {requests: {}, limits: {}},
      expected: {requests: {cpu: '250m', memory: '256Mi'}},
    },
    'are what is requested, the rest as it was': {
      given: {requests: {cpu: 2}},
      expected: {requests: {cpu: '2', memory: '256Mi'}},
    },
    'have limits if asked for': {
      given: {limits: {memory: '1Gi', 'ephemeral-storage': '1Gi'}},
      expected: {
        requests: {cpu: '250m', memory: '256Mi'},
        limits: {memory: '1Gi', 'ephemeral-storage': '1Gi'},
      },
    },
    'request no more than a limit that is lower than the default': {
      given: {limits: {cpu: '0.1', memory: '128Mi'}},
      expected: {requests: {cpu: '0.1', memory: '128Mi'}, limits: {cpu: '0.1', memory: '128Mi'}},
    },
    'request what is requested, for the API server to hold against the limit': {
      given: {requests: {memory: '1Gi'}, limits: {memory: '128Mi'}},
      expected: {requests: {cpu: '250m', memory: '1Gi'}, limits: {memory: '128Mi'}},
    },
  };
  it.each(Object.entries(cases))('%s', (_, {given, expected}) => {
    expect(computeResources(given)).toEqual(expected);
  });
});

describe('a quantity', () => {
  it.each([
    ['250m', 0.25],
    ['2', 2],
    ['1.5', 1.5],
    ['.5', 0.5],
    ['5.', 5],
    ['500u', 5e-4],
    ['7n', 7e-9],
    ['3k', 3000],
    ['3M', 3e6],
    ['1E', 1e18],
    ['1E3', 1000],
    ['1e-3', 0.001],
    ['1Ki', 1024],
    ['256Mi', 268_435_456],
    ['1.5Gi', 1_610_612_736],
    ['1Ei', 2 ** 60],
  ])('%s is %f', (text, expected) => {
    expect(parseQuantity(text)).toBeCloseTo(expected, 12);
  });

  it.each(['', 'much', '1K', '1 Gi'])('is not "%s"', (text) => {
    expect(() => parseQuantity(text)).toThrow('bug: the schema let');
  });
});
