import {describe, expect, it} from '@jest/globals';
import {modelRoute} from '../../test/objects.ts';
import type {ModelRoute} from '../api/generated.ts';
import {nameConflicts} from './name-conflicts.ts';

const route = (
  name: string,
  modelNames?: string[],
  metadata: {namespace?: string; creationTimestamp?: string} = {},
): ModelRoute => modelRoute({name, ...metadata}, modelNames === undefined ? {} : {modelNames});

const older = {creationTimestamp: '2026-01-01T00:00:00Z'};
const younger = {creationTimestamp: '2026-02-01T00:00:00Z'};

describe('of two routes on one gateway', () => {
  const cases: Record<string, {routes: ModelRoute[]; losers: string[]}> = {
    'neither loses if their names differ': {routes: [route('a'), route('b')], losers: []},
    'the later in the files loses a name that both claim': {
      routes: [route('a', ['x']), route('b', ['y', 'x'])],
      losers: ['b'],
    },
    'the later loses also by its own name': {routes: [route('a', ['b']), route('b')], losers: ['b']},
    'the younger loses, whatever the order': {
      routes: [route('young', ['x'], younger), route('old', ['x'], older)],
      losers: ['young'],
    },
    'of one age the name decides': {routes: [route('b', ['x'], older), route('a', ['x'], older)], losers: ['b']},
    'the one without age loses to the one with': {
      routes: [route('a', ['x']), route('b', ['x'], younger)],
      losers: ['a'],
    },
    'an exact name under a pattern is fine in one namespace': {
      routes: [route('a', ['gpt-*']), route('b', ['gpt-4'])],
      losers: [],
    },
    'an exact name under a pattern of another namespace loses': {
      routes: [route('a', ['gpt-*']), route('b', ['gpt-4'], {namespace: 'team-b'})],
      losers: ['b'],
    },
    'a pattern over an exact name of another namespace loses': {
      routes: [route('a', ['gpt-4']), route('b', ['*'], {namespace: 'team-b'})],
      losers: ['b'],
    },
    'a loser claims nothing, so that a third one gets its other name': {
      routes: [route('a', ['x']), route('b', ['x', 'y']), route('c', ['y'])],
      losers: ['b'],
    },
  };
  it.each(Object.entries(cases))('%s', (_, {routes, losers}) => {
    expect(nameConflicts(routes).map(({loser}) => loser.metadata.name)).toEqual(losers);
  });

  it('the loser is told the field, the winner and what to do', () => {
    const [conflict] = nameConflicts([route('a', ['gpt-*']), route('b', ['x', 'gpt-4'], {namespace: 'team-b'})]);
    expect(conflict).toMatchObject({
      path: ['spec', 'modelNames', 1],
      message:
        'the model name "gpt-4" is taken by ModelRoute team-a/a by its "gpt-*", which is older: use another name',
    });
  });

  it('the loser by its own name is told that field', () => {
    expect(nameConflicts([route('a', ['b']), route('b')])[0]?.path).toEqual(['metadata', 'name']);
  });
});
