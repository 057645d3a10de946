import {describe, expect, it} from '@jest/globals';
import type {LabelSelector, LabelSelectorRequirement} from '../api/generated.ts';
import {labelsOfNamespace, matchesSelector} from './selector.ts';

const labels = {team: 'red', tier: ''};

const requires = (key: string, operator: LabelSelectorRequirement['operator'], ...values: string[]): LabelSelector => ({
  matchExpressions: [{key, operator, ...(values.length > 0 && {values})}],
});

describe('a selector', () => {
  it.each<[string, LabelSelector, boolean]>([
    ['without requirements matches', {}, true],
    ['with empty requirements matches', {matchLabels: {}, matchExpressions: []}, true],
    ['matches a label of that value', {matchLabels: {team: 'red'}}, true],
    ['matches an empty value', {matchLabels: {tier: ''}}, true],
    ['does not match another value', {matchLabels: {team: 'blue'}}, false],
    ['does not take a missing label for an empty one', {matchLabels: {zone: ''}}, false],
    ['does not find a label that every object inherits', requires('constructor', 'Exists'), false],
    ['matches if all labels do', {matchLabels: {team: 'red', tier: ''}}, true],
    ['does not match if one label does not', {matchLabels: {team: 'red', tier: 'gold'}}, false],
    ['In: one of the values', requires('team', 'In', 'blue', 'red'), true],
    ['In: none of the values', requires('team', 'In', 'blue'), false],
    ['In: the label is missing', requires('zone', 'In', 'a'), false],
    ['NotIn: none of the values', requires('team', 'NotIn', 'blue'), true],
    ['NotIn: one of the values', requires('team', 'NotIn', 'blue', 'red'), false],
    ['NotIn: the label is missing', requires('zone', 'NotIn', 'a'), true],
    ['Exists: with any value', requires('tier', 'Exists'), true],
    ['Exists: the label is missing', requires('zone', 'Exists'), false],
    ['DoesNotExist: the label is missing', requires('zone', 'DoesNotExist'), true],
    ['DoesNotExist: the label is there', requires('tier', 'DoesNotExist'), false],
    ['needs both labels and expressions', {matchLabels: {team: 'red'}, ...requires('zone', 'Exists')}, false],
    [
      'needs every expression',
      {
        matchExpressions: [
          {key: 'team', operator: 'Exists'},
          {key: 'tier', operator: 'DoesNotExist'},
        ],
      },
      false,
    ],
  ])('%s', (_, selector, expected) => {
    expect(matchesSelector(selector, labels)).toBe(expected);
  });
});

describe('the labels of a namespace', () => {
  const name = {'kubernetes.io/metadata.name': 'a'};

  it.each([
    ['that nobody knows are its name', undefined, name],
    ['that is not among the known are its name', new Map([['b', {team: 'red'}]]), name],
    ['that is known are all of them', new Map([['a', {team: 'red'}]]), {...name, team: 'red'}],
    ['tell its own name', new Map([['a', {'kubernetes.io/metadata.name': 'b'}]]), name],
  ])('%s', (_, known, expected) => {
    expect(labelsOfNamespace('a', known)).toEqual(expected);
  });
});
