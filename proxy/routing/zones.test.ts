import {describe, expect, it} from '@jest/globals';
import type {Endpoint} from '../config/endpoint.ts';
import {endpointsForZone} from './zones.ts';

/** `name` stands for its address: `a1` runs in zone `a`; `hints` are the zones that it is meant for. */
const endpoint = (name: string, ...hints: string[]): Endpoint => ({
  address: name,
  port: 80,
  zone: name.charAt(0),
  ...(hints.length > 0 ? {zones: hints} : {}),
});

const withoutZone = (name: string): Endpoint => ({address: name, port: 80});

describe('a proxy that stays in zone a uses', () => {
  it.each<[string, Endpoint[], string[]]>([
    ['what runs in it', [endpoint('a1'), endpoint('b1'), endpoint('a2')], ['a1', 'a2']],
    ['all where nothing runs in it', [endpoint('b1'), endpoint('c1')], ['b1', 'c1']],
    ['all where no zone is known', [withoutZone('x'), withoutZone('y')], ['x', 'y']],
    ['what is known to run in it, beside what has no zone', [withoutZone('x'), endpoint('a1')], ['a1']],
    ['what is meant for it, wherever that runs', [endpoint('a1', 'b'), endpoint('b1', 'a', 'c')], ['b1']],
    ['all where nothing is meant for it', [endpoint('a1', 'b'), endpoint('c1', 'c')], ['a1', 'c1']],
    ['what runs in it where one endpoint has no hints', [endpoint('a1', 'b'), endpoint('b1')], ['a1']],
    ['what runs in it where hints are empty', [{...endpoint('a1'), zones: []}, endpoint('b1', 'a')], ['a1']],
    ['none where there is none', [], []],
  ])('%s', (_, endpoints, expected) => {
    expect(endpointsForZone(endpoints, 'a').map(({address}) => address)).toEqual(expected);
  });

  it('all where it does not know its own', () => {
    const endpoints = [endpoint('a1', 'a'), endpoint('b1', 'b')];
    expect(endpointsForZone(endpoints, undefined)).toBe(endpoints);
  });
});
