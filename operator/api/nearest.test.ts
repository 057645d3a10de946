import {describe, expect, it} from '@jest/globals';
import {nearest} from './nearest.ts';

const known = ['name', 'weight', 'timeouts', 'firstToken', 'maxConcurrentRequests'];

const cases: Record<string, {name: string; meant: string | undefined}> = {
  'letters that changed places': {name: 'wieght', meant: 'weight'},
  'another case': {name: 'firsttoken', meant: 'firstToken'},
  'a letter missing': {name: 'timeout', meant: 'timeouts'},
  'underscores instead of capitals': {name: 'max_concurrent_requests', meant: 'maxConcurrentRequests'},
  'a word that has nothing to do with any': {name: 'colour', meant: undefined},
  'a short word, of which a third may differ': {name: 'nam', meant: 'name'},
  'a word of one letter': {name: 'x', meant: undefined},
  'an empty word': {name: '', meant: undefined},
  'a word so long that no slip explains it': {name: 'name'.repeat(1000), meant: undefined},
};

describe('nearest', () => {
  it.each(Object.entries(cases))('%s', (_, {name, meant}) => {
    expect(nearest(name, known)).toBe(meant);
  });
});
