import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {afterEach, beforeEach, describe, expect, it} from '@jest/globals';
import type {EndpointTable} from '../config/endpoint.ts';
import type {KnownEndpoints} from './endpoint-watch.ts';
import {isPart, readSaved, writeKnown} from './saved-endpoints.ts';

const gateway = {namespace: 'team-a', name: 'models'};
const nothing: KnownEndpoints = {namespaces: new Map(), ownZone: undefined};

const known = (address: string): KnownEndpoints => ({
  ownZone: 'a',
  namespaces: new Map<string, EndpointTable>([
    ['team-b', new Map([['team-b/tgi:', []]])],
    ['team-c', new Map([['team-c/sglang:http', [{address: '10.0.0.9', port: 30_000, lastResort: true}]]])],
    ['team-a', new Map([['team-a/vllm:http', [{address, port: 8_000, zone: 'a', zones: ['a', 'b']}]]])],
  ]),
});

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'modelroute-saved-'));
  file = join(folder, 'endpoints.json');
});
afterEach(() => rmSync(folder, {recursive: true}));

describe('saved endpoints', () => {
  it('come back as they were', () => {
    writeFileSync(file, writeKnown(gateway, known('10.0.0.1')));
    expect(readSaved(folder, gateway)).toEqual({known: known('10.0.0.1')});
  });

  it('are none, without a word, where none were saved', () => {
    expect(readSaved(folder, gateway)).toEqual({known: nothing});
    expect(readSaved(join(folder, 'elsewhere'), gateway)).toEqual({known: nothing});
  });

  const good = JSON.parse(writeKnown(gateway, known('10.0.0.1'))) as object;
  it.each<[string, string, RegExp]>([
    ['empty', '', /JSON/],
    ['cut', writeKnown(gateway, known('10.0.0.1')).slice(0, -9), /JSON/],
    ['of another format', JSON.stringify({...good, formatVersion: 2}), /another format/],
    ['something else', '[1, 2]', /another format/],
    ['of another gateway', JSON.stringify({...good, gateway: 'team-a/other'}), /gateway team-a\/other/],
    ['without ports', JSON.stringify({...good, namespaces: {a: {b: [{address: 'c'}]}}}), /another format/],
    ['larger than they can be', ' '.repeat(17 * 1_048_576), /larger than/],
  ])('are ignored, with a word, where the file is %s', (_, text, problem) => {
    writeFileSync(file, text);
    expect(readSaved(folder, gateway)).toEqual({known: nothing, problem: expect.stringMatching(problem)});
  });

  it('are ignored where the file cannot be read', () => {
    mkdirSync(file);
    expect(readSaved(folder, gateway)).toEqual({known: nothing, problem: expect.stringContaining('endpoints.json')});
  });
});

describe('some endpoints', () => {
  const of = (namespaces: KnownEndpoints['namespaces'], ownZone = 'a'): KnownEndpoints => ({namespaces, ownZone});
  const table = (address: string): EndpointTable => new Map([['team-a/vllm:http', [{address, port: 8_000}]]]);
  const all = of(new Map([...known('10.0.0.1').namespaces, ['team-d', table('10.0.0.2')]]));

  it.each<[string, KnownEndpoints, boolean]>([
    ['are part of others that have them, too', known('10.0.0.1'), true],
    ['are not where others have other ones', known('10.0.0.2'), false],
    [
      'are not where others have no such Service',
      of(
        new Map([
          ['team-a', table('10.0.0.1')],
          ['team-e', table('')],
        ]),
      ),
      false,
    ],
    ['are not in another zone', {...known('10.0.0.1'), ownZone: 'b'}, false],
  ])('%s', (_, some, expected) => {
    expect(isPart(some, all)).toBe(expected);
  });
});
